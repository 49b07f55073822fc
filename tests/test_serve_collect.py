from __future__ import annotations

import asyncio
import base64
import gzip
import json
import resource
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_shop import Client
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox, Receipt
from wherry.collect.inbox.page import encode_entry
from wherry.collect.keys import Keys
from wherry.collect.protocols import Bounds
from wherry.domain import TenantId
from wherry.errors import InboxUnavailable
from wherry.serve import CollectLimits, CollectRoutes, Metrics, create_app, create_collect_app
from wherry.serve.endpoints import ENDPOINTS, GIF

NOW = datetime(2026, 2, 1, 12)
EVENTS = "/v1/events"
VIEW = {"event_type": "view", "visitor_id": "anna", "event_id": "e1"}
LIMITS = CollectLimits(
    bounds=Bounds(max_events=100, max_items=10, max_depth=8),
    max_body_bytes=100_000,
    max_held_bytes=1_000_000,
)
CHEAP = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Box(Inbox):
    """An inbox in memory, which can be told to fail."""

    def __init__(self) -> None:
        self.kept: list[tuple[Delivery, Parsed]] = []
        self.is_full = False

    async def put(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        encode_entry(delivery, parsed)
        if self.is_full:
            raise InboxUnavailable("The disk is full.", 7)
        known = {event.event_id for _, each in self.kept for event in each.events}
        self.kept.append((delivery, parsed))
        fresh = {event.event_id for event in parsed.events} - known
        return Receipt(len(fresh), len(parsed.events) - len(fresh))

    async def close(self) -> None:
        pass


class Door:
    """The routes over a box, asked in this process; keys are made in its folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.box = Box()
        self.keys = Keys.open(folder / "keys.json")
        more = {"limits": LIMITS, "clock": lambda: NOW, **settings}
        self.client = Client(create_collect_app(lambda metrics: self.routes(metrics, more)))
        self.client.__enter__()

    def routes(self, metrics: Metrics, settings: Any) -> CollectRoutes:
        self.made = CollectRoutes(lambda: self.box, self.keys, metrics, **settings)
        return self.made

    def key(self, tenant: str = "north", kind: Any = "write") -> str:
        return self.keys.make(TenantId(tenant), kind, label="", now=NOW)[0]

    def post(self, path: str, body: Any = b"", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=content, headers=named)

    @property
    def last(self) -> tuple[Delivery, Parsed]:
        return self.box.kept[-1]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path)
    yield door
    door.client.__exit__()


@pytest.fixture
def make_door(tmp_path: Path) -> Iterator[Any]:
    doors: list[Door] = []

    def make(**settings: Any) -> Door:
        doors.append(Door(tmp_path, **settings))
        return doors[-1]

    yield make
    for each in doors:
        each.client.__exit__()


def test_the_answer_counts_every_event_and_says_what_is_refused(door: Door) -> None:
    rows = [VIEW, VIEW, {"event_type": "view"}, VIEW | {"event_id": "e2"}]
    answer = door.post(EVENTS, rows, X_Request_Id="r-1")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "taken": 2,
            "known": 1,
            "refused": [
                {"position": 2, "reason": "visitor_id is empty, and there is no session_id"}
            ],
            "request_id": "r-1",
        },
    )
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["cache-control"].startswith("no-store")
    again = door.post(EVENTS, VIEW)
    assert (again.status_code, again.json()["known"]) == (200, 1)


def test_only_a_request_of_which_nothing_is_taken_is_a_422(door: Door) -> None:
    assert door.post(EVENTS, {"event_type": "view"}).status_code == 422
    assert len(door.box.kept) == 1  # what is refused is kept as well
    assert door.post(EVENTS, []).status_code == 200
    assert len(door.box.kept) == 1


def test_the_original_is_kept_with_what_a_parser_needs(door: Door) -> None:
    body = b' [{"event_type":"view",  "visitor_id":"anna"}]'
    door.post(
        EVENTS + "?a=1&key=nobody",
        body,
        Content_Type="application/json; charset=utf-8",
        User_Agent="curl/8.0",
    )
    delivery, parsed = door.last
    assert (delivery.body, delivery.received_at, delivery.protocol) == (body, NOW, "native")
    assert delivery.context == {
        "path": EVENTS,
        "query": "a=1",
        "content_type": "application/json; charset=utf-8",
        "address": "127.0.0.0",
        "agent": "library",
        "keyless": "yes",
    }
    assert len(parsed.events) == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("zstd", lambda body: pa.compress(body, codec="zstd", asbytes=True)),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_a_body_may_be_packed(door: Door, encoding: str, pack: Any) -> None:
    body = json.dumps([VIEW]).encode()
    answer = door.post(EVENTS, pack(body), Content_Encoding=encoding)
    assert answer.json()["taken"] == 1
    assert door.last[0].body == body


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(b"[]", mtime=0)[:-9], 400),
        ("gzip", gzip.compress(b"[]" * 5_000, mtime=0)[:20], 400),
        ("gzip", b"garbage", 400),
        ("deflate", b"\x78garbage", 400),
        ("deflate", zlib.compress(b"[]" * 500)[:-6], 400),
        ("zstd", b"garbage", 400),
        ("zstd", pa.compress(b"[]" * 500, codec="zstd", asbytes=True)[:-3], 400),
        ("br", b"[]", 415),
        ("gzip, gzip", b"[]", 415),
        ("gzip", gzip.compress(b" " * 100_001, mtime=0), 413),
        ("deflate", zlib.compress(b" " * 100_001), 413),
        ("zstd", pa.compress(b" " * 100_001, codec="zstd", asbytes=True), 413),
    ],
)
def test_a_body_that_does_not_unpack_is_refused(
    door: Door, encoding: str, body: bytes, status: int
) -> None:
    answer = door.post(EVENTS, body, Content_Encoding=encoding)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert not door.box.kept


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_does_not_grow_the_memory(door: Door, encoding: str) -> None:
    zeros = bytes(200_000_000)
    bombs = {
        "gzip": lambda: gzip.compress(zeros, 1),
        "deflate": lambda: zlib.compress(zeros, 1),
        "zstd": lambda: pa.compress(zeros, codec="zstd", asbytes=True),
    }
    bomb = bombs[encoding]()[:90_000]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        assert door.post(EVENTS, bomb, Content_Encoding=encoding).status_code == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kilobytes


async def endless() -> AsyncIterator[bytes]:
    for _ in range(30_000):
        yield b'["xxxx'


def test_a_body_that_is_too_long_or_of_the_wrong_kind_is_refused(door: Door) -> None:
    assert door.post(EVENTS, b" " * 100_001).status_code == 413
    assert door.client.post(EVENTS, content=endless()).status_code == 413
    assert door.post(EVENTS, [VIEW] * 101).status_code == 413
    form = door.post(EVENTS, b"a=1", Content_Type="multipart/form-data; boundary=x")
    assert form.status_code == 415
    assert "application/json" in form.json()["error"]["message"]
    assert door.post(EVENTS, VIEW, Content_Type="text/plain").status_code == 200
    said = "application/x-www-form-urlencoded"  # what curl -d says of JSON, too
    assert door.post(EVENTS, VIEW, Content_Type=said).status_code == 200
    assert door.post(EVENTS, b"a=1", Content_Type=said).status_code == 400
    for body in (b"", b"garbage", b"5"):
        assert door.post(EVENTS, body).status_code == 400
    assert len(door.box.kept) == 2


def test_bodies_on_their_way_may_hold_so_much_and_no_more(make_door: Any) -> None:
    limits = CollectLimits(max_body_bytes=1_000, max_held_bytes=1_500)
    door = make_door(limits=limits)
    assert door.post(EVENTS, b" " * 900 + json.dumps(VIEW).encode()).status_code == 200

    async def two_at_once() -> list[int]:
        gate = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b" " * 900
            await gate.wait()
            yield json.dumps(VIEW).encode()

        first = asyncio.ensure_future(door.client._http.post(EVENTS, content=slow()))
        while not door.made._room.held:
            await asyncio.sleep(0)
        second = await door.client._http.post(EVENTS, content=b" " * 700)
        gate.set()
        return [second.status_code, (await first).status_code]

    assert door.client._runner.run(two_at_once()) == [503, 200]
    assert door.post(EVENTS, b" " * 900 + json.dumps(VIEW).encode()).status_code == 200


def test_a_wrong_key_is_a_401_that_leaves_no_trace(door: Door) -> None:
    right, reading = door.key(), door.key(kind="read")
    for wrong in ("", "wk_nobody", reading, right + "x"):
        for headers in ({"Authorization": f"Bearer {wrong}"}, {"X_API_Key": wrong}, {}):
            answer = door.post(EVENTS, VIEW, **headers)
            assert answer.status_code == 401
            assert "wherry keys make" in answer.json()["error"]["message"]
    for path in ENDPOINTS:
        method = ENDPOINTS[path].methods[0]
        assert door.client.request(method, path, content=b"{}").status_code == 401, path
    assert not door.box.kept


@pytest.mark.parametrize("place", ["bearer", "basic", "header", "link"])
def test_a_key_says_whose_the_events_are(door: Door, place: str) -> None:
    door.key("south")
    key = door.key("north")
    basic = base64.b64encode(f"{key}:".encode()).decode()
    headers = {
        "bearer": {"Authorization": f"Bearer {key}"},
        "basic": {"Authorization": f"Basic {basic}"},
        "header": {"X_API_Key": key},
        "link": {},
    }[place]
    path = f"{EVENTS}?key={key}&b=2" if place == "link" else EVENTS
    assert door.post(path, VIEW, **headers).status_code == 200
    delivery, parsed = door.last
    assert delivery.tenant == parsed.events[0].tenant == "north"
    assert key not in str(delivery)
    assert "keyless" not in delivery.context
    assert door.post(path, VIEW | {"tenant": "south"}, **headers).status_code == 422


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/track", {"event": "x", "userId": "u", "writeKey": "KEY"}),
        ("/v1/batch", {"batch": [{"type": "page", "userId": "u"}], "writeKey": "KEY"}),
        ("/v1/batch", {"batch": [{"type": "page", "userId": "u", "writeKey": "KEY"}]}),
        ("/com.snowplowanalytics.snowplow/tp2", {"data": [{"e": "pv", "uid": "u", "aid": "KEY"}]}),
    ],
)
def test_a_key_may_stand_in_the_body_where_clients_put_it(
    door: Door, path: str, body: dict[str, Any]
) -> None:
    key = door.key()
    text = json.dumps(body)
    assert door.post(path, text.encode()).status_code == 401
    assert door.post(path, text.replace("KEY", key).encode()).status_code == 200
    delivery, parsed = door.last
    assert (delivery.tenant, len(parsed.events)) == ("north", 1)
    assert key not in str(delivery)
    assert key[:11] in str(delivery.body)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    both = door.post(path, text.replace("KEY", key).encode(), Authorization=f"Basic {basic}")
    assert both.status_code == 200
    assert key not in str(door.last[0])
    odd = text.replace("KEY", key).replace('"u"', "NaN")
    assert door.post(path, odd.encode()).status_code == 200


def test_without_keys_a_name_of_an_application_is_only_that(door: Door) -> None:
    for aid in ("the-name-of-a-long-shop", "\u07f7" * 12):
        body = {"data": [{"e": "pv", "uid": "u", "aid": aid}, {"e": "pv", "uid": "u", "aid": "b"}]}
        assert door.post("/com.snowplowanalytics.snowplow/tp2", body).status_code == 200
        assert door.client.get("/i", params={"e": "pv", "uid": "u", "aid": aid}).content == GIF
        assert len(door.box.kept[-2][1].events) == 2
    assert b"the-name-of-a-long-shop" in door.box.kept[0][0].body
    assert "the-name-of-a-long-shop" in door.box.kept[1][0].context["query"]


def test_a_key_that_is_no_text_of_ours_is_a_401(door: Door) -> None:
    door.key()
    for key in ("\u07f7" * 12, "\x00", "\ud7ff"):
        assert door.client.get("/i", params={"e": "pv", "uid": "u", "aid": key}).status_code == 401
        assert door.client.get("/v1/pixel", params={"key": key}).status_code == 401
        body = {"event": "x", "userId": "u", "writeKey": key}
        assert door.post("/v1/track", body).status_code == 401


def test_a_tracker_s_key_may_stand_in_a_get(door: Door) -> None:
    key = door.key()
    assert door.client.get(f"/i?e=pv&uid=u&aid={key}").content == GIF
    assert key not in str(door.last[0])
    assert door.last[0].context["keyed_by"] == "aid"
    assert door.client.get(f"/v1/pixel?visitor_id=v&key={key}").content == GIF
    assert door.last[1].events[0].properties is None
    assert door.client.get("/i?e=pv&uid=u&aid=other").status_code == 401


def test_each_protocol_is_answered_as_by_its_own_service(door: Door) -> None:
    segment = door.post("/v1/track", {"event": "x", "userId": "u"})
    assert (segment.status_code, segment.json()) == (200, {"success": True})
    ga4 = door.post("/mp/collect?api_secret=s", {"client_id": "c", "events": [{"name": "x"}]})
    assert (ga4.status_code, ga4.content) == (204, b"")
    tracker = door.post("/com.snowplowanalytics.snowplow/tp2", {"data": [{"e": "pv", "uid": "u"}]})
    assert (tracker.status_code, tracker.text) == (200, "ok")
    for path in ("/i?e=pv&uid=u", "/v1/pixel?visitor_id=v"):
        picture = door.client.get(path)
        assert (picture.status_code, picture.content) == (200, GIF)
        assert picture.headers["content-type"] == "image/gif"
        assert "no-store" in picture.headers["cache-control"]
    assert door.client.get("/v1/pixel").status_code == 422
    assert [each.protocol for each, _ in door.box.kept] == [
        "segment",
        "ga4",
        "snowplow",
        "snowplow",
        "pixel",
        "pixel",
    ]


def test_a_method_that_is_not_taken_says_which_are(door: Door) -> None:
    answer = door.client.get(EVENTS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert door.client.request("DELETE", "/v1/pixel").status_code == 405


def test_when_the_inbox_cannot_keep_the_answer_says_when_to_come_back(door: Door) -> None:
    door.box.is_full = True
    for path, body in ((EVENTS, VIEW), ("/v1/track", {"event": "x", "userId": "u"})):
        answer = door.post(path, body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert "disk is full" in answer.json()["error"]["message"]
    door.box.is_full = False
    assert door.post(EVENTS, VIEW).json()["taken"] == 1


def test_a_key_that_sends_too_much_is_told_when_to_go_on(make_door: Any) -> None:
    limits = CollectLimits(max_events_per_second=10, burst_seconds=1)
    door = make_door(limits=limits)
    quick, other = door.key(), door.key()
    codes = [door.post(EVENTS, [VIEW] * 5, X_API_Key=quick).status_code for _ in range(4)]
    assert codes[:2] == [200, 200]
    answer = door.post(EVENTS, [VIEW] * 5, X_API_Key=quick)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert door.post(EVENTS, [VIEW] * 5, X_API_Key=other).status_code == 200


def test_only_pages_of_allowed_origins_may_read_the_answer(make_door: Any) -> None:
    shop, name = "https://shop.example", "access-control-allow-origin"
    closed = make_door()
    assert name not in closed.post(EVENTS, VIEW, Origin=shop).headers
    some = make_door(origins=(shop,))
    for method in ("POST", "OPTIONS"):
        for origin, allowed in ((shop, shop), ("https://else.example", None)):
            answer = some.client.request(method, EVENTS, json=VIEW, headers={"Origin": origin})
            assert answer.headers.get(name) == allowed
            assert answer.headers["vary"] == "origin"
    preflight = some.client.request("OPTIONS", EVENTS, headers={"Origin": shop})
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    every = make_door(origins=("*",))
    assert every.post(EVENTS, VIEW, Origin=shop).headers[name] == shop
    assert every.post(EVENTS, b"garbage", Origin=shop).headers[name] == shop


def test_addresses_are_cut_and_those_behind_a_proxy_are_its_word(make_door: Any) -> None:
    forwarded = {"X_Forwarded_For": "1.2.3.4, 203.0.113.77"}
    door = make_door(is_behind_proxy=True)
    door.post(EVENTS, VIEW, **forwarded)
    assert door.last[0].context["address"] == "203.0.113.0"
    kept = make_door(address="kept")
    kept.post(EVENTS, VIEW, **forwarded)
    assert kept.last[0].context["address"] == "127.0.0.1"
    dropped = make_door(address="dropped")
    dropped.post("/v1/track", {"event": "x", "userId": "u", "context": {"ip": "1.2.3.4"}})
    assert "address" not in dropped.last[0].context
    assert b"1.2.3.4" not in dropped.last[0].body


def test_what_breaks_the_tracking_plan_is_refused(make_door: Any) -> None:
    from wherry.collect.plan import Plan, check

    plan = Plan({"view": {"required": ["session_id"]}})
    door = make_door(check=lambda parsed: check(parsed, plan))
    answer = door.post(EVENTS, [VIEW, VIEW | {"event_id": "e2", "session_id": "s"}])
    assert answer.json()["taken"] == 1
    assert "session_id" in answer.json()["refused"][0]["reason"]


def test_figures_count_events_by_what_became_of_them(door: Door) -> None:
    door.post(EVENTS, [VIEW, VIEW, {}])
    door.client.get("/v1/pixel?visitor_id=v")
    figures = door.client.get("/metrics").text
    for line in (
        'wherry_events_total{outcome="taken",protocol="native",tenant="default"} 1.0',
        'wherry_events_total{outcome="known",protocol="native",tenant="default"} 1.0',
        'wherry_events_total{outcome="refused",protocol="native",tenant="default"} 1.0',
        'wherry_events_total{outcome="taken",protocol="pixel",tenant="default"} 1.0',
        'wherry_requests_total{route="/v1/events",status="200"} 1.0',
    ):
        assert line in figures


def test_a_server_that_recommends_takes_events_in_as_well(tmp_path: Path) -> None:
    box, keys = Box(), Keys.open(tmp_path / "keys.json")

    def collect(metrics: Any) -> CollectRoutes:
        return CollectRoutes(lambda: box, keys, metrics, clock=lambda: NOW)

    with Client(create_app(lambda: {}, lambda release, folder: None, collect=collect)) as client:  # type: ignore[arg-type,return-value]
        assert client.post(EVENTS, json=VIEW).json()["taken"] == 1
        assert client.get("/v1/recommend").status_code == 503
        assert client.get("/readyz").status_code == 503
    with Client(create_app(lambda: {}, lambda release, folder: None)) as client:  # type: ignore[arg-type,return-value]
        assert client.post(EVENTS, json=VIEW).status_code == 404


def test_a_server_that_only_collects_says_so(door: Door) -> None:
    assert door.client.get("/readyz").json() == {"is_ready": True, "tenants": {}}
    assert door.client.get("/v1/recommend").status_code == 404
    assert "/v1/recommend" not in door.client.get("/openapi.json").json()["paths"]


def test_the_inbox_keeps_what_the_route_acknowledges(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys.json")

    def collect(metrics: Any) -> CollectRoutes:
        def box() -> Inbox:
            return Inbox.open(tmp_path / "inbox", "test")

        return CollectRoutes(box, keys, metrics, clock=lambda: NOW)

    for expected in ("taken", "known"):  # also over a restart
        with Client(create_collect_app(collect)) as client:
            assert client.post(EVENTS, json=VIEW).json()[expected] == 1


@given(
    st.sampled_from(sorted(ENDPOINTS)),
    st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD"]),
    st.binary(max_size=200) | st.sampled_from([b"[" * 9_000, b'{"a":' * 9_000, b"\xff[]"]),
    st.dictionaries(
        st.sampled_from(["content-encoding", "content-type", "authorization", "origin", "x"]),
        st.sampled_from(
            ["gzip", "zstd", "Basic x", "Basic \xff", "Bearer", "", "application/json"]
        ),
        max_size=3,
    ),
    st.text(alphabet="key=&aid%f.\xe9\x00", max_size=20),
)
@CHEAP
def test_no_request_makes_the_server_fail(
    door: Door, path: str, method: str, body: bytes, headers: dict[str, str], query: str
) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = door.client.request(
        method, path, content=body, headers=sent, params={query: query} if query else None
    )
    assert answer.status_code < 500, answer.text
