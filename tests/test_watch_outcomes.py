"""Outcomes as they are told: sums over days, and intervals that hold what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest

from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.watch import Outcomes, Rate, read_outcomes
from wherry.watch.outcomes import _SUMS, _mean, _moments, _share

COLUMNS = {
    **{"tenant": "VARCHAR", "day": "DATE", "model": "VARCHAR", "version": "BIGINT"},
    **{"role": "VARCHAR", "rollout": "VARCHAR", "slice": "VARCHAR", "value": "VARCHAR"},
    **dict.fromkeys(_SUMS, "DECIMAL(38, 6)"),
}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """The marts in memory: DuckLake reads the same SQL."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake")
        con.execute("CREATE SCHEMA lake.marts")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        con.execute(f"CREATE TABLE lake.marts.outcome_daily ({columns})")
        yield con


def tell(con: duckdb.DuckDBPyConnection, **row: Any) -> None:
    """Add a row: answers of as many visitors, one each, so that squares are the sums."""
    n, clicks = row.get("answers", 100), row.get("clicks", 0)
    whole = {
        **{"tenant": "default", "day": "2026-03-01", "model": "recommender", "version": 1},
        **{"role": "champion", "slice": "all", "value": "all", **dict.fromkeys(_SUMS, 0)},
        **{"visitors": n, "answers": n, "answers_squared": n},
        **{"clicks_squared": clicks, "clicks_product": clicks, **row},
    }
    names, marks = ", ".join(whole), ", ".join("?" for _ in whole)
    con.execute(
        f"INSERT INTO lake.marts.outcome_daily ({names}) VALUES ({marks})", [*whole.values()]
    )


def parts(found: tuple[Outcomes, ...]) -> list[tuple[str, int]]:
    return [(each.part, each.answers) for each in found]


def test_days_add_up_and_each_part_is_told_by_its_own_word(con: duckdb.DuckDBPyConnection) -> None:
    tell(con, clicks=10)
    tell(con, clicks=30, day="2026-03-03")
    tell(con, answers=40, version=2, role="challenger", day="2026-03-03")
    tell(con, answers=40, version=2, role="shadow", day="2026-03-03")
    tell(con, answers=900, day="2026-01-01")
    tell(con, answers=7, tenant="north", day="2026-03-03")
    for place in (1, 2, 10):
        tell(con, answers=place, slice="position", value=str(place))
    by_model = read_outcomes(con, DEFAULT_TENANT)
    assert parts(by_model) == [
        ("recommender@2 (challenger)", 40),
        ("recommender@2 (shadow)", 40),
        ("recommender@1", 200),
    ]
    assert by_model[2].click_through is not None
    assert by_model[2].click_through.value == 0.2
    by_day = read_outcomes(con, DEFAULT_TENANT, by="day", days=2)
    assert parts(by_day) == [("2026-03-03", 140)]
    by_position = read_outcomes(con, DEFAULT_TENANT, by="position")
    assert parts(by_position) == [("1", 1), ("2", 2), ("10", 10)]
    assert by_position[0].click_through == Rate(0.0, None, None)  # one visitor tells no interval
    assert by_position[0].hr_10 is None


def test_without_answers_there_is_nothing_to_tell(con: duckdb.DuckDBPyConnection) -> None:
    assert read_outcomes(con, DEFAULT_TENANT) == ()
    con.execute("DROP TABLE lake.marts.outcome_daily")
    assert read_outcomes(con, TenantId("north"), by="day") == ()


def test_a_category_is_told_by_today_s_catalogue(con: duckdb.DuckDBPyConnection) -> None:
    tell(con)
    con.execute(
        "CREATE TABLE lake.marts.items AS "
        "SELECT 'default' AS tenant, 'x' AS item_id, 'c' AS category"
    )
    con.execute(
        "CREATE TABLE lake.marts.answers AS SELECT 'default' AS tenant, i::VARCHAR AS answer_id, "
        "i::VARCHAR AS who FROM range(4) AS a(i)"
    )
    con.execute(
        "CREATE TABLE lake.marts.shown_items AS SELECT 'default' AS tenant, "
        "(i % 4)::VARCHAR AS answer_id, TIMESTAMP '2026-03-01 10:00' AS answered_at, "
        "'champion' AS role, if(i < 4, 'x', 'y') AS item_id, NULL::TIMESTAMP AS impressed_at, "
        "if(i = 0, TIMESTAMP '2026-03-01 10:01', NULL) AS clicked_at, NULL::TIMESTAMP AS added_at, "
        "NULL::TIMESTAMP AS purchased_at, 2.5::DECIMAL(38, 4) AS revenue FROM range(6) AS s(i)"
    )
    one, none = read_outcomes(con, DEFAULT_TENANT, by="category")
    assert (one.part, one.answers, none.part, none.answers) == ("c", 4, "none", 2)
    assert one.click_through is not None
    assert one.click_through.value == 0.25
    assert one.revenue_per_thousand == Rate(2500.0, 2500.0, 2500.0)


def test_a_share_of_independent_answers_has_wilson_s_interval(
    con: duckdb.DuckDBPyConnection,
) -> None:
    tell(con, clicks=10)
    (row,) = read_outcomes(con, DEFAULT_TENANT)
    assert row.click_through is not None
    told = (row.click_through.low, row.click_through.high)
    assert told == pytest.approx((0.0552, 0.1744), rel=0.01)
    assert row.conversion is not None
    assert row.conversion.low == 0.0
    assert row.conversion.high == pytest.approx(0.0370, rel=0.01)


def moments(total: np.ndarray, base: np.ndarray) -> tuple[float, float, float, float]:
    sums = {
        **{"clicks": total.sum(), "clicks_squared": (total**2).sum()},
        **{"clicks_product": (total * base).sum(), "answers": base.sum()},
        **{"answers_squared": (base**2).sum(), "visitors": len(base)},
    }
    return _moments(sums, "clicks", "answers")


def holds(rate: Rate | None, truth: float) -> bool:
    assert rate is not None
    assert rate.low is not None
    assert rate.high is not None
    return rate.low <= truth <= rate.high


def test_intervals_hold_the_truth_as_often_as_they_say_although_visitors_differ() -> None:
    chance = np.random.default_rng(1)
    held = {"share": 0, "naive": 0, "mean": 0}
    runs = 400
    for _ in range(runs):
        base = chance.geometric(0.1, 600)
        habit = chance.beta(0.5, 4.5, 600)  # the mean visitor clicks on a tenth of the answers
        clicks = chance.binomial(base, habit)
        ratio, variance, n, clusters = moments(clicks, base)
        held["share"] += holds(_share(ratio, variance, n, clusters), 0.1)
        held["naive"] += holds(_share(ratio, ratio * (1 - ratio) / n, n, clusters), 0.1)
        paid = clicks * chance.gamma(2.0, 10.0, 600)
        held["mean"] += holds(_mean(*moments(paid, base)), 2.0)
    assert held["share"] > 0.92 * runs
    assert held["mean"] > 0.91 * runs
    assert held["naive"] < 0.80 * runs  # what taking the answers for independent would promise


def test_a_mean_reciprocal_rank_is_never_said_to_be_above_one(
    con: duckdb.DuckDBPyConnection,
) -> None:
    ranks = {f"reciprocal_rank{part}": 1 for part in ("", "_squared", "_product")}
    tell(con, answers=2, followed=2, followed_squared=2, **ranks)  # one first, one not shown
    (row,) = read_outcomes(con, DEFAULT_TENANT)
    assert row.mrr == Rate(0.5, 0.0, 1.0)
