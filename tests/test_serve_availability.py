"""Availability over HTTP: kept in the inbox, and counting at the next answer."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serve_shop import Client, answerer, release
from wherry.collect.availability import tellings_of
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox, Receipt
from wherry.collect.keys import Keys
from wherry.domain import DEFAULT_TENANT, Release, TenantId
from wherry.domain.availability import Telling
from wherry.errors import InboxUnavailable
from wherry.live.availability import LiveAvailability
from wherry.live.store import LiveStore
from wherry.serve import CollectRoutes, Metrics, Recommender, create_app
from wherry.serve.available import AvailableNow

ROUTE = "/v1/availability"
NOON = datetime(2026, 3, 1, 12)


class Box:
    """An inbox that only remembers."""

    def __init__(self) -> None:
        self.kept: list[Delivery] = []
        self.error: Exception | None = None

    async def put(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        if self.error:
            raise self.error
        self.kept.append(delivery)
        return Receipt(0, 0)

    async def close(self) -> None:
        pass


def load(release: Release, folder: Path) -> Recommender:
    return Recommender(answerer(), tenant=release.tenant, version=release.version)


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    return {TenantId("default"): (release(3), Path()), TenantId("north"): None}


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveAvailability]:
    store = LiveStore(tmp_path / "live", boot="b")
    yield LiveAvailability(store)
    store.close()


def make_app(box: Box, live: LiveAvailability, keys: Path) -> Any:
    seconds = iter(range(1_000_000))

    def routes(metrics: Metrics, *, inbox: Callable[[], Inbox]) -> CollectRoutes:
        def clock() -> datetime:
            return NOON + timedelta(seconds=next(seconds))

        return CollectRoutes(inbox, Keys.open(keys), metrics, clock=clock)

    return create_app(
        champions,
        load,
        refresh_seconds=3600,
        collect=partial(routes, inbox=lambda: box),  # type: ignore[arg-type]
        availability=live,
    )


@pytest.fixture
def client(box: Box, live: LiveAvailability, tmp_path: Path) -> Iterator[Client]:
    with Client(make_app(box, live, tmp_path / "keys.json")) as client:
        yield client


def ids(client: Client, **asked: Any) -> list[str]:
    answer = client.post("/v1/recommend", json=asked)
    assert answer.status_code == 200, answer.text
    return [each["item"] for each in answer.json()["items"]]


def tell(client: Client, **items: bool) -> Any:
    told = [{"id": item, "available": available} for item, available in items.items()]
    return client.post(ROUTE, json={"items": told})


def test_what_is_told_counts_at_the_next_answer_and_is_kept(client: Client, box: Box) -> None:
    assert ids(client, session_items=["i21"], k=3) == ["i21", "i22", "i19"]
    assert ids(client, k=2) == ["i39", "i38"]
    answer = tell(client, i22=False, i20=True, i39=False, unheard=False)
    assert answer.status_code == 200
    assert (answer.json()["told"], answer.json()["unknown"]) == (4, ["unheard"])
    assert ids(client, session_items=["i21"], k=3) == ["i21", "i20", "i19"]
    assert ids(client, session_items=["i21"], k=2, filter={"category": "c2"}) == ["i18", "i26"]
    assert ids(client, k=2) == ["i38", "i37"]
    (delivery,) = box.kept
    assert [(each.item_id, each.available) for each in tellings_of(delivery)] == [
        ("i22", False),
        ("i20", True),
        ("i39", False),
        ("unheard", False),
    ]
    tell(client, i22=True)
    assert ids(client, session_items=["i21"], k=3) == ["i21", "i20", "i22"]


def test_a_pinned_item_that_is_told_to_be_gone_is_not_shown(client: Client) -> None:
    pin = [{"action": "pin", "items": ["i5"]}]
    assert ids(client, session_items=["i21"], k=2, rules=pin) == ["i5", "i21"]
    tell(client, i5=False)
    assert ids(client, session_items=["i21"], k=2, rules=pin) == ["i21", "i22"]


def test_another_worker_knows_it_at_once(
    client: Client, live: LiveAvailability, tmp_path: Path
) -> None:
    with Client(make_app(Box(), live, tmp_path / "keys.json")) as other:
        assert ids(other, session_items=["i21"], k=2) == ["i21", "i22"]
        tell(client, i22=False)
        assert ids(other, session_items=["i21"], k=2) == ["i21", "i19"]


def test_a_release_that_was_told_something_newer_goes_by_that(
    client: Client, live: LiveAvailability
) -> None:
    tell(client, i22=False, i23=False)
    known = answerer()
    told_at = known.catalogue.told_at.copy()
    told_at[22] = 2**60
    known.catalogue = replace(known.catalogue, told_at=told_at)
    seen = AvailableNow(live).see(Recommender(known))
    assert (seen.shows("i22"), seen.shows("i23")) == (True, False)


def test_a_release_that_no_longer_answers_is_let_go_of(live: LiveAvailability) -> None:
    now, old = AvailableNow(live), Recommender(answerer())
    assert now.see(old) is old
    gone = weakref.ref(old)
    telling = Telling(tenant=DEFAULT_TENANT, item_id="i1", available=False, told_at=NOON)
    live.tell([telling])
    assert now.see(old).shows("i1") is False
    assert old.shows("i1") is True
    del old
    gc.collect()
    assert gone() is None


def test_what_is_known_of_an_item_can_be_asked(client: Client) -> None:
    tell(client, i22=False, unheard=True)
    answer = client.get(f"{ROUTE}?items=i22,i1,i10,unheard,nobody").json()
    assert answer["model"] == "recommender@3"
    known = [
        (each["available"], each["is_known"], each["told_by"], each["told_at"] is not None)
        for each in answer["items"]
    ]
    assert known == [
        (False, True, "http", True),
        (True, True, None, False),
        (False, True, None, False),
        (True, False, "http", True),
        (False, False, None, False),
    ]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "no JSON"),
        (b'{"items": []}', 422, "length >= 1"),
        (b'{"items": [{"id": "a"}]}', 422, "available"),
        (b'{"items": [{"id": "", "available": true}]}', 422, "length >= 1"),
        (b'{"items": [{"id": "a", "available": true, "price": 3}]}', 422, "price"),
        (b'{"items": [{"id": "a", "available": true}], "tenant": "a/b"}', 422, "a/b"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_kept(
    client: Client, box: Box, body: bytes, status: int, says: str
) -> None:
    answer = client.post(ROUTE, content=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]
    assert not box.kept
    assert client.get(ROUTE).status_code == 422
    assert client.request("PUT", ROUTE).status_code == 405


def test_what_the_inbox_can_not_keep_does_not_count(client: Client, box: Box) -> None:
    box.error = InboxUnavailable("Full.", 7)
    answer = tell(client, i22=False)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert ids(client, session_items=["i21"], k=2) == ["i21", "i22"]


def test_once_there_is_a_key_only_who_has_one_tells_and_only_of_its_tenant(
    box: Box, live: LiveAvailability, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    with Client(make_app(box, live, path)) as client:
        key, _ = Keys.open(path).make(TenantId("north"), "write", label="", now=NOON)
        assert tell(client, i22=False).status_code == 401
        mine = {"items": [{"id": "i22", "available": False}]}
        head = {"Authorization": f"Bearer {key}"}
        assert client.post(ROUTE, json=mine, headers=head).status_code == 200
        other = client.post(ROUTE, json={**mine, "tenant": "south"}, headers=head)
        assert other.status_code == 403
        assert [each.tenant for each in box.kept] == ["north"]
        assert ids(client, session_items=["i21"], k=2) == ["i21", "i22"]
