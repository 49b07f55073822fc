from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from outcome_shop import Shown, outcomes
from transform_shop import Told
from wherry.domain import (
    CLICK_TYPES,
    DEFAULT_TENANT,
    Event,
    EventId,
    EventItem,
    ItemId,
    LoggedAnswer,
    Mode,
    Role,
    Rollout,
    SessionId,
    TenantId,
    VisitorId,
)
from wherry.watch.evidence import MOST_ANSWERS, Evidence

NOW = datetime(2026, 1, 1, 12)
ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=DEFAULT_TENANT,
    mode=Mode.AB,
    version=2,
    share=0.5,
    started_at=NOW,
)
NAMES = [f"visitor-{number}" for number in range(40)]
TRIED = next(name for name in NAMES if ROLLOUT.draws(f"v:{name}"))
OTHER = next(name for name in NAMES if not ROLLOUT.draws(f"v:{name}"))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def answer(visitor: str, seconds: float = 0, **changes: object) -> LoggedAnswer:
    plain = LoggedAnswer(
        tenant=DEFAULT_TENANT,
        request_id=f"{visitor}-{seconds}",
        answered_at=after(seconds),
        model="recommender",
        version=2 if visitor == TRIED else 1,
        role=Role.CHALLENGER if visitor == TRIED else Role.CHAMPION,
        rollout=ROLLOUT.label,
        visitor_id=VisitorId(visitor),
        items=(ItemId("i1"), ItemId("i2")),
        latency_us=1_000,
    )
    return msgspec.structs.replace(plain, **changes)


def click(visitor: str, seconds: float, item: str = "i1", **changes: object) -> Event:
    plain = Event(
        tenant=DEFAULT_TENANT,
        event_id=EventId(f"{visitor}-{seconds}"),
        event_type="click",
        occurred_at=after(seconds),
        received_at=after(seconds),
        visitor_id=VisitorId(visitor),
        items=(EventItem(ItemId(item)),),
    )
    return msgspec.structs.replace(plain, **changes)


def opened(
    folder: Path, rollout: Rollout = ROLLOUT, clicks: Collection[str] = CLICK_TYPES
) -> Evidence:
    path, window = folder / "r1.sqlite", timedelta(minutes=30)
    return Evidence(path, rollout, window=window, slow_ms=50, clicks=clicks)


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Evidence]:
    with closing(opened(tmp_path)) as found:
        yield found


def clicks(evidence: Evidence) -> tuple[float, float]:
    parts = evidence.parts()
    return parts.challenger.clicks.marks, parts.champion.clicks.marks


def test_answers_and_clicks_are_summed_by_visitor_and_part(evidence: Evidence) -> None:
    evidence.add_answers("b1", [answer(TRIED), answer(TRIED, 60), answer(OTHER)])
    evidence.add_events([click(TRIED, 61), click(OTHER, 5, "i9")])
    evidence.settle(after(70))
    tried, champion, _ = evidence.parts()
    assert tried.clicks == msgspec.structs.replace(
        tried.clicks, visitors=1, answers=2, marks=1, aa=4, am=2, mm=1
    )
    assert (champion.clicks.answers, champion.clicks.marks) == (1, 0)


def test_the_order_and_repetition_in_which_things_come_change_nothing(tmp_path: Path) -> None:
    batches = {
        "b1": [answer(TRIED), answer(OTHER)],
        "b2": [answer(TRIED, 10), answer(OTHER, 10)],
    }
    events = [click(TRIED, 3), click(OTHER, 12)]
    sums = []
    for number, order in enumerate(("b1 b2 e", "e b2 b1", "b1 e b1 b2 e b2 b1 e")):
        with closing(opened(tmp_path / str(number))) as evidence:
            for name in order.split():
                if name == "e":
                    evidence.add_events(events)
                else:
                    evidence.add_answers(name, batches[name])
                evidence.settle(after(20))
            sums.append(evidence.parts())
    assert sums[0] == sums[1] == sums[2]
    assert (sums[0].challenger.clicks.marks, sums[0].champion.clicks.marks) == (1, 1)


def test_an_event_counts_for_one_answer_the_newest_or_the_one_that_it_names(
    evidence: Evidence,
) -> None:
    evidence.add_answers("b1", [answer(TRIED), answer(TRIED, 10)])
    evidence.add_events([click(TRIED, 15)])
    evidence.settle(after(16))
    evidence.add_events([click(TRIED, 20)])  # the same answer once more
    evidence.settle(after(21))
    assert clicks(evidence) == (1, 0)
    named = {"request_id": f"{TRIED}-0"}
    evidence.add_events([click(TRIED, 25, properties=named)])
    evidence.settle(after(26))
    assert clicks(evidence) == (2, 0)


def test_the_guard_counts_the_clicks_that_the_outcomes_count(tmp_path: Path) -> None:
    chance = random.Random(5)
    shown = [
        Shown(
            f"a{number:03}",
            minute=chance.uniform(0, 60),
            items=tuple(chance.sample([f"i{n}" for n in range(6)], 3)),
            visitor_id=chance.choice([TRIED, OTHER, None]),
            session_id=chance.choice(["s1", "s2", None]),
            request_id=f"r{chance.randrange(60)}",
        )
        for number in range(60)
    ]
    told = [
        Told(
            f"e{number}",
            chance.choice(["view", " Click", "add", "search"]),
            minute,
            visitor_id=chance.choice([TRIED, OTHER, "else"]),
            session_id=chance.choice(["s1", "s2", None]),
            # The guard goes by its own clock, so that no event can come before what it names.
            properties={"request_id": f"r{chance.randrange(60)}"} if minute > 60 else None,
            items=((f"i{chance.randrange(6)}", None, None),),
        )
        for number, minute in enumerate(chance.uniform(0, 90) for _ in range(300))
    ]
    cleaned = [replace(each, event_type=each.event_type.strip().lower()) for each in told]
    by_outcomes = outcomes([cleaned], shown)
    with closing(opened(tmp_path)) as evidence:
        for one in sorted(shown, key=lambda each: (each.at, each.name)):
            logged = msgspec.structs.replace(one.logged, rollout=ROLLOUT.label)
            evidence.add_answers(one.name, [logged])
        evidence.add_events(
            Event(
                tenant=DEFAULT_TENANT,
                event_id=EventId(each.event_id),
                event_type=each.event_type,
                occurred_at=each.at,
                received_at=each.at,
                visitor_id=VisitorId(each.visitor_id or ""),
                session_id=SessionId(each.session_id) if each.session_id else None,
                items=tuple(EventItem(ItemId(item)) for item, *_ in each.items),
                properties=each.properties,
            )
            for each in told
        )
        evidence.settle(max(each.at for each in told))
        parts = evidence.parts()
    clicked = {answer for (_, answer, _), (_, at, *_) in by_outcomes.items() if at is not None}
    assert parts.challenger.clicks.marks + parts.champion.clicks.marks == len(clicked) > 20


def test_what_counts_as_a_click_is_said_by_the_settings(tmp_path: Path) -> None:
    with closing(opened(tmp_path, clicks=("add",))) as evidence:
        evidence.add_answers("b1", [answer(TRIED), answer(OTHER)])
        evidence.add_events([click(TRIED, 5), click(OTHER, 5, event_type="add")])
        evidence.settle(after(9))
        assert clicks(evidence) == (0, 1)


def test_too_late_another_type_another_visitor_or_tenant_is_no_click(evidence: Evidence) -> None:
    evidence.add_answers("b1", [answer(TRIED)])
    evidence.add_events(
        [
            click(TRIED, 31 * 60),
            click(TRIED, 1, event_type="search"),
            click("somebody", 2),
            click(TRIED, 3, tenant=TenantId("north")),
        ]
    )
    evidence.settle(after(4))
    assert clicks(evidence) == (0, 0)


def test_without_a_visitor_the_session_or_the_named_request_tells_who_clicked(
    evidence: Evidence,
) -> None:
    session = SessionId("s1")
    nobody = answer(OTHER, visitor_id=None, session_id=session, request_id="q1")
    unknown = answer(OTHER, 1, visitor_id=None, request_id="q2")
    evidence.add_answers("b1", [nobody, unknown])
    evidence.add_events(
        [
            click("anna", 5, session_id=session),
            click("bob", 6, properties={"request_id": "q2"}),
        ]
    )
    evidence.settle(after(7))
    assert sum(clicks(evidence)) == 2


def test_a_challenger_is_held_to_account_for_what_it_left_to_the_champion(
    evidence: Evidence,
) -> None:
    by_champion = answer(TRIED, version=1, role=Role.CHAMPION)
    failed = answer(TRIED, items=(), error="ZeroDivisionError: by zero")
    evidence.add_answers("b1", [by_champion, failed, answer(OTHER)])
    evidence.add_answers("b2", [answer(TRIED, 5, items=(), error="ZeroDivisionError: by zero")])
    tried, champion, failures = evidence.parts()
    assert (tried.clicks.answers, tried.failed_visitors, tried.errors) == (1, 1, 2)
    assert (champion.clicks.answers, champion.errors) == (1, 0)
    assert failures == {"ZeroDivisionError: by zero": 2}


def test_slow_answers_are_counted_and_the_p99_is_told(evidence: Evidence) -> None:
    evidence.add_answers("b1", [answer(TRIED, n, latency_us=2_000) for n in range(50)])
    evidence.add_answers("b2", [answer(TRIED, 60 + n, latency_us=90_000) for n in range(2)])
    part = evidence.parts().challenger
    assert part.slow.marks == 2
    assert 90 <= part.p99_ms <= 99


def test_what_a_machine_asks_for_counts_no_more_than_a_visitor_can(evidence: Evidence) -> None:
    evidence.add_answers("b1", [answer(TRIED, n) for n in range(MOST_ANSWERS + 50)])
    assert evidence.parts().challenger.clicks.answers == MOST_ANSWERS


def test_another_phase_or_tenant_is_left(evidence: Evidence) -> None:
    others = [answer(TRIED, rollout="r1.2"), answer(TRIED, 1, tenant=TenantId("north"))]
    evidence.add_answers("b1", others)
    assert evidence.parts().challenger.clicks.visitors == 0


def test_in_the_shadow_both_parts_have_the_same_visitors(tmp_path: Path) -> None:
    shadow = msgspec.structs.replace(ROLLOUT, mode=Mode.SHADOW)
    with closing(opened(tmp_path, shadow)) as evidence:
        evidence.add_answers("b1", [answer(OTHER), answer(OTHER, role=Role.SHADOW, version=2)] * 2)
        tried, champion, _ = evidence.parts()
    assert tried.clicks.visitors == champion.clicks.visitors == 1
    assert tried.slow.answers == champion.slow.answers == 2


def add_half(evidence: Evidence) -> None:
    with evidence.adding():
        evidence.add_answers("b2", [answer(TRIED, 5)])
        evidence.move("inbox", 8)
        raise ZeroDivisionError


def test_a_restart_goes_on_and_what_failed_half_way_was_never_there(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as evidence:
        with evidence.adding():
            evidence.add_answers("b1", [answer(TRIED)])
            evidence.move("inbox", 7)
        with pytest.raises(ZeroDivisionError):
            add_half(evidence)
    with closing(opened(tmp_path)) as again:
        assert again.place("inbox") == 7
        assert again.parts().challenger.clicks.answers == 1
        assert not again.is_noted("better")
        again.note("better")
        assert again.is_noted("better")


def test_what_is_too_old_to_be_clicked_is_let_go(evidence: Evidence) -> None:
    evidence.add_answers("b1", [answer(TRIED)])
    evidence.settle(after(45 * 60))
    evidence.add_events([click(TRIED, 60)])
    evidence.settle(after(45 * 60))
    assert clicks(evidence) == (0, 0)
    assert evidence.parts().challenger.clicks.answers == 1
