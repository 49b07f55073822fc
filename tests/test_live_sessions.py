"""Live sessions: what was just collected is known at once, and only as long as it counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.domain import Event, EventId, EventItem, ItemId, SessionId, TenantId, VisitorId
from wherry.domain.session import (
    NEVER,
    Session,
    SessionItems,
    fold,
    gap_microseconds,
    interactions_of,
    joined_by,
    microseconds,
    take_in,
)
from wherry.live.sessions import LiveRules, LiveSessions
from wherry.live.store import Changes, LiveStore, Noun

NOON = datetime(2026, 3, 1, 12)
SHOP, NORTH = TenantId("default"), TenantId("north")
ANN = VisitorId("ann")
RULES = LiveRules(gap=gap_microseconds(30), given_hours=24, max_items=5, max_bytes=10_000_000)


@pytest.fixture
def store(tmp_path: Path) -> LiveStore:
    return LiveStore(tmp_path / "live", boot="one")


@pytest.fixture
def live(store: LiveStore) -> LiveSessions:
    return LiveSessions(store, RULES)


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def event(
    minute: float,
    *items: str,
    kind: str = "view",
    visitor: str = ANN,
    session: str | None = None,
    tenant: TenantId = SHOP,
    came: float | None = None,
) -> Event:
    return Event(
        tenant=tenant,
        event_id=EventId(f"{kind} {minute} {items} {visitor} {session}"),
        event_type=kind,
        occurred_at=at(minute),
        received_at=at(minute if came is None else came),
        visitor_id=VisitorId(visitor),
        session_id=None if session is None else SessionId(session),
        items=tuple(EventItem(ItemId(item)) for item in items),
    )


def items_of(found: SessionItems | None) -> tuple[str, ...] | None:
    return None if found is None else found.items


def test_an_event_that_was_taken_is_in_its_visitors_session(live: LiveSessions) -> None:
    live.take([event(0, "tent")])
    live.take([event(1, "boat", kind="purchase"), event(2, "tent", visitor="bob")])

    found = live.of_visitor(SHOP, ANN, at(3))

    assert found == SessionItems(
        items=(ItemId("tent"), ItemId("boat")),
        purchased=(ItemId("boat"),),
        is_live=True,
        session_id=SessionId(f"ann~{microseconds(NOON) // 1000}"),
    )


def test_it_is_found_by_the_id_that_the_transform_gives_too(live: LiveSessions) -> None:
    live.take([event(0, "tent")])
    name = f"ann~{microseconds(NOON) // 1000}"

    assert items_of(live.of_session(SHOP, SessionId(name), at(1))) == ("tent",)
    assert live.of_session(SHOP, SessionId(name + "1"), at(1)) is None
    assert live.of_session(SHOP, SessionId("~1"), at(1)) is None


def test_a_session_with_an_id_is_found_by_it_and_by_its_visitor(live: LiveSessions) -> None:
    live.take([event(0, "tent", session="s"), event(50, "boat", session="s")])

    assert items_of(live.of_session(SHOP, SessionId("s"), at(100))) == ("tent", "boat")
    assert items_of(live.of_visitor(SHOP, ANN, at(60))) == ("tent", "boat")
    assert live.of_visitor(SHOP, ANN, at(100)) is None


def test_of_two_sessions_of_a_visitor_the_newer_counts(live: LiveSessions) -> None:
    live.take([event(0, "tent", session="s"), event(5, "boat")])
    assert items_of(live.of_visitor(SHOP, ANN, at(6))) == ("boat",)

    live.take([event(7, "oar", session="s")])
    assert items_of(live.of_visitor(SHOP, ANN, at(8))) == ("tent", "oar")


def test_a_session_is_over_once_it_was_idle_for_the_gap(live: LiveSessions) -> None:
    live.take([event(0, "tent")])

    assert items_of(live.of_visitor(SHOP, ANN, at(30))) == ("tent",)
    assert live.of_visitor(SHOP, ANN, at(30.1)) is None
    live.take([event(31, "boat")])
    assert items_of(live.of_visitor(SHOP, ANN, at(31))) == ("boat",)


def test_events_of_long_ago_that_come_now_are_in_no_live_session(live: LiveSessions) -> None:
    live.take([event(-300, "tent", came=0)])

    assert live.of_visitor(SHOP, ANN, at(0)) is None


def test_an_event_that_comes_too_late_is_left_out_of_every_session(live: LiveSessions) -> None:
    live.take([event(0, "tent", session="s"), event(-60 * 25, "boat", session="s", came=1)])

    assert items_of(live.of_session(SHOP, SessionId("s"), at(1))) == ("tent",)


def test_an_event_of_long_ago_finds_its_place_in_a_session_that_still_lasts(
    live: LiveSessions,
) -> None:
    live.take([event(minute, f"i{minute}") for minute in range(0, 100, 25)])
    live.take([event(26, "late", came=90)])

    assert items_of(live.of_visitor(SHOP, ANN, at(90))) == ("i0", "i25", "late", "i50", "i75")


def test_tenants_are_kept_apart(live: LiveSessions) -> None:
    live.take([event(0, "tent"), event(0, "boat", tenant=NORTH)])

    assert items_of(live.of_visitor(SHOP, ANN, at(1))) == ("tent",)
    assert items_of(live.of_visitor(NORTH, ANN, at(1))) == ("boat",)


def test_state_outlives_the_process_that_kept_it(live: LiveSessions, store: LiveStore) -> None:
    live.take([event(0, "tent")])
    store.close()

    again = LiveSessions(LiveStore(store.folder, boot="one"), RULES)

    assert items_of(again.of_visitor(SHOP, ANN, at(1))) == ("tent",)


def test_a_sweep_lets_go_of_what_is_over_and_of_nothing_else(
    live: LiveSessions, store: LiveStore
) -> None:
    live.take([event(0, "tent", visitor=f"v{number}") for number in range(100)])
    live.take([event(0, "tent", session="s", visitor="w"), event(59, "boat", visitor="late")])

    assert live.sweep(at(60)) == 0
    swept = [live.sweep(at(62)) for _ in range(4)]

    assert sum(swept) == 101
    assert max(swept) < 101
    assert items_of(live.of_visitor(SHOP, VisitorId("late"), at(62))) == ("boat",)
    assert items_of(live.of_session(SHOP, SessionId("s"), at(62))) == ("tent",)
    while live.sweep(at(60 * 25)):
        pass
    assert store.update(lambda changes: changes.count(Noun.SEEN)) == 0
    assert store.update(lambda changes: changes.count(Noun.SESSIONS)) == 0


def test_beyond_the_bound_those_go_first_that_were_silent_the_longest(store: LiveStore) -> None:
    bound = 400_000
    live = LiveSessions(store, LiveRules(gap=RULES.gap, max_bytes=bound))
    for minute in range(60):
        live.take([event(minute / 3, "tent", visitor=f"{minute} {number}") for number in range(60)])

    def size(changes: Changes) -> int:
        return changes.size(Noun.SESSIONS) + changes.size(Noun.SEEN)

    assert (store.update(size) or 0) < bound * 1.2
    assert live.of_visitor(SHOP, VisitorId("0 0"), at(20)) is None
    assert items_of(live.of_visitor(SHOP, VisitorId("59 0"), at(20))) == ("tent",)
    assert store.failures == 0


def test_who_is_forgotten_is_not_known_any_more(live: LiveSessions, store: LiveStore) -> None:
    live.take([event(0, "tent"), event(0, "tent", session="s"), event(0, "oar", visitor="bob")])

    live.forget(SHOP, [" ann "], ["s"])

    assert live.of_visitor(SHOP, ANN, at(1)) is None
    assert live.of_session(SHOP, SessionId("s"), at(1)) is None
    assert items_of(live.of_visitor(SHOP, VisitorId("bob"), at(1))) == ("oar",)
    assert store.update(lambda changes: changes.count(Noun.SEEN)) == 1


def test_state_is_complete_once_marked_until_the_rules_change(
    live: LiveSessions, store: LiveStore
) -> None:
    live.take([event(0, "tent")])
    assert not live.is_complete
    live.mark_complete()
    assert live.is_complete

    other = LiveSessions(store, LiveRules(gap=gap_microseconds(10)))
    assert not other.is_complete
    other.begin_anew()
    assert other.of_visitor(SHOP, ANN, at(1)) is None


def test_to_begin_anew_under_the_same_rules_keeps_what_came_meanwhile(live: LiveSessions) -> None:
    live.mark_complete()
    live.take([event(0, "tent")])

    live.begin_anew()

    assert not live.is_complete
    assert items_of(live.of_visitor(SHOP, ANN, at(1))) == ("tent",)


def test_a_record_that_is_none_is_begun_anew(live: LiveSessions, store: LiveStore) -> None:
    live.take([event(0, "tent")])

    def spoil(changes: Changes) -> None:
        ((key, _),) = changes.scan(Noun.SESSIONS)
        changes.put(Noun.SESSIONS, key, b"no record")

    store.update(spoil)

    assert live.of_visitor(SHOP, ANN, at(1)) is None
    live.take([event(1, "boat")])
    assert items_of(live.of_visitor(SHOP, ANN, at(1))) == ("boat",)


def test_without_a_store_nothing_is_known_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("in the way")
    live = LiveSessions(LiveStore(tmp_path / "live"), RULES)

    live.take([event(0, "tent")])

    assert live.of_visitor(SHOP, ANN, at(1)) is None
    assert live.sweep(at(1)) == 0
    assert not live.is_complete


arrivals = st.lists(
    st.tuples(
        st.integers(0, 120),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["view", "add", "page"]),
        st.sampled_from([None, None, None, "s", "t"]),
    ),
    min_size=1,
    max_size=25,
)


@given(arrivals, st.randoms(), st.integers(0, 150))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_in_whatever_order_and_batches_events_come_the_state_is_that_of_the_definition(
    store: LiveStore, told: list, chance, now: int
) -> None:
    events = [
        event(minute, *filter(None, [item]), kind=kind, session=session, came=120)
        for minute, item, kind, session in told
    ]
    chance.shuffle(events)
    store.update(lambda changes: (changes.clear(Noun.SESSIONS), changes.clear(Noun.SEEN)))
    # So long a gap that nothing is let go of: what it lets go of is no part of the definition.
    rules = LiveRules(gap=RULES.gap * 3, max_items=6)
    live = LiveSessions(store, rules)
    while events_left := events[:]:
        taken = events_left[: chance.randrange(1, 6)]
        live.take(taken)
        events = events[len(taken) :]
        if chance.random() < 0.3:
            live.take(taken)

    own: list[Session] = []
    given_ones: dict[str, list[Session]] = {"s": [], "t": []}
    for minute, item, kind, session in told:
        each = event(minute, *filter(None, [item]), kind=kind, session=session)
        moment = microseconds(each.occurred_at)
        sessions, gap = (given_ones[session], NEVER) if session else (own, rules.gap)
        take_in(sessions, moment, interactions_of(each, moment), gap=gap, most=6)
    for name, sessions in given_ones.items():
        expected = tuple(fold(sessions[0].items, sessions[0].kinds)) if sessions else None
        assert items_of(live.of_session(SHOP, SessionId(name), at(121))) == expected
    newest = joined_by(own, microseconds(at(now)), rules.gap)
    given_at = max((each[0].ended_at for each in given_ones.values() if each), default=0)
    if newest is not None and newest.ended_at > given_at:
        found = live.of_visitor(SHOP, ANN, at(now))
        assert items_of(found) == tuple(fold(newest.items, newest.kinds))


def test_an_index_of_an_earlier_form_harms_nothing_and_goes_before_the_log_is_read(
    store: LiveStore,
) -> None:
    live = LiveSessions(store, RULES)
    old = b"v\0\0\0\1shop\0\0some one"
    assert len(old) == 19
    for place in (old, old[:-2]):  # the second is as long as a place is now
        store.update(lambda changes, place=place: changes.put(Noun.SEEN, place, b""))
    live.take([event(0, "tent", visitor="w")])
    assert live.sweep(at(60 * 24 * 9)) == 1
    live.begin_anew()
    store.update(lambda changes: changes.put(Noun.MARKS, b"sessions", b"1 1 1"))
    live.begin_anew()
    assert store.update(lambda changes: changes.count(Noun.SEEN)) == 0
