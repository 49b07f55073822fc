"""The rules of ``[audit]``, one function each: a figure, its bound, and the rows that break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from wherry.config.settings import Audit
from wherry.domain import Check, TenantId
from wherry.lake import quote

OFF = -1
"""The bound that switches a rule off."""

_SAMPLE_ROWS = 5
_DAYS_BEFORE_A_MEDIAN_MEANS_ANYTHING = 7
_SESSIONS_BEFORE_A_MEAN_MEANS_ANYTHING = 20


@dataclass(frozen=True)
class Subject:
    """What is audited: one tenant's tables, the rules and the clock (UTC)."""

    con: duckdb.DuckDBPyConnection
    tenant: TenantId
    rules: Audit
    now: datetime

    @property
    def mine(self) -> str:
        """The condition on every table that keeps other tenants out."""
        return f"tenant = '{quote(self.tenant)}'"

    def figure(self, sql: str) -> float:
        """The one number that a query returns; 0 for none."""
        row = self.con.execute(sql).fetchone()
        return float(row[0]) if row and row[0] is not None else 0.0

    def sample(self, sql: str) -> tuple[dict[str, object], ...]:
        """A few of the rows that a query finds."""
        found = self.con.execute(f"SELECT * FROM ({sql}) LIMIT {_SAMPLE_ROWS}")
        names = [column[0] for column in found.description or []]
        return tuple(dict(zip(names, row, strict=True)) for row in found.fetchall())

    def check(
        self, name: str, passed: bool, figure: float, bound: str, message: str, sql: str
    ) -> Check:
        """A check that shows its message and sample only where it failed."""
        return Check(
            name=name,
            passed=passed,
            figure=figure,
            bound=bound,
            message="" if passed else message,
            sample=() if passed else self.sample(sql),
            sql=sql,
        )


def enough_events(subject: Subject) -> Check | None:
    """There are at least ``min_events`` events."""
    bound = subject.rules.min_events
    sql = f"SELECT * FROM marts.overview_daily WHERE {subject.mine} ORDER BY day DESC"
    count = subject.figure(f"SELECT sum(events) FROM ({sql})")
    message = f"There are {count:,.0f} events. Import more, or lower audit.min_events."
    return subject.check("enough events", count >= bound, count, f">= {bound}", message, sql)


def rejected_rows(subject: Subject) -> Check | None:
    """Of the rows that came in, no more than ``max_rejected_share`` could not be read.

    A row whose tenant can't be read counts for each tenant that its load brought events for, and
    for all if it brought none at all: nobody can tell whose it was.
    """
    bound = subject.rules.max_rejected_share
    if bound == OFF:
        return None
    # A load that staging leaves out came, as far as the marts go, never.
    kept = "load_id NOT IN (SELECT unnest(excluded) FROM meta.transforms)"
    sql = f"""SELECT * FROM raw.rejected AS line WHERE {kept} AND ({subject.mine} OR (
    coalesce(tenant, '') = '' AND (
        load_id IN (SELECT load_id FROM raw.events WHERE {subject.mine})
        OR load_id NOT IN (SELECT load_id FROM raw.events)
    )))"""
    rejected = subject.figure(f"SELECT count(*) FROM ({sql})")
    taken = subject.figure(f"SELECT sum(events) FROM marts.overview_daily WHERE {subject.mine}")
    share = rejected / (rejected + taken) if rejected else 0.0
    message = (
        f"{rejected:,.0f} rows could not be read ({share:.1%}). See their reasons in raw.rejected, "
        "correct the mapping in wherry.toml and import the file anew."
    )
    return subject.check("rejected rows", share <= bound, share, f"<= {bound}", message, sql)


def event_types(subject: Subject) -> Check | None:
    """No more than ``max_unknown_type_share`` of the events have a type outside ``event_types``."""
    bound, known = subject.rules.max_unknown_type_share, subject.rules.event_types
    if bound == OFF or not known:
        return None
    words = ", ".join(f"'{quote(word)}'" for word in known)
    sql = f"SELECT * FROM marts.events WHERE {subject.mine} AND event_type NOT IN ({words})"
    share = subject.figure(
        f"SELECT avg((event_type NOT IN ({words}))::INTEGER) FROM marts.events WHERE {subject.mine}"
    )
    message = (
        f"{share:.1%} of the events have a type that is not in audit.event_types. "
        "Rename the types in the import's mapping, or add them to the list."
    )
    return subject.check("event types", share <= bound, share, f"<= {bound}", message, sql)


def volume(subject: Subject) -> Check | None:
    """The newest whole day holds about as many events as the median of the days before it.

    A day is whole if a later one has begun. A day without an event counts as 0. There is
    nothing to compare with until a week has gone before.
    """
    low, high = subject.rules.volume_low, subject.rules.volume_high
    if low == OFF and high == OFF:
        return None
    sql = f"""WITH seen AS (SELECT day, events FROM marts.overview_daily WHERE {subject.mine}),
calendar AS (
    SELECT unnest(generate_series(
        greatest(min(day) + 1, max(day) - {subject.rules.trailing_days + 1}),
        max(day) - 1, INTERVAL 1 DAY))::DATE AS day
    FROM seen
)
SELECT day, coalesce(events, 0) AS events
FROM calendar LEFT JOIN seen USING (day) ORDER BY day DESC"""
    counts = [float(row[1]) for row in subject.con.execute(sql).fetchall()]
    if len(counts) <= _DAYS_BEFORE_A_MEDIAN_MEANS_ANYTHING:
        return subject.check("volume of the newest day", True, 1.0, "too few days yet", "", sql)
    median = _median(counts[1:])
    ratio = counts[0] / median if median else 1.0
    passed = (low == OFF or ratio >= low) and (high == OFF or ratio <= high)
    message = (
        f"The newest whole day has {counts[0]:,.0f} events, {ratio:.2f} times the median of "
        f"{median:,.0f}. Look for a broken or doubled source, or widen audit.volume_low and "
        "audit.volume_high."
    )
    return subject.check(
        "volume of the newest day", passed, ratio, _between(low, high), message, sql
    )


def session_length(subject: Subject) -> Check | None:
    """On each of the newest days, the mean length of a session (in events) keeps its bounds.

    Days with a handful of sessions are left out: one long visit would decide there.
    """
    low, high = subject.rules.mean_session_length_low, subject.rules.mean_session_length_high
    if low == OFF and high == OFF:
        return None
    newest = f"""SELECT * FROM marts.session_statistics WHERE {subject.mine}
AND sessions >= {_SESSIONS_BEFORE_A_MEAN_MEANS_ANYTHING} AND day > (
    SELECT max(day) FROM marts.session_statistics WHERE {subject.mine}
) - {subject.rules.trailing_days}"""
    is_out = " OR ".join(
        [f"mean_length < {low}"] * (low != OFF) + [f"mean_length > {high}"] * (high != OFF)
    )
    sql = f"SELECT * FROM ({newest}) WHERE {is_out} ORDER BY day DESC"
    bad_days = subject.figure(f"SELECT count(*) FROM ({sql})")
    worst = subject.figure(
        f"SELECT mean_length FROM ({sql if bad_days else newest}) ORDER BY day DESC LIMIT 1"
    )
    message = (
        f"On {bad_days:.0f} of the newest days the mean session has too few or too many events "
        f"({worst:.1f} on the newest of them). Check that the ids of sessions and visitors are "
        "the right columns, or move audit.mean_session_length_low and _high."
    )
    return subject.check(
        "mean session length", bad_days == 0, worst, _between(low, high), message, sql
    )


def freshness(subject: Subject) -> Check | None:
    """The newest event is no older than ``max_age_hours``."""
    bound = subject.rules.max_age_hours
    if bound == OFF:
        return None
    sql = (
        f"SELECT max(ended_at) AS newest, date_diff('second', max(ended_at), "
        f"TIMESTAMP '{subject.now:%Y-%m-%d %H:%M:%S}') / 3600 AS age_hours "
        f"FROM marts.sessions WHERE {subject.mine}"
    )
    row = subject.con.execute(sql).fetchone()
    age = float(row[1]) if row and row[1] is not None else float("inf")
    message = (
        f"The newest event is {age:,.1f} hours old. See whether events still come in, "
        "or raise audit.max_age_hours."
    )
    return subject.check("freshness", age <= bound, age, f"<= {bound} hours", message, sql)


def known_items(subject: Subject) -> Check | None:
    """Of the interactions, no more than ``max_unknown_item_share`` are with an item that the
    catalogue does not hold. Without a catalogue there is nothing to hold them against.
    """
    bound = subject.rules.max_unknown_item_share
    has_catalogue = subject.figure(
        f"SELECT count(*) FROM marts.items WHERE {subject.mine} AND in_catalogue"
    )
    if bound == OFF or not has_catalogue:
        return None
    uses = "views + clicks + adds + purchases"
    sql = (
        f"SELECT tenant, item_id, {uses} AS interactions, last_seen_at FROM marts.items "
        f"WHERE {subject.mine} AND NOT in_catalogue ORDER BY interactions DESC, item_id"
    )
    unknown = subject.figure(f"SELECT sum(interactions) FROM ({sql})")
    total = subject.figure(f"SELECT sum({uses}) FROM marts.items WHERE {subject.mine}")
    share = unknown / total if total else 0.0
    message = (
        f"{share:.1%} of the interactions are with items that the catalogue does not hold. "
        "Import a newer catalogue, or raise audit.max_unknown_item_share."
    )
    return subject.check("known items", share <= bound, share, f"<= {bound}", message, sql)


def no_gaps(subject: Subject) -> Check | None:
    """Within the newest ``trailing_days`` no run of hours without an event is too long.

    The hours come from a calendar, not from the events, so a missing one is found.
    """
    bound = subject.rules.max_gap_hours
    if bound == OFF:
        return None
    runs = f"""WITH seen AS (SELECT hour FROM marts.overview_hourly WHERE {subject.mine}),
calendar AS (
    SELECT unnest(generate_series(
        greatest(min(hour), max(hour) - INTERVAL {subject.rules.trailing_days} DAY),
        max(hour), INTERVAL 1 HOUR)) AS hour
    FROM seen
),
missing AS (
    SELECT hour, hour - INTERVAL 1 HOUR * row_number() OVER (ORDER BY hour) AS island
    FROM calendar ANTI JOIN seen USING (hour)
)
SELECT min(hour) AS from_hour, max(hour) AS to_hour, count(*) AS hours
FROM missing GROUP BY island"""
    sql = f"SELECT * FROM ({runs}) WHERE hours > {bound} ORDER BY hours DESC, from_hour"
    longest = subject.figure(f"SELECT max(hours) FROM ({runs})")
    message = (
        f"For {longest:.0f} hours on end there is not one event. Import what is missing, or raise "
        "audit.max_gap_hours if the shop was closed."
    )
    return subject.check("no gaps", longest <= bound, longest, f"<= {bound} hours", message, sql)


RULES: tuple[Callable[[Subject], Check | None], ...] = (
    enough_events,
    rejected_rows,
    event_types,
    volume,
    session_length,
    freshness,
    known_items,
    no_gaps,
)
"""Every rule, in the order in which they are shown. One that is switched off returns ``None``."""


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


def _between(low: float, high: float) -> str:
    bounds = [f">= {low}"] * (low != OFF) + [f"<= {high}"] * (high != OFF)
    return " and ".join(bounds)
