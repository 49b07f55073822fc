from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_shop import Client, Nearby, answerer, release
from wherry.domain import ItemId, Release, Rule, SessionId, TenantId
from wherry.domain.rule import Block
from wherry.serve import Limits, Query, Recommender, SessionItems, create_app

RECOMMEND = "/v1/recommend"
LIMITS = Limits(k=5, max_k=20, max_session_items=3, max_body_bytes=10_000, max_explained=4)


def load(release: Release, folder: Path) -> Recommender:
    kind = Broken if release.name == "broken" else Recommender
    shop = answerer(hide_purchased=True)
    return kind(shop, tenant=release.tenant, name=release.name, version=release.version)


class Broken(Recommender):
    """Warms up, then fails at every request."""

    def recommend_json(self, query: Query, **details: Any) -> Any:
        raise ZeroDivisionError


def sessions(tenant: TenantId, session: SessionId) -> SessionItems | None:
    if session != "s1":
        return None
    return SessionItems((ItemId("i3"), ItemId("i21")), (ItemId("i22"),))


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    broken = msgspec.structs.replace(release(1, "broken"), name="broken")
    return {
        TenantId("default"): (release(3), Path()),
        TenantId("north"): None,
        TenantId("broken"): (broken, Path()),
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    app = create_app(champions, load, limits=LIMITS, sessions=sessions, refresh_seconds=3600)
    with Client(app) as client:
        yield client


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["item"] for each in answer.json()["items"]]


def test_post_and_get_give_the_same_answer(client: Client) -> None:
    id = {"X-Request-Id": "r-1"}
    asked = {
        "session_items": ["i21"],
        "k": 3,
        "exclude": ["i22"],
        "filter": {"brand": ["b1", "b2"]},
    }
    post = client.post(RECOMMEND, json=asked, headers=id)
    get = client.get(f"{RECOMMEND}?items=i21&k=3&exclude=i22&filter.brand=b1,b2", headers=id)
    assert post.json() == get.json()
    assert ids(post) == ["i19", "i23", "i17"]
    assert post.json()["model"] == "recommender@3"
    assert post.json()["items"][0]["name"] == "Item 19"
    assert post.json()["request_id"] == post.headers["x-request-id"] == "r-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>"])
def test_a_request_id_that_is_not_sane_is_replaced(client: Client, given: str) -> None:
    answer = client.get(RECOMMEND, headers={"X-Request-Id": given})
    other = client.get(RECOMMEND)
    assert len(answer.json()["request_id"]) == 16
    assert answer.json()["request_id"] not in (given, other.json()["request_id"])


def test_rules_of_a_request_are_followed_and_wrong_ones_named(client: Client) -> None:
    asked = {
        "session_items": ["i21"],
        "k": 3,
        "rules": [
            {"action": "block", "where": {"brand": "b0"}},
            {"action": "pin", "items": ["i5"], "position": 2},
        ],
    }
    assert ids(client.post(RECOMMEND, json=asked)) == ["i22", "i5", "i19"]
    for wrong in ([{"action": "cap", "attribute": "brnd", "at_most": 1}], None):
        body = {"rules": wrong} if wrong else {"without_rules": ["nothing"]}
        answer = client.post(RECOMMEND, json=body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "rules")


def test_an_empty_or_unknown_session_gets_the_fallback_and_is_told(client: Client) -> None:
    for link in ("", "?items=unheard", "?session_id=nobody"):
        answer = client.get(RECOMMEND + link)
        assert (answer.json()["fallback"], answer.json()["from_model"]) == ("popular", 0)
        assert ids(answer) == ["i39", "i38", "i37", "i36", "i35"]
    assert client.get(f"{RECOMMEND}?items=new&k=2").json()["fallback"] == "popular_in_category"


def test_a_known_session_is_looked_up_and_what_was_bought_in_it_is_hidden(
    client: Client,
) -> None:
    assert ids(client.get(f"{RECOMMEND}?session_id=s1&k=3")) == ["i21", "i19", "i23"]
    assert ids(client.get(f"{RECOMMEND}?session_id=s1&items=i5&k=1")) == ["i5"]


def test_each_item_says_why_where_that_is_asked_for(client: Client) -> None:
    post = client.post(RECOMMEND, json={"session_items": ["i5", "i21"], "k": 3, "explain": True})
    get = client.get(f"{RECOMMEND}?items=i5,i21&k=3&explain=true")
    assert [each["why"] for each in post.json()["items"]] == [
        each["why"] for each in get.json()["items"]
    ]
    first = get.json()["items"][0]
    assert first["why"]["words"] == "because you looked at it (100%)"
    parts = first["why"]["parts"]
    assert sum(part["weight"] for part in parts) == pytest.approx(first["score"])
    plain = client.get(f"{RECOMMEND}?items=i5,i21&k=3").json()
    assert plain["items"] == [
        {name: each[name] for name in ("item", "name", "score")} for each in get.json()["items"]
    ]
    empty = client.get(f"{RECOMMEND}?k=2&explain=true").json()
    assert {each["why"]["words"] for each in empty["items"]} == {"popular now"}


def test_no_more_is_explained_than_the_limit(client: Client) -> None:
    answer = client.get(f"{RECOMMEND}?k=5&explain=true")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "k")
    assert "at most 4 items are explained" in answer.json()["error"]["message"]
    assert len(client.get(f"{RECOMMEND}?explain=true").json()["items"]) == 4


def test_a_model_that_can_t_explain_itself_answers_without(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Nearby, "explain", fail, raising=False)
    answer = client.get(f"{RECOMMEND}?items=i5&k=2&explain=true")
    assert (answer.status_code, ids(answer)) == (200, ["i5", "i4"])
    assert not any("why" in each for each in answer.json()["items"])


def test_only_the_latest_items_of_a_long_session_are_looked_at(client: Client) -> None:
    long = ",".join(["i5"] + ["unheard"] * 3)
    assert client.get(f"{RECOMMEND}?items={long}").json()["fallback"] == "popular"


@pytest.mark.parametrize(
    ("method", "link", "status", "field"),
    [
        ("GET", "?tenant=nort", 404, "tenant"),
        ("GET", "?k=21", 422, "k"),
        ("GET", "?filter.colour=red", 422, "filter"),
        ("GET", "?price_min=5&price_max=1", 422, "filter"),
        ("GET", "?k=x", 400, "k"),
        ("GET", "?sort=asc", 400, "sort"),
        ("PUT", "", 405, None),
        ("DELETE", "", 405, None),
        ("POST", "?k=5", 400, None),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(
    client: Client, method: str, link: str, status: int, field: str | None
) -> None:
    answer = client.request(method, RECOMMEND + link)
    assert answer.status_code == status
    problem = answer.json()["error"]
    assert problem.get("field") == field
    assert problem["message"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_tenant_without_a_release_is_told_to_come_back(client: Client) -> None:
    answer = client.get(f"{RECOMMEND}?tenant=north")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "wherry run" in answer.json()["error"]["message"]
    assert "Did you mean 'north'" in client.get(f"{RECOMMEND}?tenant=nort").text


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(10_000):
        yield b'["xxxx'


def test_a_body_that_is_not_json_or_too_long_is_refused(client: Client) -> None:
    form = client.post(RECOMMEND, content=b"k=5", headers={"Content-Type": "text/plain"})
    assert form.status_code == 415
    curl = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d says of JSON, too
    assert client.post(RECOMMEND, content=b'{"k":5}', headers=curl).status_code == 200
    assert client.post(RECOMMEND, content=b"k=5", headers=curl).status_code == 400
    long = client.post(RECOMMEND, json={"exclude": ["x" * 10_000]})
    assert long.status_code == 413
    assert long.headers["connection"] == "close"
    chunked = client.post(RECOMMEND, content=chunks(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    vendor = {"Content-Type": "application/vnd.shop+json; charset=utf-8"}
    assert client.post(RECOMMEND, content=b"{}", headers=vendor).status_code == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
fields = [
    "tenant",
    "session_items",
    "session_id",
    "visitor_id",
    "k",
    "filter",
    "exclude",
    "purchased",
    "explain",
    "x",
]
requests = st.dictionaries(st.sampled_from(fields), json_values, max_size=5)
bodies = st.binary(max_size=200) | requests.map(lambda value: json.dumps(value).encode())


@given(bodies, st.integers(0, 300))
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_makes_the_server_fail(client: Client, body: bytes, cut: int) -> None:
    for sent in (body, body[:cut]):
        answer = client.post(RECOMMEND, content=sent, headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 400, 404, 422), answer.text
        assert ("error" in answer.json()) == (answer.status_code != 200)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 9_000,
        b'{"filter":' * 900,
        b'{"k":' + b"9" * 4_500 + b"}",
        b'{"filter":{"brand":' + b"9" * 4_290 + b"}}",
        b'{"filter":{"brand":-1e308}}',
        b'{"tenant":"\\ud800\\u0041"}',
        b'{"tenant":"\xed\xa0\x80"}',
        b'{"tenant":"\\u0000"}',
        b'{"\\ud83d":1}',
        b"\xef\xbb\xbf{}",
        b'{"session_items":["' + b"x" * 9_000 + b'"]}',
    ],
)
def test_neither_does_the_worst_that_we_could_think_of(client: Client, body: bytes) -> None:
    answer = client.post(RECOMMEND, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400, 404, 422), answer.text


@given(st.text(alphabet="items=&k,%f.0price_mx\u00e9\x00", max_size=40))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_link_makes_the_server_fail(client: Client, query: str) -> None:
    answer = client.get(RECOMMEND, params=None if not query else {query: query, "k": query})
    assert answer.status_code in (200, 400, 404, 422)
    assert client.get("/" + query.replace("\x00", "")).status_code < 500


def test_a_model_that_fails_gives_a_500_that_is_logged_with_the_requests_id(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get(f"{RECOMMEND}?tenant=broken", headers={"X-Request-Id": "r-9"})
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "Request r-9 can't be answered" in caplog.text


def test_health_and_readiness(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["tenants"]["default"] == {
        "model": "recommender@3",
        "rules": [],
        "error": None,
    }
    assert ready.json()["tenants"]["north"] == {"model": None, "rules": [], "error": None}
    with Client(create_app(lambda: {}, load)) as empty:
        assert empty.get("/readyz").status_code == 503
        assert empty.get("/healthz").status_code == 200
        assert empty.get(RECOMMEND).status_code == 503


def test_metrics_count_requests_fallbacks_and_releases() -> None:
    with Client(create_app(champions, load)) as client:
        for link in ("", "?items=i21", "?k=x"):
            client.get(RECOMMEND + link)
        client.get("/nowhere")
        figures = client.get("/metrics").text
    for line in (
        'wherry_requests_total{route="/v1/recommend",status="200"} 2.0',
        'wherry_requests_total{route="/v1/recommend",status="400"} 1.0',
        'wherry_requests_total{route="other",status="404"} 1.0',
        'wherry_request_seconds_count{route="/v1/recommend"} 3.0',
        'wherry_fallbacks_total{fallback="popular",tenant="default"} 1.0',
        'wherry_champion_info{name="recommender",tenant="default",version="3"} 1.0',
        'wherry_champion_reloads_total{outcome="swapped",tenant="default"} 1.0',
    ):
        assert line in figures.splitlines()


def test_a_path_or_method_that_there_is_not_gets_json_too(client: Client) -> None:
    missing, wrong = client.get("/nowhere"), client.post("/healthz")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert "/nowhere" in missing.json()["error"]["message"]
    assert wrong.json()["error"]["message"] == "Use GET."


def test_the_docs_page_takes_nothing_from_elsewhere(client: Client) -> None:
    assert client.get("/").headers["location"] == "/docs"
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "://" not in page.text.replace("http://www.w3.org/2000/svg", "")


def test_a_changed_rule_holds_over_http_while_the_server_goes_on() -> None:
    rules: list[Rule] = []
    app = create_app(champions, load, refresh_seconds=0.001, rules=lambda: rules)
    with Client(app) as client:
        assert "i39" in ids(client.get(RECOMMEND))
        rules.append(Block(name="recalled", items=("i39",)))
        for _ in range(10_000):  # each request gives the server a while to look
            if "i39" not in ids(client.get(RECOMMEND)):
                break
        assert "i39" not in ids(client.get(RECOMMEND))
        assert client.get("/readyz").json()["tenants"]["default"]["rules"] == ["recalled"]
