from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from session_events import sessions_of, shuffled, time_of
from transform_shop import (
    START,
    Shop,
    Told,
    first_tellings,
    random_events,
    random_loads,
    sessionise,
)
from wherry.config.settings import Audit
from wherry.domain import Event, ItemId, TenantId
from wherry.domain.session import fold
from wherry.errors import TransformError
from wherry.learn.dataset import Dataset, read_dataset
from wherry.transform import Outcome, audit, is_up_to_date

INTERACTIONS = ("view", "click", "add", "purchase")


@pytest.fixture(scope="module")
def used_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(used_shop: Shop) -> Shop:
    return used_shop.empty()


@settings(
    max_examples=2,
    derandomize=True,
    # An example holds hundreds of events and takes seconds: a smaller one would say no more.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32), stops=st.sets(st.sampled_from([0, 1]), min_size=1))
def test_any_split_into_increments_equals_the_reference_and_the_rebuild(
    used_shop: Shop, seed: int, stops: set[int]
) -> None:
    shop = used_shop.empty()
    loads = random_loads(seed, random_events(seed), count=3)
    for number, load in enumerate(loads):
        shop.load(load)
        if number in stops:
            shop.transform()
    shop.transform()

    events = first_tellings(loads)
    session = sessionise(loads)
    _check_sessions(shop, events, session)
    _check_one_by_one(shop, shuffled(loads, seed))
    _check_interactions(shop, events, session)
    _check_days(shop, events, session)
    _check_items(shop, events)

    hashes = shop.hashes()
    shop.transform(full_refresh=True)
    assert shop.hashes() == hashes


def _check_sessions(shop: Shop, events: list[Told], session: dict[tuple[str, str], str]) -> None:
    found = shop.rows("SELECT tenant, event_id, session_id FROM marts.events")
    assert {(tenant, event): name for tenant, event, name in found} == session
    assert len(found) == len(session)
    held: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for event in events:
        held[event.tenant, session[event.tenant, event.event_id]].append(event)
    expected = {
        key: (
            min(e.at for e in its),
            max(e.at for e in its),
            len(its),
            sum(e.event_type == "purchase" for e in its),
            float(sum((_revenue(e) for e in its), Decimal(0))),
            len({i for e in its if e.event_type in INTERACTIONS for i, _, _ in e.items}),
        )
        for key, its in held.items()
    }
    rows = shop.rows(
        "SELECT tenant, session_id, started_at, ended_at, events, purchases, revenue, items "
        "FROM marts.sessions"
    )
    assert {(row[0], row[1]): row[2:] for row in rows} == expected
    assert len(rows) == len(expected)


def _check_one_by_one(shop: Shop, events: list[Event]) -> None:
    """Events that come one by one, in any order, make the same sessions, and those that the
    training set holds."""
    found = sessions_of(events)
    spans = shop.rows("SELECT tenant, session_id, started_at, ended_at FROM marts.sessions")
    assert {(tenant, name): (start, end) for tenant, name, start, end in spans} == {
        key: (time_of(each.started_at), time_of(each.ended_at)) for key, each in found.items()
    }
    for tenant in ("default", "north"):
        with shop.lake.reader() as con:
            learned = _learned(read_dataset(con, TenantId(tenant), min_session_length=1))
        assert len(learned) > 10
        assert learned == {
            name: fold(each.items, each.kinds)
            for (its_tenant, name), each in found.items()
            if its_tenant == tenant and each.items
        }


def _learned(dataset: Dataset) -> dict[str, list[ItemId]]:
    assert dataset.session_ids is not None
    bounds = dataset.sessions.offsets
    return {
        name: [dataset.vocabulary.ids[item] for item in dataset.sessions.items[start:end]]
        for name, start, end in zip(
            dataset.session_ids.to_pylist(), bounds[:-1], bounds[1:], strict=True
        )
    }


def _check_interactions(
    shop: Shop, events: list[Told], session: dict[tuple[str, str], str]
) -> None:
    expected = Counter(
        (
            *(e.tenant, session[e.tenant, e.event_id], e.visitor_id or e.session_id, item),
            *(e.event_type, e.at, price, quantity, e.event_id, position),
        )
        for e in events
        if e.event_type in INTERACTIONS
        for position, (item, price, quantity) in enumerate(e.items, start=1)
    )
    found = shop.rows(
        "SELECT tenant, session_id, visitor_id, item_id, event_type, occurred_at, price, quantity, "
        "event_id, position FROM marts.interactions"
    )
    assert Counter(found) == expected


def _check_days(shop: Shop, events: list[Told], session: dict[tuple[str, str], str]) -> None:
    started: dict[tuple[str, str], datetime] = {}
    for event in events:
        key = event.tenant, session[event.tenant, event.event_id]
        started[key] = min(event.at, started.get(key, event.at))
    of_day: dict[tuple[str, object], list[Told]] = defaultdict(list)
    for event in events:
        of_day[event.tenant, event.at.date()].append(event)
    sessions = Counter((tenant, at.date()) for (tenant, _), at in started.items())
    expected = {
        (tenant, day): (
            len(its),
            sessions[tenant, day],
            len({e.visitor_id or e.session_id for e in its}),
            len({_transaction(e) for e in its if e.event_type == "purchase"}),
            float(sum((_revenue(e) for e in its), Decimal(0))),
        )
        for (tenant, day), its in of_day.items()
    }
    rows = shop.rows(
        "SELECT tenant, day, events, sessions, visitors, transactions, revenue "
        "FROM marts.overview_daily"
    )
    assert {(row[0], row[1]): row[2:] for row in rows} == expected
    hours = Counter((e.tenant, e.at.replace(minute=0, second=0, microsecond=0)) for e in events)
    rows = shop.rows("SELECT tenant, hour, events FROM marts.overview_hourly")
    assert {(tenant, hour): n for tenant, hour, n in rows} == hours
    rows = shop.rows("SELECT tenant, day, sessions FROM marts.session_statistics")
    assert {(tenant, day): n for tenant, day, n in rows} == sessions


def _check_items(shop: Shop, events: list[Told]) -> None:
    seen: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for event in events:
        for item, _, _ in event.items if event.event_type in INTERACTIONS else ():
            seen[event.tenant, item].append(event)
    expected = {
        key: (
            min(e.at for e in its),
            max(e.at for e in its),
            sum(e.event_type == "view" for e in its),
            sum(e.event_type == "purchase" for e in its),
        )
        for key, its in seen.items()
    }
    rows = shop.rows(
        "SELECT tenant, item_id, first_seen_at, last_seen_at, views, purchases FROM marts.items"
    )
    assert {(row[0], row[1]): row[2:] for row in rows} == expected


def _revenue(event: Told) -> Decimal:
    if event.event_type != "purchase":
        return Decimal(0)
    priced = [
        Decimal(str(price)) * Decimal(str(1.0 if quantity is None else quantity))
        for _, price, quantity in event.items
        if price is not None
    ]
    return sum(priced, Decimal(0))


def _transaction(event: Told) -> object:
    return (event.properties or {}).get("transaction_id", event.event_id)


def test_late_events_correct_exactly_the_sessions_that_they_touch(shop: Shop) -> None:
    shop.load(
        [
            Told("ann 1", minute=1420),
            Told("ann 2", minute=1450, items=(("tea", 1.0, 1.0),)),  # midnight, and just the gap
            Told("ann 3", minute=1510, items=(("cup", 2.0, 1.0),)),
            Told("bob 1", minute=1510, visitor_id="bob"),
            Told("cat 1", minute=10, visitor_id="cat", session_id="given"),
        ]
    )
    assert shop.transform().outcome is Outcome.FULL
    first, third = (f"ann~{_milliseconds(minute)}" for minute in (1420, 1510))
    assert _sessions(shop) == {first: 2, third: 1, f"bob~{_milliseconds(1510)}": 1, "given": 1}
    assert shop.transform().outcome is Outcome.NOTHING_NEW

    # It lies in between, so two sessions are one; a duplicate a month later changes nothing.
    shop.load(
        [
            Told("ann late", minute=1480),
            Told("cat 2", minute=60_000, visitor_id="cat", session_id="given"),
            Told("bob 1", minute=45_000, visitor_id="bob"),
        ]
    )
    done = shop.transform()
    assert (done.outcome, done.rows) == (Outcome.INCREMENTAL, 2)
    assert _sessions(shop) == {first: 4, f"bob~{_milliseconds(1510)}": 1, "given": 2}
    assert shop.rows("SELECT DISTINCT session_id FROM marts.interactions") == [(first,)]

    # An earlier start renames the session; a microsecond more than the gap does not join it.
    shop.load(
        [
            Told("ann early", minute=1400),
            Told("ann apart", minute=1370 - 1 / 60e6),
        ]
    )
    shop.transform()
    renamed = f"ann~{_milliseconds(1400)}"
    assert {s: n for s, n in _sessions(shop).items() if s.startswith("ann")} == {
        renamed: 5,
        f"ann~{_milliseconds(1370) - 1}": 1,
    }
    assert shop.rows("SELECT DISTINCT session_id FROM marts.interactions") == [(renamed,)]
    hashes = shop.hashes()

    left_out = shop.load([Told("dan 1", visitor_id="dan")])
    options = {"gap_minutes": 30.0, "exclude_loads": (left_out,)}
    assert not is_up_to_date(shop.lake, shop.transforms_folder, **options)
    assert shop.transform(**options).outcome is Outcome.FULL
    assert shop.hashes() == hashes
    assert is_up_to_date(shop.lake, shop.transforms_folder, **options)


def _sessions(shop: Shop) -> dict[str, int]:
    return dict(shop.rows("SELECT session_id, events FROM marts.sessions"))


def _milliseconds(minute: float) -> int:
    return (START + timedelta(minutes=minute) - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


def test_the_newest_telling_of_an_item_wins_whenever_it_arrives(shop: Shop) -> None:
    shop.load([Told("1", items=(("tea", 1.0, 1.0), ("unknown", 1.0, 1.0)))])
    shop.tell_items(
        {"item_id": "tea", "name": "new", "price": 3.0, "received_at": START + timedelta(days=2)},
        {"item_id": "unseen", "name": "only told"},
    )
    shop.transform()
    shop.tell_items(
        {"item_id": "tea", "name": "late", "price": 1.0, "received_at": START + timedelta(days=1)},
        {"item_id": "unseen", "name": "told again, the same moment"},
    )
    shop.load([Told("2", event_type="purchase", minute=5, items=((" tea ", 1.0, 2.0),))])
    shop.transform()
    rows = "SELECT item_id, name, price, in_catalogue, views, purchases FROM marts.items ORDER BY 1"
    assert shop.rows(rows) == [
        ("tea", "new", 3.0, True, 1, 1),
        ("unknown", None, None, False, 1, 0),
        ("unseen", "told again, the same moment", None, True, 0, 0),
    ]
    hashes = shop.hashes()
    shop.transform(full_refresh=True)
    assert shop.hashes() == hashes


def test_availability_is_as_it_was_told_last_in_whatever_order_that_is_loaded(shop: Shop) -> None:
    rng = Random(7)
    by: dict[tuple[str, str], tuple[int, int, bool | None]] = {}
    for place in range(24):
        item, source = f"i{rng.randrange(6)}", rng.choice(["http", "file"])
        available, hour = rng.choice([True, False, None]), rng.randrange(6)
        at = START + timedelta(hours=hour)
        if source == "http":
            available = bool(available)
            shop.tell_availability(item, available, at)
        else:
            shop.tell_items({"item_id": item, "available": available, "received_at": at})
        before = by.get((item, source))
        if before is None or (hour, place) > before[:2]:
            by[item, source] = (hour, place, available)
        if place in (7, 15):
            shop.transform()
    shop.transform()
    expected = []
    for item in sorted({item for item, _ in by}):
        listed, live = by.get((item, "file")), by.get((item, "http"))
        found, hour = (listed[2], listed[0]) if listed else (None, 0)
        if live and (found is None or live[0] >= hour):
            found, hour = live[2], live[0]
        told_at = None if found is None else START + timedelta(hours=hour)
        expected.append((item, found, told_at, listed is not None))
    rows = "SELECT item_id, available, available_told_at, in_catalogue FROM marts.items ORDER BY 1"
    assert shop.rows(rows) == expected
    hashes = shop.hashes()
    shop.transform(full_refresh=True)
    assert shop.hashes() == hashes


def test_events_are_cleaned_and_odd_values_break_nothing(shop: Shop) -> None:
    shop.load(
        [
            Told(" a ", event_type=" View ", visitor_id="  ", session_id=" s "),
            Told(
                "b",
                event_type="purchase",
                items=(("x", 1e300, 2.0), ("y", 0.1, 3.0), (" ", None, None)),
            ),
            Told("c", event_type="purchase", minute=-30_000_000.0, items=(("x", None, None),)),
            Told(
                "d", event_type="purchase", minute=-30_000_001.0, properties={"transaction_id": 7}
            ),
        ]
    )
    shop.transform()
    assert shop.rows(
        "SELECT event_type, visitor_id, session_id FROM marts.events WHERE event_id = 'a'"
    ) == [("view", "s", "s")]
    revenue = "SELECT event_id, revenue, transaction_id FROM marts.events WHERE revenue > 0"
    assert shop.rows(revenue) == [("b", Decimal("0.3"), "b")]
    assert shop.rows("SELECT transaction_id FROM marts.events WHERE event_id = 'd'") == [("7",)]
    # Long before 1970 a minute apart is one session too.
    assert shop.rows("SELECT count(*) FROM marts.sessions WHERE started_at < '1970-01-01'") == [
        (1,)
    ]
    assert shop.rows("SELECT count(*) FROM marts.interactions") == [(3,)]


def test_no_row_and_no_audit_of_one_tenant_depends_on_another(shop: Shop) -> None:
    events = random_events(7, tenants=("default", "north"))
    alone = [event for event in events if event.tenant == "default"]
    shop.load(alone[:200])
    shop.load(alone[200:])
    tests = shop.transform().tests
    before = _figures(shop), _verdict(shop, tests)

    shop.empty()
    noise = [replace(e, event_id=f"{e.event_id} again", event_type="odd") for e in events[:150]]
    others = [replace(event, tenant="north") for event in [*events, *noise]]
    shop.load([*alone[:200], *others[::2]])
    shop.transform()
    shop.load([*others[1::2], *alone[200:]])
    shop.reject("north", rows=5_000, load_id=1)
    tests = shop.transform().tests
    assert (_figures(shop), _verdict(shop, tests)) == before
    assert not audit_of(shop, "north", tests).passed


def _figures(shop: Shop) -> dict[str, list[tuple[object, ...]]]:
    tables = [
        name
        for (name,) in shop.rows(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts'"
        )
    ]
    assert len(tables) == 7
    return {
        name: sorted(shop.rows(f"SELECT * FROM marts.{name} WHERE tenant = 'default'"), key=repr)
        for name in tables
    }


def _verdict(shop: Shop, tests: tuple[object, ...]) -> object:
    return audit_of(shop, "default", tests)


def audit_of(shop: Shop, tenant: str, tests: tuple[object, ...]):
    with shop.lake.reader() as con:
        return audit(con, TenantId(tenant), Audit(), tests, START + timedelta(days=9))


def test_a_shop_adds_and_overrides_models_and_its_tests_block_the_tenants_they_name(
    shop: Shop,
) -> None:
    models = shop.transforms_folder / "models"
    models.mkdir(exist_ok=True)
    (models / "spenders.sql").write_text(
        "select tenant, visitor_id, sum(revenue) as revenue from {{ ref('sessions') }} group by all"
    )
    (models / "session_statistics.sql").write_text(
        "select tenant, count(*) as my_own from {{ ref('sessions') }} group by all"
    )
    tests = shop.transforms_folder / "tests"
    tests.mkdir(exist_ok=True)
    (tests / "nobody_buys_tea.sql").write_text(
        "select * from {{ ref('interactions') }} where item_id = 'tea' and event_type = 'purchase'"
    )
    (tests / "mistaken.sql").write_text(
        "{{ config(severity='warn') }} select no_column from {{ ref('spenders') }}"
    )
    tea = Told("1", event_type="purchase", items=(("tea", 2.0, 2.0),))
    shop.load([replace(tea, tenant="north"), replace(tea, items=(("cup", 1.0, 1.0),))])
    done = shop.transform()
    assert shop.rows("SELECT * FROM marts.spenders ORDER BY 1") == [
        ("default", "ann", 1.0),
        ("north", "ann", 4.0),
    ]
    assert shop.rows("SELECT * FROM marts.session_statistics ORDER BY 1") == [
        ("default", 1),
        ("north", 1),
    ]
    failed = {test.name: test for test in done.tests if not test.passed}
    assert set(failed) == {"nobody_buys_tea", "mistaken"}
    assert "no_column" in failed["mistaken"].error

    # Nothing new: the tests' results are remembered, so nothing bad is published after all.
    again = shop.transform()
    assert again.outcome is Outcome.NOTHING_NEW
    assert {test.name for test in again.tests if not test.passed} == set(failed)
    north = {c.name: c for c in _dbt_checks(shop, "north", again.tests)}
    default = {c.name: c for c in _dbt_checks(shop, "default", again.tests)}
    assert north["dbt: nobody_buys_tea"].is_blocking
    assert north["dbt: nobody_buys_tea"].sample[0]["item_id"] == "tea"
    assert default["dbt: nobody_buys_tea"].passed
    assert not default["dbt: mistaken"].passed
    assert not default["dbt: mistaken"].is_blocking


def _dbt_checks(shop: Shop, tenant: str, tests: tuple[object, ...]) -> list:
    rules = Audit(mean_session_length_low=-1, mean_session_length_high=-1)
    with shop.lake.reader() as con:
        verdict = audit(con, TenantId(tenant), rules, tests, START)
    return [check for check in verdict.checks if check.name.startswith("dbt:")]


def test_a_broken_model_is_named_and_leaves_the_lake_as_it_was(shop: Shop) -> None:
    shop.load([Told("1")])
    shop.transform()
    hashes = shop.hashes()
    shop.load([Told("2", minute=1)])
    broken = shop.transforms_folder / "models" / "mine.sql"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text("select no_such_column from {{ ref('sessions') }}")
    with pytest.raises(TransformError, match=r"'mine' \(models/mine.sql\).*no_such_column"):
        shop.transform()
    assert shop.hashes() == hashes
    assert not (shop.lake.folder / "catalog.before").exists()

    broken.write_text("select {{ no closing")
    with pytest.raises(TransformError, match="can't read the project"):
        shop.transform()
    broken.unlink()
    assert shop.transform().outcome is Outcome.INCREMENTAL
    assert shop.rows("SELECT events FROM marts.sessions") == [(2,)]
