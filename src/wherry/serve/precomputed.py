"""Precomputed lists: what a release ranks for every known visitor or item, in files that every
server process maps into memory.

A table is a folder of arrays, and a small file that points to the one in use, which is replaced
last: who reads sees a whole table. A key is found by a hash of 128 bits, sorted; no visitor's id
is kept here. Equal sessions share one list.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import TenantId, VisitorId
from wherry.errors import ModelError
from wherry.lake.files import write_whole
from wherry.learn.answer import Made, Query
from wherry.learn.arrays import load_array, save_arrays
from wherry.serve.recommender import Recommender

logger = logging.getLogger("wherry.serve")


class Kind(StrEnum):
    """What lists are made for."""

    VISITORS = "visitors"
    ITEMS = "items"


class Precomputed(msgspec.Struct, frozen=True, kw_only=True):
    """A table as it was made: by which release (``model``, such as ``recommender@3``), of which
    snapshot's visitors, with how many items a list, and when (UTC). ``folder`` holds its arrays;
    ``lists`` of its ``keys`` are distinct."""

    kind: Kind
    folder: str
    model: str
    snapshot: int
    k: int
    keys: int
    lists: int
    made_at: datetime


class Lists(NamedTuple):
    """Lists and the sessions that they are made for, as arrays.

    ``items`` int32 and ``scores`` float32 (L, K), filled up with -1 and 0 where a model ranks
    fewer. The session of list ``l`` is ``session_items`` from ``session_offsets[l]`` to
    ``session_offsets[l + 1]``, of which those in ``bought`` were purchased.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    session_offsets: NDArray[np.int64]
    session_items: NDArray[np.int32]
    bought: NDArray[np.bool_]


class Found(NamedTuple):
    """What is kept for a key: the session that its list is made for, by the items' numbers,
    which of its items were bought, and the list."""

    session: NDArray[np.int32]
    bought: NDArray[np.int32]
    made: Made


def pointer(home: Path, tenant: TenantId, kind: Kind) -> Path:
    """The file that says which table is in use."""
    return home / tenant / f"{kind}.json"


def read_pointer(home: Path, tenant: TenantId, kind: Kind) -> Precomputed | None:
    """The table in use, None if there is none; ModelError if the file says something else."""
    path = pointer(home, tenant, kind)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Precomputed)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} can't be read ({error}). Run: wherry precompute") from error


def land(
    home: Path,
    tenant: TenantId,
    table: Precomputed,
    keys: Sequence[str],
    rows: Sequence[int],
    lists: Lists,
) -> None:
    """Write a table and let it take the place of the one in use; ``rows`` are the keys' lists."""
    high, low = _hashes(keys)
    order = np.lexsort((low, high))
    _write(
        home, tenant, table, high[order], low[order], np.asarray(rows, dtype=np.int32)[order], lists
    )


def without(home: Path, tenant: TenantId, kind: Kind, keys: Collection[str], name: str) -> bool:
    """Take some keys out of the table in use; ``name`` is the new folder's. Returns whether any
    was in it. The lists of sessions that nobody else had go with them."""
    table = read_pointer(home, tenant, kind)
    if table is None or not keys:
        return False
    opened = Table.open(home / tenant / table.folder, table)
    places = [place for place in map(opened.place, keys) if place is not None]
    if not places:
        return False
    kept = np.ones(len(opened.high), dtype=np.bool_)
    kept[places] = False
    used, rows = np.unique(opened.rows[kept], return_inverse=True)
    fresh = msgspec.structs.replace(table, folder=name, keys=int(kept.sum()), lists=len(used))
    lists = _taken(opened.lists, used.astype(np.int64))
    _write(home, tenant, fresh, opened.high[kept], opened.low[kept], rows.astype(np.int32), lists)
    return True


def _write(
    home: Path,
    tenant: TenantId,
    table: Precomputed,
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
    rows: NDArray[np.int32],
    lists: Lists,
) -> None:
    folder = home / tenant / table.folder
    shutil.rmtree(folder, ignore_errors=True)  # left behind by one who was killed
    save_arrays(folder, high=high, low=low, rows=rows, **lists._asdict())
    write_whole(pointer(home, tenant, table.kind), msgspec.json.encode(table))
    for other in (home / tenant).glob(f"{table.kind}-*/"):
        if other.name != table.folder:
            shutil.rmtree(other, ignore_errors=True)  # whoever maps it keeps it until then


def _taken(lists: Lists, chosen: NDArray[np.int64]) -> Lists:
    starts, stops = lists.session_offsets[chosen], lists.session_offsets[chosen + 1]
    runs = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
    events = np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int64)
    return Lists(
        lists.items[chosen],
        lists.scores[chosen],
        offsets,
        lists.session_items[events],
        lists.bought[events],
    )


class Table:
    """One table, mapped from its files; threads and processes may share it."""

    def __init__(
        self,
        info: Precomputed,
        high: NDArray[np.uint64],
        low: NDArray[np.uint64],
        rows: NDArray[np.int32],
        lists: Lists,
    ) -> None:
        self.info, self.high, self.low, self.rows, self.lists = info, high, low, rows, lists

    @classmethod
    def open(cls, folder: Path, info: Precomputed) -> Self:
        """Map a table's files; ModelError where one is missing."""
        high, low, rows = (load_array(folder, name) for name in ("high", "low", "rows"))
        return cls(info, high, low, rows, Lists(*(load_array(folder, n) for n in Lists._fields)))

    def place(self, key: str) -> int | None:
        """Where a key stands, None if it is not there."""
        high, low = _hash(key)
        at = int(self.high.searchsorted(np.uint64(high)))
        while at < len(self.high) and int(self.high[at]) == high:
            if int(self.low[at]) == low:
                return at
            at += 1
        return None

    def find(self, key: str) -> Found | None:
        """What is kept for a key, None if nothing is."""
        at = self.place(key)
        if at is None:
            return None
        row = int(self.rows[at])
        lists = self.lists
        run = slice(int(lists.session_offsets[row]), int(lists.session_offsets[row + 1]))
        session, items = lists.session_items[run], lists.items[row]
        size = len(items) if not len(items) or items[-1] >= 0 else int((items >= 0).sum())
        made = Made(
            items[:size], lists.scores[row, :size], is_all=size < len(items), by=self.info.model
        )
        return Found(session, session[lists.bought[run]], made)


def _hash(key: str) -> tuple[int, int]:
    digest = blake2b(key.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _hashes(keys: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    digests = b"".join(blake2b(key.encode(), digest_size=16).digest() for key in keys)
    pairs = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


VisitorLookup = Callable[[TenantId, str, VisitorId], Found | None]
"""Finds a visitor's list by one release of a tenant's, None if there is none. It takes
microseconds and is called on the event loop."""


class PrecomputedLists:
    """Finds visitors' lists in the tables in use, and takes up a new table as it lands.

    A table speaks for the release that made it and for no other: after a release or a roll-back
    nothing is found until there is a table of that release. One that can't be read is logged,
    and is as if it were not there.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._tables: dict[TenantId, tuple[tuple[int, int], Table | None]] = {}

    def __call__(self, tenant: TenantId, model: str, visitor: VisitorId) -> Found | None:
        """A visitor's list by a release (``model``, such as ``recommender@3``)."""
        table = self._table(tenant)
        if table is None or table.info.model != model:
            return None
        return table.find(visitor)

    def _table(self, tenant: TenantId) -> Table | None:
        try:
            stat = os.stat(pointer(self._home, tenant, Kind.VISITORS))
        except FileNotFoundError:
            self._tables.pop(tenant, None)
            return None
        seen, known = (stat.st_mtime_ns, stat.st_ino), self._tables.get(tenant)
        if known is None or known[0] != seen:
            known = self._tables[tenant] = (seen, self._open(tenant))
        return known[1]

    def _open(self, tenant: TenantId) -> Table | None:
        try:
            info = read_pointer(self._home, tenant, Kind.VISITORS)
            return Table.open(self._home / tenant / info.folder, info) if info else None
        except ModelError as error:
            logger.warning("Visitors of %s get no precomputed lists: %s", tenant, error)
            return None


def for_visitor(
    query: Query, recommender: Recommender, visitor: VisitorId, lookup: VisitorLookup
) -> Query:
    """A query without a session as one about the visitor's latest, with what was made for it; the
    query itself where nothing was."""
    found = lookup(recommender.tenant, recommender.label, visitor)
    if found is None:
        return query
    ids = recommender.answerer.vocabulary.ids
    return msgspec.structs.replace(
        query,
        session=[ids[code] for code in found.session.tolist()],
        purchased=[*query.purchased, *(ids[code] for code in found.bought.tolist())],
        made=found.made,
    )
