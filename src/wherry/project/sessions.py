"""Sessions by their id, as the published snapshot knows them."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import duckdb

from wherry.domain import ItemId, SessionId, TenantId
from wherry.domain.session import SessionItems, bought, fold, kind_of
from wherry.lake import Lake, read_published

_LAST_DAYS = 2
"""How far back from the newest event a session is looked for: a session is a matter of hours."""

_ITEMS = """
SELECT item_id, event_type FROM lake.marts.interactions
WHERE tenant = $tenant AND session_id = $session
  AND occurred_at >= (
      SELECT max(ended_at) - to_days($days) FROM lake.marts.sessions WHERE tenant = $tenant)
ORDER BY occurred_at, event_id, position
"""

_IDS = """
SELECT DISTINCT session_id FROM lake.marts.interactions
WHERE tenant = $tenant
  AND occurred_at >= (
      SELECT max(ended_at) - to_days($days) FROM lake.marts.sessions WHERE tenant = $tenant)
LIMIT $at_most
"""

_MOST_IDS = 500_000
"""Ids of a tenant's sessions that are held; where there are more, each is looked up."""

_NEWEST = """
WITH newest AS (
    SELECT session_id, ended_at FROM lake.marts.sessions
    WHERE tenant = $tenant AND items > 0
    ORDER BY ended_at DESC, session_id LIMIT $at_most)
SELECT list(item_id ORDER BY occurred_at, event_id, position)
FROM newest JOIN lake.marts.interactions USING (session_id)
WHERE tenant = $tenant
GROUP BY session_id, ended_at ORDER BY ended_at DESC, session_id
"""


def read_newest_sessions(
    con: duckdb.DuckDBPyConnection, tenant: TenantId, at_most: int
) -> list[tuple[ItemId, ...]]:
    """The items of the newest sessions with any, each item once, the newest session first."""
    rows = con.execute(_NEWEST, {"tenant": tenant, "at_most": at_most}).fetchall()
    return [tuple(dict.fromkeys(ItemId(item) for item in items)) for (items,) in rows]


class PublishedSessions:
    """Finds a session's items in its tenant's published snapshot; threads may share one.

    One connection a snapshot is kept open, and closed once no tenant is at that snapshot. The
    ids of its sessions are held, since most of those who ask are new: a look-up takes
    milliseconds of the processor, and to know that there is nothing takes none.
    """

    def __init__(self, lake: Lake, published: Path) -> None:
        self._lake = lake
        self._published = published
        self._lock = threading.Lock()
        self._open: dict[int, tuple[ExitStack, duckdb.DuckDBPyConnection]] = {}
        self._ids: dict[tuple[int, TenantId], frozenset[str] | None] = {}

    def __call__(self, tenant: TenantId, session: SessionId) -> SessionItems | None:
        """The items of a session, the latest last, and what was bought in it; None if unknown."""
        published = read_published(self._published)
        if tenant not in published:
            return None
        facts = {"tenant": tenant, "session": session, "days": _LAST_DAYS}
        with self._lock:
            self._close_all_but({each.snapshot for each in published.values()})
            snapshot = published[tenant].snapshot
            con = self._connection(snapshot)
            known = self._known(con, snapshot, tenant)
            if known is not None and session not in known:
                return None
            rows = con.execute(_ITEMS, facts).fetchall()
        if not rows:
            return None
        items = [ItemId(item) for item, _ in rows]
        kinds = [kind_of(kind) for _, kind in rows]
        return SessionItems(
            items=tuple(fold(items, kinds)),
            purchased=tuple(bought(items, kinds)),
            session_id=session,
        )

    def _connection(self, snapshot: int) -> duckdb.DuckDBPyConnection:
        if snapshot not in self._open:
            stack = ExitStack()
            self._open[snapshot] = (stack, stack.enter_context(self._lake.reader(snapshot)))
        return self._open[snapshot][1]

    def _known(
        self, con: duckdb.DuckDBPyConnection, snapshot: int, tenant: TenantId
    ) -> frozenset[str] | None:
        """The ids of a tenant's newest sessions; None where there are too many to be held."""
        if (snapshot, tenant) not in self._ids:
            facts = {"tenant": tenant, "days": _LAST_DAYS, "at_most": _MOST_IDS + 1}
            found = frozenset(each for (each,) in con.execute(_IDS, facts).fetchall())
            self._ids[snapshot, tenant] = found if len(found) <= _MOST_IDS else None
        return self._ids[snapshot, tenant]

    def _close_all_but(self, wanted: set[int]) -> None:
        for snapshot in set(self._open) - wanted:
            self._open.pop(snapshot)[0].close()
        self._ids = {key: ids for key, ids in self._ids.items() if key[0] in wanted}
