"""Outcomes: what came of each answer, counted by hand and by a plain reference."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from outcome_shop import Shown, load_answers, next_positions, outcomes
from transform_shop import START, Shop, Told, random_events, random_loads
from wherry.domain import Role
from wherry.transform import Outcome

OUTCOME_TABLES = {"answers", "shown_items", "outcome_daily"}


@pytest.fixture(scope="module")
def used_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(used_shop: Shop) -> Shop:
    return used_shop.empty()


def random_answers(seed: int, *, count: int = 150) -> list[Shown]:
    """Answers to a few visitors: ties, shadows, failures, requests of one name."""
    chance = random.Random(seed)
    answers = []
    for number in range(count):
        minute = chance.choice([0, 1380]) + 15.0 * chance.randrange(12)
        answers.append(
            Shown(
                name=f"a{number:03}",
                minute=minute + chance.choice([0.0, -0.5, 1 / 60]),
                items=tuple(chance.sample([f"i{n}" for n in range(6)], chance.randrange(6))),
                visitor_id=f"v{chance.randrange(3)}" if chance.random() < 0.7 else None,
                session_id=f"s{chance.randrange(5)}" if chance.random() < 0.4 else None,
                request_id=f"r{chance.randrange(60)}",
                session=tuple(f"i{chance.randrange(6)}" for _ in range(chance.randrange(4))),
                version=chance.choice([1, 2]),
                role=chance.choice([Role.CHAMPION, Role.CHAMPION, Role.CHALLENGER, Role.SHADOW]),
                error=chance.choice(["", "", "", "ZeroDivisionError"]),
                tenant=chance.choice(["default", "default", "north"]),
            )
        )
    return answers


def named_events(seed: int) -> list[Told]:
    """Random events of the same few visitors; some name a request, some are impressions."""
    chance = random.Random(seed)
    events = []
    for event in random_events(seed, count=300, tenants=("default", "default", "north")):
        properties, kind = event.properties, event.event_type
        items = tuple((f"i{chance.randrange(6)}", *paid) for _, *paid in event.items)
        if chance.random() < 0.3:
            properties = {**(properties or {}), "request_id": f"r{chance.randrange(60)}"}
        if kind in ("page", "search"):
            kind = "impression"
            items = (("i1", None, None),) if chance.random() < 0.5 else ()
        visitor = event.visitor_id and f"v{chance.randrange(3)}"
        session = event.session_id and f"s{chance.randrange(5)}"
        events.append(
            replace(
                event,
                event_type=kind,
                minute=event.minute - 1500 if event.minute >= 2880 else event.minute,
                items=items,
                properties=properties,
                visitor_id=visitor,
                session_id=session,
            )
        )
    return events


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def test_outcomes_are_those_that_a_hand_counts_also_where_the_answers_come_last(
    shop: Shop,
) -> None:
    bob = {"visitor_id": "bob", "session_id": "s-bob"}
    of_cat = {"visitor_id": "cat", "properties": {"request_id": "r-cat"}}
    shop.load(
        [
            Told("e1", "view", 1, items=(("w", None, None),)),
            Told("e2", "click", 6, items=(("y", None, None),)),
            Told("e3", "click", 8, items=(("x", None, None),)),
            Told("e4", "purchase", 20, items=(("x", 10.0, 2.0), ("k", 1.0, 1.0)), **bob),
            Told("e5", "impression", 7, **of_cat),
            Told("e6", "add", 30, items=(("y", None, None),), **of_cat),
            Told("e7", "click", 31, items=(("z", None, None),)),
        ]
    )
    made = shop.transform()
    assert not OUTCOME_TABLES & {model.name for model in made.models}  # nobody asked yet
    load_answers(
        shop,
        [
            Shown("a1", 0, ("x", "y", "z"), session=("v", "w")),
            Shown("a2", 5, ("y", "q")),
            Shown("a3", 6, ("x",), visitor_id=None, session_id="s-bob", version=2),
            Shown(
                "a4",
                7,
                ("x", "y"),
                None,
                request_id="r-cat",
                version=2,
                from_model=0,
                fallback="popular",
            ),
            Shown("a5", 0, ("x",), session=("v", "w"), version=3, role=Role.SHADOW),
            Shown("a6", 0, (), "dan", version=3, error="ZeroDivisionError"),
        ],
    )
    assert shop.transform().outcome is Outcome.INCREMENTAL

    items = "SELECT left(answer_id, 2), item_id, {} FROM marts.shown_items WHERE {} ORDER BY ALL"
    clicked = items.format("clicked_at", "clicked_at IS NOT NULL")
    assert shop.rows(clicked) == [("a1", "x", at(8)), ("a2", "y", at(6))]
    bought = items.format("purchased_at, revenue", "purchased_at IS NOT NULL")
    assert shop.rows(bought) == [("a3", "x", at(20), Decimal(20))]
    told = items.format(
        "impressed_at, added_at", "impressed_at IS NOT NULL OR added_at IS NOT NULL"
    )
    assert shop.rows(told) == [("a4", "x", at(7), None), ("a4", "y", at(7), at(30))]
    nexts = "SELECT left(answer_id, 2), next_item, next_position FROM marts.answers ORDER BY ALL"
    assert shop.rows(nexts) == [
        ("a1", "y", 2),
        ("a2", "y", 1),
        ("a3", "x", 1),
        ("a4", "y", 2),
        ("a5", "y", None),
        ("a6", None, None),
    ]
    days = (
        "SELECT version, role, value, visitors, answers, errors, impressions, clicks, adds, "
        "purchases, revenue, followed, hits_5, reciprocal_rank FROM marts.outcome_daily "
        "WHERE slice = '{}' ORDER BY ALL"
    )
    assert shop.rows(days.format("all")) == [
        (1, "champion", "all", 1, 2, 0, 0, 2, 0, 0, Decimal(0), 2, 2, Decimal("1.5")),
        (2, "champion", "all", 2, 2, 0, 1, 0, 1, 1, Decimal(20), 2, 2, Decimal("1.5")),
        (3, "champion", "all", 1, 1, 1, 0, 0, 0, 0, Decimal(0), 0, 0, Decimal(0)),
        (3, "shadow", "all", 1, 1, 0, 0, 0, 0, 0, Decimal(0), 1, 0, Decimal(0)),
    ]
    assert [row[:5] for row in shop.rows(days.format("source"))] == [
        (1, "champion", "model", 1, 2),
        (2, "champion", "model", 1, 1),
        (2, "champion", "popular", 1, 1),
        (3, "champion", "error", 1, 1),
        (3, "shadow", "model", 1, 1),
    ]
    assert [row[2:5] for row in shop.rows(days.format("session"))[:2]] == [
        ("0", 1, 1),
        ("2-4", 1, 1),
    ]
    assert [(*row[:5], row[8]) for row in shop.rows(days.format("position"))][3:5] == [
        (2, "champion", "1", 2, 2, 0),
        (2, "champion", "2", 1, 1, 1),
    ]
    # An impression makes no session longer.
    assert shop.rows("SELECT events FROM marts.sessions WHERE visitor_id = 'cat'") == [(1,)]
    squares = shop.rows(
        "SELECT answers_squared, clicks_squared, clicks_product FROM marts.outcome_daily "
        "WHERE slice = 'all' AND version = 1"
    )
    assert squares == [(4, 4, 4)]

    # A late click that names the older answer counts for that one.
    shop.load([Told("e8", "click", 9, items=(("y", None, None),), properties={"request_id": "a1"})])
    shop.transform()
    late = [("a1", "x", at(8)), ("a1", "y", at(9)), ("a2", "y", at(6))]
    assert shop.rows(clicked) == late

    # What a click is, the settings say.
    assert shop.transform(clicks=("view", "add")).outcome is Outcome.FULL
    assert shop.rows(clicked) == [("a4", "y", at(30))]


def test_any_split_into_increments_equals_the_reference_and_the_rebuild(shop: Shop) -> None:
    seed = 1
    chance = random.Random(seed)
    loads = random_loads(seed, named_events(seed), count=2)
    shown = random_answers(seed)
    parts: list[list[Shown]] = [[], []]
    for answer in shown:
        parts[chance.randrange(2)].append(answer)
    for events, answers in zip(loads, parts, strict=True):
        shop.load(events)
        load_answers(shop, answers)
        assert shop.transform().outcome in (Outcome.FULL, Outcome.INCREMENTAL)

    found = shop.rows(
        "SELECT tenant, split_part(answer_id, '.', 1), position, impressed_at, clicked_at, "
        "added_at, purchased_at, revenue FROM marts.shown_items"
    )
    assert {row[:3]: row[3:] for row in found} == outcomes(loads, shown)
    nexts = shop.rows(
        "SELECT tenant, split_part(answer_id, '.', 1), next_item, next_position FROM marts.answers"
    )
    assert {row[:2]: row[2:] for row in nexts} == next_positions(loads, shown)
    hashes = shop.hashes()
    shop.transform(full_refresh=True)
    assert shop.hashes() == hashes
    assert set(hashes) >= OUTCOME_TABLES
