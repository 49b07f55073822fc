"""Measure the shape of a click stream, to hold a simulated one against a real one."""

from __future__ import annotations

from pathlib import Path

import duckdb

COVEO_2021 = {
    "length_p25": 2.0,
    "length_p50": 3.0,
    "length_p75": 8.0,
    "length_p90": 17.0,
    "length_p95": 27.0,
    "length_max": 206.0,
    "share_view": 0.2691,
    "share_add": 0.00913,
    "share_remove": 0.00877,
    "share_purchase": 0.00216,
    "events_per_session": 7.31,
    "sessions_with_view": 0.66,
    "sessions_with_add": 0.0435,
    "sessions_with_purchase": 0.0108,
    "adds_bought": 0.215,
    "purchases_without_add": 0.133,
    "conversion_searching": 0.0356,
    "conversion_not_searching": 0.0081,
    "top_1_percent": 0.34,
    "top_5_percent": 0.67,
    "gini": 0.885,
    "repeats": 0.13,
    "session_seconds": 23.0,
    "seconds_to_add": 146.0,
    "seconds_to_purchase": 515.0,
    "hourly_peak_to_trough": 19.5,
}
"""A real shop's figures: the Coveo data challenge of 2021 (counts alone, from its data)."""

_PREPARE = """
create temp table arrived as
    select *, file_row_number as row_number
    from read_parquet(?, file_row_number = true, filename = true);
create temp table marked as
    with once as (
        select distinct on (tenant, event_id) * from arrived
        order by tenant, event_id, filename, row_number
    ), gaps as (
        select *, occurred_at - lag(occurred_at) over visitor > interval 30 minutes as is_new
        from once window visitor as (partition by tenant, visitor_id order by occurred_at)
    )
    select *, coalesce(session_id, visitor_id || '/' || count(*) filter (is_new) over (
        partition by tenant, visitor_id order by occurred_at)) as session
    from gaps;
create temp table visits as
    select tenant, session,
        count(*) filter (event_type <> 'search') as length,
        epoch(max(occurred_at) - min(occurred_at)) as seconds,
        bool_or(event_type = 'view') as has_view,
        bool_or(event_type = 'search') as has_search,
        bool_or(event_type = 'add') as has_add,
        bool_or(event_type = 'purchase') as has_purchase,
        min(occurred_at) as started,
        min(occurred_at) filter (event_type = 'add') as added,
        min(occurred_at) filter (event_type = 'purchase') as bought
    from marked group by all;
create temp table popularity as
    select row_number() over (order by count(*) desc, tenant, item_id) as rank, count(*) as views
    from marked where event_type in ('view', 'add', 'purchase') group by tenant, item_id;
"""

_FIGURES = (
    """
    select count(*)::double as events,
        avg((event_type = 'page')::int) as share_page,
        avg((event_type = 'view')::int) as share_view,
        avg((event_type = 'add')::int) as share_add,
        avg((event_type = 'remove')::int) as share_remove,
        avg((event_type = 'purchase')::int) as share_purchase,
        avg((event_type = 'search')::int) as share_search
    from marked
    """,
    """
    select count(*)::double as sessions, avg(length) as events_per_session,
        quantile_disc(length, 0.25)::double as length_p25,
        quantile_disc(length, 0.5)::double as length_p50,
        quantile_disc(length, 0.75)::double as length_p75,
        quantile_disc(length, 0.9)::double as length_p90,
        quantile_disc(length, 0.95)::double as length_p95, max(length)::double as length_max,
        avg(has_view::int) as sessions_with_view, avg(has_add::int) as sessions_with_add,
        avg(has_purchase::int) as sessions_with_purchase,
        avg(has_search::int) as sessions_with_search,
        avg(has_purchase::int) filter (has_add) as adds_bought,
        avg((not has_add)::int) filter (has_purchase) as purchases_without_add,
        avg(has_purchase::int) filter (has_search) as conversion_searching,
        avg(has_purchase::int) filter (not has_search) as conversion_not_searching,
        median(seconds) as session_seconds,
        median(epoch(added - started)) as seconds_to_add,
        median(epoch(bought - added)) filter (bought >= added) as seconds_to_purchase
    from visits
    """,
    """
    select count(*)::double as items_seen,
        sum(views) filter (rank <= ceil(0.01 * n)) / sum(views) as top_1_percent,
        sum(views) filter (rank <= ceil(0.05 * n)) / sum(views) as top_5_percent,
        1 - (2 * sum(rank * views) / sum(views) - 1) / any_value(n) as gini
    from popularity, (select count(*) as n from popularity)
    """,
    """
    select 1 - sum(items) / sum(views) as repeats from (
        select count(*) as views, count(distinct item_id) as items
        from marked where event_type = 'view' group by tenant, session)
    """,
    """
    select max(n) / min(n)::double as hourly_peak_to_trough
    from (select count(*) as n from marked group by hour(occurred_at))
    """,
    """
    select count(*) filter (page) / count(*)::double as views_with_page from (
        select tenant, visitor_id, occurred_at, bool_or(event_type = 'page') as page
        from marked where event_type in ('page', 'view') group by all
        having bool_or(event_type = 'view'))
    """,
    """
    select count(distinct (tenant, session)) filter (occurred_at < latest)::double
        as sessions_out_of_order
    from (select *, max(occurred_at) over (
        partition by tenant, session order by filename, row_number) as latest from marked)
    """,
    """
    select (count(*) - count(distinct (tenant, event_id)))::double as duplicates from arrived
    """,
)


def measure(path: Path) -> dict[str, float]:
    """Measure the events in a Parquet file, or in all ``events*.parquet`` of a folder.

    The columns are those that ``simulate`` writes. Where ``session_id`` is null, a session ends
    with 30 idle minutes of its visitor. Session lengths leave searches out, as the real log's
    do; ``repeats`` is the share of views of an item that was viewed before in the session;
    the concentration of items counts views, adds and purchases. The keys are those of
    ``COVEO_2021`` and a few more.
    """
    source = str(path / "events*.parquet") if path.is_dir() else str(path)
    figures: dict[str, float] = {}
    with duckdb.connect() as database:
        statements = [part for part in _PREPARE.split(";") if part.strip()]
        for statement in statements:
            database.execute(statement, [source] if "read_parquet" in statement else None)
        for query in _FIGURES:
            found = database.execute(query)
            names = [column[0] for column in found.description or ()]
            figures.update(zip(names, map(float, found.fetchone() or ()), strict=True))
    return figures
