"""The training set: a tenant's interactions in a snapshot, as sessions of numbered items."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wherry.domain import INTERACTION_TYPES, TenantId
from wherry.learn.sessions import Sessions, Vocabulary

_QUERY = """
WITH mine AS (
    SELECT session_id, item_id, event_type, occurred_at, event_id, position
    FROM lake.marts.interactions
    WHERE tenant = $tenant
      AND occurred_at >= (
          SELECT CASE WHEN $days = 0 THEN TIMESTAMP '0001-01-01'
                      ELSE max(occurred_at) - to_days($days) END
          FROM lake.marts.interactions WHERE tenant = $tenant)
), numbered AS (
    SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS item
    FROM (SELECT DISTINCT item_id FROM mine)
)
SELECT session_id, item::INTEGER AS item, epoch_ms(occurred_at) AS time,
       (list_position($types, event_type) - 1)::TINYINT AS type
FROM mine JOIN numbered USING (item_id)
ORDER BY session_id, occurred_at, event_id, position
"""

_ITEMS = """
SELECT DISTINCT item_id FROM lake.marts.interactions
WHERE tenant = $tenant
  AND occurred_at >= (
      SELECT CASE WHEN $days = 0 THEN TIMESTAMP '0001-01-01'
                  ELSE max(occurred_at) - to_days($days) END
      FROM lake.marts.interactions WHERE tenant = $tenant)
ORDER BY item_id
"""


class Dataset(msgspec.Struct, frozen=True):
    """A vocabulary and the sessions that speak in it; the sessions hold two items or more.

    ``session_ids`` (S,) are the sessions' ids as they were read; they are not saved.
    """

    vocabulary: Vocabulary
    sessions: Sessions
    session_ids: pa.Array | None = None

    def save(self, folder: Path) -> None:
        """Write both into a folder; see :func:`load_dataset`."""
        self.vocabulary.save(folder)
        self.sessions.save(folder / "sessions")


def load_dataset(folder: Path) -> Dataset:
    """Read back what :meth:`Dataset.save` wrote; the arrays are mapped, not read."""
    return Dataset(Vocabulary.load(folder), Sessions.load(folder / "sessions"))


def read_dataset(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    *,
    history_days: int = 0,
    min_session_length: int = 2,
) -> Dataset:
    """Read a tenant's sessions from the attached lake, for training and for judging.

    Events come in the order of their time, then of their id, so that the same snapshot gives
    the same arrays. ``history_days`` looks back from the tenant's newest event (0: to the
    first). An event on the same item as the one before it, but of another type (a view, then
    its add), is one interest and is folded into it, with the later type.
    """
    facts = {"tenant": tenant, "days": history_days}
    vocabulary = Vocabulary(id for (id,) in con.execute(_ITEMS, facts).fetchall())
    table = con.execute(_QUERY, {**facts, "types": list(INTERACTION_TYPES)}).to_arrow_table()
    ids = table["session_id"].combine_chunks()
    codes = _number_runs(ids)
    items, times, types = (table[name].to_numpy() for name in ("item", "time", "type"))
    keep = _last_of_folds(codes, items, types)
    sessions = Sessions.from_events(
        codes[keep], items[keep], times[keep], types[keep], n_items=len(vocabulary)
    )
    is_long = sessions.lengths >= min_session_length
    names = ids.take(pa.array(_starts_by_end(codes, times)[is_long]))
    return Dataset(vocabulary, sessions.take(is_long), names)


def _number_runs(column: pa.Array) -> NDArray[np.int64]:
    """Number the runs of equal values in a sorted column from 0 up, (N,)."""
    if len(column) == 0:
        return np.zeros(0, dtype=np.int64)
    changed = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.cumsum(changed)))


def _starts_by_end(codes: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each session begins, (S,), in the order of ``Sessions``: by the last event."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    ends = np.append(starts[1:], len(codes)) - 1
    return starts[np.argsort(times[ends[: len(starts)]], kind="stable")]


def _last_of_folds(
    codes: NDArray[np.int64], items: NDArray[np.int32], types: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Which events are not followed, in their session, by another type on the same item.

    It is ``wherry.domain.session.fold`` for all sessions at once; a test holds the two together.
    """
    keep = np.ones(len(codes), dtype=np.bool_)
    same = (codes[1:] == codes[:-1]) & (items[1:] == items[:-1])
    keep[:-1] = ~(same & (types[1:] != types[:-1]))
    return keep
