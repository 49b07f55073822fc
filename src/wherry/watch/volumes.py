"""Volumes: how much a tenant's published snapshot holds, and how its newest days went."""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import msgspec

from wherry.domain import TenantId

_TOTALS = """
SELECT count(*), coalesce(sum(events), 0), min(started_at), max(ended_at)
FROM lake.marts.sessions WHERE tenant = ?
"""

_DAYS = """
SELECT day, events, sessions, transactions FROM lake.marts.overview_daily
WHERE tenant = ? ORDER BY day DESC LIMIT ?
"""


class Day(msgspec.Struct, frozen=True):
    """One day (UTC) of a tenant."""

    day: date
    events: int
    sessions: int
    transactions: int


class Volumes(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds of one tenant; ``days`` are the newest, the newest first."""

    events: int
    sessions: int
    first_event: datetime | None
    last_event: datetime | None
    days: tuple[Day, ...]


def read_volumes(con: duckdb.DuckDBPyConnection, tenant: TenantId, *, days: int = 7) -> Volumes:
    """Read one tenant's volumes from the attached snapshot."""
    sessions, events, first, last = con.execute(_TOTALS, [tenant]).fetchall()[0]
    newest = con.execute(_DAYS, [tenant, days]).fetchall()
    return Volumes(
        events=int(events),
        sessions=sessions,
        first_event=first,
        last_event=last,
        days=tuple(Day(*row) for row in newest),
    )
