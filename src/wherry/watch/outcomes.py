"""Outcomes: what came of the answers, with intervals, by release, day, position or slice.

A figure is a ratio of two sums, such as clicks over answers. Answers to one visitor are no
independent trials, so its variance is that of a ratio over clusters, a cluster being a
visitor's answers of one day (Cochran, Sampling Techniques, 1977, 6.4 and 9A): with totals
``y`` and ``n`` by visitor and ``R = Σy / Σn``,

    ``var = V / (V - 1) · (Σy² - 2 R Σyn + R² Σn²) / (Σn)²``

over ``V`` clusters. A share gets Wilson's score interval with the number of answers that would
have that variance if they were independent (``R (1 - R) / var``), which keeps it between 0 and 1
where there are few clicks. Any other mean gets ``R ± 1.96 √var``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, sqrt
from typing import Literal

import duckdb
import msgspec

from wherry.domain import TenantId

By = Literal["model", "day", "position", "session", "source", "category"]
"""What the figures are told by. ``session``: how many items the answer was asked about.
``source``: whether the model filled it. Those by position and category count items shown."""

_Z = 1.959964
_OF_ANSWERS = ("clicks", "adds", "purchases", "revenue")
_OF_FOLLOWED = ("hits_5", "hits_10", "hits_20", "reciprocal_rank")
_COUNTS = ("visitors", "answers", "errors", "impressions", "followed")
_SUMS = (
    *_COUNTS,
    *("answers_squared", "followed_squared"),
    *(
        f"{name}{sum}"
        for name in (*_OF_ANSWERS, *_OF_FOLLOWED)
        for sum in ("", "_squared", "_product")
    ),
)

_SHOWN = "role <> 'shadow'"
_KEYS: dict[str, tuple[str, str, str]] = {
    "model": (
        "model || '@' || version || CASE role WHEN 'champion' THEN '' ELSE ' (' || role || ')' END",
        "slice = 'all'",
        "min(version) DESC, 1",
    ),
    "day": ("day::VARCHAR", f"slice = 'all' AND {_SHOWN}", "1 DESC"),
    "position": ("value", f"slice = 'position' AND {_SHOWN}", "min(value::BIGINT)"),
    "session": ("value", f"slice = 'session' AND {_SHOWN}", "1"),
    "source": ("value", f"slice = 'source' AND {_SHOWN}", "sum(answers) DESC, 1"),
    "category": ("value", f"slice = 'category' AND {_SHOWN}", "sum(answers) DESC, 1"),
}

# The catalogue changes, so that a table of figures by category would, too: they are made when
# they are asked for, from what was shown and today's categories.
_BY_CATEGORY = """
SELECT tenant, day, role, 'category' AS slice, value, count(*) AS visitors, 0 AS errors,
    sum(n) AS answers, sum(i) AS impressions, sum(c) AS clicks, sum(a) AS adds,
    sum(p) AS purchases, sum(r) AS revenue, sum(n * n) AS answers_squared,
    sum(c * c) AS clicks_squared, sum(c * n) AS clicks_product,
    sum(a * a) AS adds_squared, sum(a * n) AS adds_product,
    sum(p * p) AS purchases_squared, sum(p * n) AS purchases_product,
    sum(r * r) AS revenue_squared, sum(r * n) AS revenue_product,
    0 AS followed, 0 AS followed_squared, {nothing}
FROM (
    SELECT tenant, shown.answered_at::DATE AS day, shown.role, answers.who,
        coalesce(items.category, 'none') AS value, count(*) AS n, count(shown.impressed_at) AS i,
        count(shown.clicked_at) AS c, count(shown.added_at) AS a, count(shown.purchased_at) AS p,
        sum(shown.revenue)::DOUBLE AS r
    FROM lake.marts.shown_items AS shown
    JOIN lake.marts.answers AS answers USING (tenant, answer_id)
    LEFT JOIN lake.marts.items AS items USING (tenant, item_id)
    WHERE tenant = $tenant AND shown.answered_at >= $since
    GROUP BY ALL)
GROUP BY ALL
"""


class Rate(msgspec.Struct, frozen=True):
    """A figure with its 95% interval; without one where a single visitor was all there was."""

    value: float
    low: float | None
    high: float | None


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a part of the answers, such as those of one release.

    ``answers`` are those given, failed ones (``errors``) included; ``impressions`` those that
    the shop's page reported as seen. ``click_through``, ``add_rate`` and ``conversion`` are the
    shares of answers with an item clicked, added, bought; ``revenue_per_thousand`` is that of
    items shown. Of the answers that were ``followed`` by an interaction, ``hr_5``, ``hr_10`` and
    ``hr_20`` are the shares that showed its item among the first so many, and ``mrr`` the mean
    reciprocal of its place. A figure is None where nothing has it.
    """

    part: str
    visitors: int
    answers: int
    errors: int
    impressions: int
    followed: int
    click_through: Rate | None
    add_rate: Rate | None
    conversion: Rate | None
    revenue_per_thousand: Rate | None
    hr_5: Rate | None
    hr_10: Rate | None
    hr_20: Rate | None
    mrr: Rate | None


def read_outcomes(
    con: duckdb.DuckDBPyConnection, tenant: TenantId, *, by: By = "model", days: int = 28
) -> tuple[Outcomes, ...]:
    """Read a tenant's outcomes of the newest ``days`` with answers from the attached snapshot.

    Empty where no answer has been logged. Answers that nobody saw (of a shadow) count by
    ``model`` alone.
    """
    since = _since(con, tenant, days)
    if since is None:
        return ()
    part, condition, order = _KEYS[by]
    nothing = ", ".join(
        f"0 AS {name}{sum}" for name in _OF_FOLLOWED for sum in ("", "_squared", "_product")
    )
    table = f"({_BY_CATEGORY.format(nothing=nothing)})" if by == "category" else _TABLE
    sums = ", ".join(f"sum({name})::DOUBLE" for name in _SUMS)
    rows = con.execute(
        f"SELECT {part} AS part, {sums} FROM {table} "
        f"WHERE tenant = $tenant AND day >= $since AND {condition} GROUP BY 1 ORDER BY {order}",
        {"tenant": tenant, "since": since},
    ).fetchall()
    return tuple(_outcomes(name, dict(zip(_SUMS, row, strict=True))) for name, *row in rows)


_TABLE = "lake.marts.outcome_daily"


def _since(con: duckdb.DuckDBPyConnection, tenant: TenantId, days: int) -> object | None:
    """The first of the newest days; None where there are no outcomes."""
    there = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'marts' "
        "AND table_name = 'outcome_daily'"
    ).fetchone()
    if not there:
        return None
    row = con.execute(
        f"SELECT max(day) - ($days - 1)::INTEGER FROM {_TABLE} WHERE tenant = $tenant",
        {"tenant": tenant, "days": days},
    ).fetchone()
    return row[0] if row else None


def _outcomes(part: str, sums: Mapping[str, float]) -> Outcomes:
    def share(name: str, base: str = "answers") -> Rate | None:
        return _share(*_moments(sums, name, base))

    revenue = _mean(*_moments(sums, "revenue", "answers"))
    return Outcomes(
        part=part,
        **{name: int(sums[name]) for name in _COUNTS},
        click_through=share("clicks"),
        add_rate=share("adds"),
        conversion=share("purchases"),
        revenue_per_thousand=_scaled(revenue, 1000),
        hr_5=share("hits_5", "followed"),
        hr_10=share("hits_10", "followed"),
        hr_20=share("hits_20", "followed"),
        mrr=_mean(*_moments(sums, "reciprocal_rank", "followed"), most=1.0),
    )


def _moments(sums: Mapping[str, float], name: str, base: str) -> tuple[float, float, float, float]:
    """A ratio, its variance (infinite where it can't be told), its base and the clusters."""
    total, n, clusters = sums[name], sums[base], sums["visitors"]
    if not n:
        return 0.0, 0.0, 0.0, 0.0
    ratio = total / n
    spread = (
        sums[f"{name}_squared"]
        - 2 * ratio * sums[f"{name}_product"]
        + ratio**2 * sums[f"{base}_squared"]
    )
    factor = clusters / (clusters - 1) if clusters > 1 else inf
    variance = factor * max(spread, 0.0) / n**2 if clusters > 1 else inf
    return ratio, variance, n, clusters


def _share(ratio: float, variance: float, n: float, clusters: float) -> Rate | None:
    """Wilson's interval, with as many trials as would have the variance."""
    if not n:
        return None
    if variance == inf:
        return Rate(ratio, None, None)
    free = ratio * (1 - ratio)
    trials = min(free / variance, n) if variance > 0 and free > 0 else min(clusters, n)
    square = _Z**2 / trials
    middle = (ratio + square / 2) / (1 + square)
    half = _Z * sqrt(free / trials + square / (4 * trials)) / (1 + square)
    return Rate(ratio, max(middle - half, 0.0), min(middle + half, 1.0))


def _mean(
    ratio: float, variance: float, n: float, clusters: float, *, most: float = inf
) -> Rate | None:
    if not n:
        return None
    if variance == inf:
        return Rate(ratio, None, None)
    half = _Z * sqrt(variance)
    return Rate(ratio, max(ratio - half, 0.0), min(ratio + half, most))


def _scaled(rate: Rate | None, by: float) -> Rate | None:
    if rate is None or rate.low is None or rate.high is None:
        return rate and Rate(rate.value * by, None, None)
    return Rate(rate.value * by, rate.low * by, rate.high * by)
