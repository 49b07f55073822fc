"""Pages over HTTP: no list repeats another, in one request or in several, in any worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from serve_shop import Client, answerer, release
from wherry.domain import DEFAULT_TENANT, Release, TenantId
from wherry.learn.answer import Query
from wherry.live.pages import ShownOnPages
from wherry.live.store import LiveStore
from wherry.serve import Recommender, create_app
from wherry.serve.page import Page

ROUTE = "/v1/recommend"


def load(release: Release, folder: Path) -> Recommender:
    return Recommender(answerer(), tenant=release.tenant, version=release.version)


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    return {TenantId("default"): (release(3), Path())}


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[ShownOnPages]:
    store = LiveStore(tmp_path, boot="b")
    yield ShownOnPages(store)
    store.close()


@pytest.fixture
def client(pages: ShownOnPages) -> Iterator[Client]:
    with Client(create_app(champions, load, refresh_seconds=3600, pages=pages)) as client:
        yield client


def ids(answer: Any) -> list[str]:
    return [each["item"] for each in answer["items"]]


def ask(client: Client, **asked: Any) -> Any:
    answer = client.post(ROUTE, json={"session_items": ["i21"], **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_carousels_of_one_request_do_not_repeat_one_another(client: Client) -> None:
    answer = ask(
        client,
        k=3,
        carousels=[
            {"name": "first"},
            {"name": "c2", "k": 2, "filter": {"category": "c2"}},
            {"name": "again", "rules": [{"action": "block", "items": ["i23"]}]},
        ],
    )
    assert [each["name"] for each in answer["carousels"]] == ["first", "c2", "again"]
    lists = [ids(each) for each in answer["carousels"]]
    assert lists == [["i21", "i22", "i19"], ["i18", "i26"], ["i24", "i17", "i25"]]
    requests = [each["request_id"] for each in answer["carousels"]]
    assert requests == [f"{answer['request_id']}.{name}" for name in ("first", "c2", "again")]
    assert ids(ask(client, k=3)) == lists[0]  # the next request is another page


def test_answers_to_one_page_do_not_repeat_one_another_in_any_worker(
    client: Client, pages: ShownOnPages
) -> None:
    with Client(create_app(champions, load, refresh_seconds=3600, pages=pages)) as other:
        first = ids(ask(client, k=3, page_id="p1"))
        second = ids(ask(other, k=3, page_id="p1"))
        third = ids(other.get(f"{ROUTE}?items=i21&k=3&page_id=p1").json())
        assert first == ["i21", "i22", "i19"]
        assert len({*first, *second, *third}) == 9
        assert ids(ask(other, k=3, page_id="p2")) == first
        one = ask(client, k=1, page_id="p1", carousels=[{"name": "a"}, {"name": "b"}])
        last = [ids(each)[0] for each in one["carousels"]]
        assert len({*first, *second, *third, *last}) == 11


def test_carousels_that_ask_too_much_are_refused_before_any_is_answered(
    client: Client, pages: ShownOnPages
) -> None:
    asked = {"page_id": "p1", "carousels": [{"name": "a"}, {"name": "b", "k": 1_000}]}
    assert client.post(ROUTE, json=asked).status_code == 422
    assert pages.of(DEFAULT_TENANT, "p1", now=0) == []
    wrong = client.post(ROUTE, json={"carousels": [{"name": "a", "filtre": {}}]})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "carousels[0].filtre")


class Racing(ShownOnPages):
    """Another worker shows something between what was read of a page and what is claimed."""

    races = 1

    def claim(
        self, tenant: TenantId, page: str, items: Sequence[str], seen: Sequence[str], now: int
    ) -> list[str] | None:
        if self.races:
            self.races -= 1
            super().claim(tenant, page, [*items[:1]], self.of(tenant, page, now), now)
        return super().claim(tenant, page, items, seen, now)


def test_two_answers_in_the_same_moment_do_not_show_the_same(tmp_path: Path) -> None:
    store = LiveStore(tmp_path, boot="b")
    racing = Racing(store)
    with Client(create_app(champions, load, refresh_seconds=3600, pages=racing)) as client:
        assert ids(ask(client, k=3, page_id="p1")) == ["i22", "i19", "i23"]
        racing.races = 1_000_000  # and however busy the page is, there is an answer
        assert len(ids(ask(client, k=3, page_id="p1"))) == 3
    store.close()


def test_what_a_page_hides_is_counted_by_a_rule_of_its_own() -> None:
    shop = Recommender(answerer())
    page = Page(DEFAULT_TENANT, None, None, now=0)
    query = Query(["i21"], 3)
    assert page.without_shown(query) is query
    first = shop.answerer.answer(query)
    assert page.claim(shop, first, query) is None
    second = shop.answerer.answer(page.without_shown(query))
    assert second.rules == {"page": 3}
