"""The intake: what came into the log, and what was turned away and why."""

from __future__ import annotations

from datetime import datetime

import duckdb
import msgspec

_LOADS = """
SELECT count(*), coalesce(sum(taken), 0), coalesce(sum(known), 0),
       coalesce(sum(rejected), 0), max(loaded_at)
FROM lake.raw.loads
"""

_REASONS = """
SELECT reason, count(*) AS rows,
       first(source ORDER BY load_id, line), first(line ORDER BY load_id, line)
FROM lake.raw.rejected GROUP BY reason ORDER BY rows DESC, reason LIMIT ?
"""


class Reason(msgspec.Struct, frozen=True):
    """Why rows were turned away: how many, and the first of them, in the first of the files."""

    reason: str
    rows: int
    source: str
    line: int | None


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """All loads together: rows ``taken``, ``known`` already, and ``rejected``; times are UTC."""

    loads: int
    taken: int
    known: int
    rejected: int
    loaded_at: datetime | None
    reasons: tuple[Reason, ...]


def read_intake(con: duckdb.DuckDBPyConnection, *, reasons: int = 5) -> Intake:
    """Read what came in, with the commonest reasons of rejection."""
    loads, taken, known, rejected, loaded_at = con.execute(_LOADS).fetchall()[0]
    return Intake(
        loads=loads,
        taken=int(taken),
        known=int(known),
        rejected=int(rejected),
        loaded_at=loaded_at,
        reasons=tuple(Reason(*row) for row in con.execute(_REASONS, [reasons]).fetchall()),
    )
