"""One definition of a session: as events come one by one, as SQL, and as the training set."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from session_events import GAP, sessions_of, shuffled, time_of
from transform_shop import (
    Told,
    first_tellings,
    random_events,
    random_loads,
    sessionise,
)
from wherry.domain import (
    INTERACTION_TYPES,
    Event,
    EventId,
    EventItem,
    ItemId,
    SessionId,
    TenantId,
    VisitorId,
)
from wherry.domain.session import (
    Session,
    bought,
    fold,
    interactions_of,
    joined_by,
    microseconds,
    trimmed,
    whose,
)
from wherry.learn.dataset import _last_of_folds

NOON = datetime(2026, 3, 1, 12)


def event(
    minute: float,
    *items: str,
    event_id: str = "",
    kind: str = "view",
    visitor: str = "ann",
    session: str | None = None,
) -> Event:
    return Event(
        tenant=TenantId("default"),
        event_id=EventId(event_id or f"{kind} {minute} {items}"),
        event_type=kind,
        occurred_at=NOON + timedelta(minutes=minute),
        received_at=NOON,
        visitor_id=VisitorId(visitor),
        session_id=None if session is None else SessionId(session),
        items=tuple(EventItem(ItemId(item)) for item in items),
    )


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_events_in_any_order_make_the_sessions_of_the_reference(seed: int) -> None:
    loads = random_loads(seed, random_events(seed, count=150), count=2)
    events = shuffled(loads, seed)

    found = sessions_of(events)

    held: dict[tuple[str, str], list[Told]] = defaultdict(list)
    names = sessionise(loads)
    for told in first_tellings(loads):
        held[told.tenant, names[told.tenant, told.event_id]].append(told)
    assert {
        key: (time_of(each.started_at), time_of(each.ended_at)) for key, each in found.items()
    } == {
        key: (min(each.at for each in mine), max(each.at for each in mine))
        for key, mine in held.items()
    }
    assert {key: sorted(each.event_ids) for key, each in found.items()} == {
        key: sorted(
            each.event_id
            for each in mine
            if each.event_type in INTERACTION_TYPES
            for item, _, _ in each.items
            if item.strip()
        )
        for key, mine in held.items()
    }


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_the_training_set_folds_as_a_live_session_does(rows: list[tuple[int, int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    codes, items, kinds = np.array(rows, dtype=np.int32).reshape(-1, 3).T
    kept = items[_last_of_folds(codes.astype(np.int64), items, kinds.astype(np.int8))].tolist()

    expected = []
    for code in range(3):
        mine = [row for row in rows if row[0] == code]
        expected += fold([item for _, item, _ in mine], [kind for _, _, kind in mine])
    assert kept == expected


def test_a_late_event_bridges_two_sessions() -> None:
    found = sessions_of([event(0, "tent"), event(50, "boat"), event(25, "oar")])

    assert [each.items for each in found.values()] == [["tent", "oar", "boat"]]


def test_exactly_the_gap_apart_is_one_session_and_a_microsecond_more_is_two() -> None:
    later = event(30, "boat")
    assert len(sessions_of([event(0, "tent"), later])) == 1

    at = later.occurred_at + timedelta(microseconds=1)
    beyond = Event(
        **{name: getattr(later, name) for name in Event.__struct_fields__} | {"occurred_at": at}
    )
    assert len(sessions_of([event(0, "tent"), beyond])) == 2


def test_an_event_without_interest_keeps_a_session_going() -> None:
    found = sessions_of([event(0, "tent"), event(20, kind="page"), event(40, "boat")])

    assert [each.items for each in found.values()] == [["tent", "boat"]]


def test_an_event_told_twice_counts_once_as_it_was_told_first() -> None:
    (session,) = sessions_of(
        [event(0, "tent", event_id="e"), event(5, "boat"), event(9, "oar", event_id="e")]
    ).values()

    assert session.items == ["tent", "boat"]


def test_only_the_newest_interactions_are_kept_and_the_start_stays() -> None:
    events = [event(minute, f"item-{minute}") for minute in range(9)]
    for order in (events, events[::-1]):
        (session,) = sessions_of(order, most=3).values()
        assert session.items == ["item-6", "item-7", "item-8"]
        assert session.started_at == microseconds(events[0].occurred_at)


def test_a_session_of_the_shops_own_has_no_gap_and_may_be_shared() -> None:
    found = sessions_of(
        [event(0, "tent", session=" s "), event(600, "boat", session="s", visitor="bob")]
    )

    assert {name: each.items for (_, name), each in found.items()} == {"s": ["tent", "boat"]}


def test_the_live_session_is_the_one_that_an_event_of_now_would_join() -> None:
    sessions = [Session.begun(0), Session.begun(3 * GAP)]

    assert joined_by(sessions, GAP, GAP) is sessions[0]
    assert joined_by(sessions, 2 * GAP, GAP) is sessions[1]
    assert joined_by(sessions, 4 * GAP + 1, GAP) is None
    assert joined_by([], 0, GAP) is None


def test_ids_are_cleaned_as_the_lake_cleans_them() -> None:
    assert trimmed("  a b\u3000\xa0") == "a b"
    assert trimmed("\ta\n") == "\ta\n"
    assert trimmed("a\0b") == "a\ufffdb"
    assert whose(event(0, visitor=" ", session=" s")) == ("s", "s")
    assert whose(event(0, visitor="", session=None)) == (None, None)


def test_items_count_for_types_of_interest_however_they_are_written() -> None:
    seen = event(0, " tent ", "", "boat", kind=" VIEW ")

    assert [(each.item, each.position) for each in interactions_of(seen, 0)] == [
        ("tent", 1),
        ("boat", 3),
    ]
    assert interactions_of(event(0, "tent", kind="remove"), 0) == []


def test_what_was_bought_is_known_even_where_it_is_folded() -> None:
    items, kinds = ["tent", "tent", "boat"], [3, 0, 2]

    assert fold(items, kinds) == ["tent", "boat"]
    assert bought(items, kinds) == ["tent"]
