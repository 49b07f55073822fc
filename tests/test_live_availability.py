from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.domain.availability import Telling
from wherry.live.availability import LiveAvailability, microseconds
from wherry.live.store import LiveStore

NOON = datetime(2026, 3, 1, 12)
NORTH = TenantId("north")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LiveStore]:
    store = LiveStore(tmp_path, boot="b1")
    yield store
    store.close()


def told(item: str, available: bool, seconds: int, tenant: TenantId = DEFAULT_TENANT) -> Telling:
    at = NOON + timedelta(seconds=seconds)
    return Telling(tenant=tenant, item_id=item, available=available, told_at=at)


def state(live: LiveAvailability, tenant: TenantId = DEFAULT_TENANT) -> dict[str, bool]:
    return {each.item: each.available for each in live.since(tenant, 0)}


def test_what_is_told_is_known_and_counted(store: LiveStore) -> None:
    live = LiveAvailability(store)
    assert live.version(DEFAULT_TENANT) == 0
    assert live.tell([told("tent", False, 0), told("stove", True, 0)])
    assert live.version(DEFAULT_TENANT) == 2
    assert state(live) == {"tent": False, "stove": True}
    assert live.version(NORTH) == 0
    assert state(live, NORTH) == {}


def test_who_knows_the_changes_up_to_one_reads_those_after_it(store: LiveStore) -> None:
    live = LiveAvailability(store)
    live.tell([told("tent", False, 0), told("stove", False, 0)])
    live.tell([told("tent", True, 1)])
    assert [each.item for each in live.since(DEFAULT_TENANT, 2)] == ["tent"]
    assert live.since(DEFAULT_TENANT, 3) == []
    assert [each.item for each in live.since(DEFAULT_TENANT, 0)] == ["stove", "tent"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 9)), max_size=30))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_newest_telling_counts_in_whatever_order_they_come(
    store: LiveStore, tellings: list[tuple[str, bool, int]]
) -> None:
    tenant = TenantId(f"t{abs(hash(tuple(tellings)))}")
    live = LiveAvailability(store)
    expected: dict[str, tuple[int, bool]] = {}
    for item, available, seconds in tellings:
        live.tell([told(item, available, seconds, tenant)])
        if item not in expected or seconds > expected[item][0]:
            expected[item] = (seconds, available)
    assert state(live, tenant) == {item: available for item, (_, available) in expected.items()}


def test_told_again_what_everybody_knows_it_makes_nobody_look_again(store: LiveStore) -> None:
    live = LiveAvailability(store)
    live.tell([told("tent", False, 0)])
    live.tell([told("tent", False, 5)], is_so=lambda each: True)
    assert live.version(DEFAULT_TENANT) == 1
    (only,) = live.since(DEFAULT_TENANT, 0)
    assert only.told_at == microseconds(NOON + timedelta(seconds=5))
    live.tell([told("tent", True, 6)], is_so=lambda each: True)  # it was told otherwise before
    assert live.version(DEFAULT_TENANT) == 2


def test_what_is_dropped_is_gone_unless_it_was_told_anew(store: LiveStore) -> None:
    live = LiveAvailability(store)
    live.tell([told("tent", False, 0), told("stove", False, 0)])
    known = live.since(DEFAULT_TENANT, 0)
    live.tell([told("tent", False, 1)])
    assert live.drop(DEFAULT_TENANT, known) == 1
    assert state(live) == {"tent": False}
    assert live.of(DEFAULT_TENANT, ["stove"]) == [None]


def test_no_more_items_are_kept_than_may_be(store: LiveStore) -> None:
    live = LiveAvailability(store, most_items=10)
    for n in range(30):
        live.tell([told(f"i{n}", False, n)])
    assert len(state(live)) <= 11
    assert "i29" in state(live)


def test_a_new_store_is_not_complete_until_it_is_marked(tmp_path: Path) -> None:
    store = LiveStore(tmp_path, boot="b1")
    live = LiveAvailability(store)
    assert not live.is_complete
    live.mark_complete()
    assert live.is_complete
    store.close()
    after_reboot = LiveStore(tmp_path, boot="b2")
    assert not LiveAvailability(after_reboot).is_complete
    after_reboot.close()
