"""The events of lately, as the log and the inbox have them: what live state is made again from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from wherry.collect.catalogue import apart_from
from wherry.collect.inbox import read_waiting_events
from wherry.domain import Event, EventId, EventItem, ItemId, SessionId, TenantId, VisitorId
from wherry.lake import Lake, has_raw_tables, newest_snapshot

_AT_ONCE = 1_000
_ROUNDS = 5

_RECENT = """
SELECT tenant, event_id, event_type, occurred_at, received_at, visitor_id, session_id,
       list_transform(items, lambda item: item.id)
FROM lake.raw.events
WHERE {counted} AND occurred_at >= $since AND received_at >= $since AND (
    session_id IS NOT NULL OR (tenant, visitor_id) IN (
        SELECT (tenant, visitor_id) FROM lake.raw.events
        WHERE occurred_at >= $active_since AND received_at >= $active_since))
ORDER BY received_at
"""


def read_recent_events(
    lake: Lake,
    inbox: Path,
    *,
    now: datetime,
    active_within: timedelta,
    days: float,
    excluded: Collection[int] = (),
) -> Iterator[Event]:
    """The events of the last ``days``: of sessions with an id of the shop's own, and of visitors
    who did something within ``active_within``.

    First come those of the log and then those that wait in the inbox, each in the order in
    which they came; all of it again where the inbox was loaded meanwhile, since events may have
    gone past. ``excluded`` are the loads that don't count.

    Raises:
        LakeError: the lake can't be read.
    """
    since = now - timedelta(days=days)
    for _ in range(_ROUNDS):
        before = _snapshot(lake)
        if before:
            yield from _logged(lake, since, now - active_within, excluded)
        yield from read_waiting_events(inbox, since=since)
        if _snapshot(lake) == before:
            return


def _snapshot(lake: Lake) -> int:
    if not lake.exists():
        return 0
    with lake.reader() as con:
        return newest_snapshot(con) if has_raw_tables(con) else 0


def _logged(
    lake: Lake, since: datetime, active_since: datetime, excluded: Collection[int]
) -> Iterator[Event]:
    with lake.reader() as con:
        found: duckdb.DuckDBPyConnection = con.execute(
            _RECENT.format(counted=apart_from(excluded)),
            {"since": since, "active_since": active_since},
        )
        while rows := found.fetchmany(_AT_ONCE):
            for tenant, event_id, kind, occurred_at, received_at, visitor, session, items in rows:
                yield Event(
                    tenant=TenantId(tenant),
                    event_id=EventId(event_id),
                    event_type=kind,
                    occurred_at=occurred_at,
                    received_at=received_at,
                    visitor_id=VisitorId(visitor or ""),
                    session_id=None if session is None else SessionId(session),
                    items=tuple(EventItem(ItemId(item or "")) for item in items or ()),
                )
