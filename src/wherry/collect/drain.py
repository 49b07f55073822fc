"""A drain: what the inbox holds into the log, whole and exactly once, whatever is killed.

The pages of a round, and the number of the last of them, go into the lake in one transaction;
only then are they deleted. Whoever is killed in between leaves pages that the lake says it has:
the next drain deletes them unread.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.catalogue import apart_from
from wherry.collect.inbox import (
    Damaged,
    Ownership,
    Store,
    ask_to_mend,
    decode_page,
    is_damage,
    is_full,
    keep_damaged,
    mend,
    open_whole,
    store_paths,
)
from wherry.collect.known import mark_known_events
from wherry.collect.load import Loaded
from wherry.collect.values import literal
from wherry.errors import LakeError, WherryError
from wherry.lake import TABLES, create_raw_tables, next_load_id

SOURCE = "inbox"
"""What a drain is called in ``raw.loads``; a refused event's source is its protocol after it."""

_ENVELOPE = {
    name: "JSON" if name == "properties" else kind
    for name, kind in TABLES["events"].items()
    if name not in ("load_id", "delivery_id")
}
_SHAPE = ", ".join(f"{name} {kind}" for name, kind in _ENVELOPE.items())
_PLACES = 32  # bits of a delivery's id that count the deliveries of a load

# A zero character in a text breaks the statement that DuckLake writes it by.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_INSTEAD = "\ufffd"

_DELIVERIES = pa.schema(
    {
        "delivery_id": pa.int64(),
        "tenant": pa.string(),
        "protocol": pa.string(),
        "received_at": pa.timestamp("us"),
        "body": pa.binary(),
        "context": pa.string(),
    }
)
_REFUSALS = pa.schema(
    {
        "delivery_id": pa.int64(),
        "tenant": pa.string(),
        "source": pa.string(),
        "line": pa.int64(),
        "reason": pa.string(),
        "original": pa.string(),
    }
)


def drain(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    now: datetime,
    excluded: Collection[int] = (),
    round_bytes: int = 64_000_000,
    on_progress: Callable[[str], None] | None = None,
) -> list[Loaded]:
    """Load everything that the inbox holds by now into the log, one load a round.

    ``con`` is a writer's connection to the lake, ``folder`` the inbox's, ``now`` the time of
    the load (UTC, without a zone). What the loads ``excluded`` brought counts as never come.
    A round takes about ``round_bytes`` of pages, which bounds the memory. The processes that
    fill the inbox may go on meanwhile. The caller holds the project lock and has recovered the
    lake from what was killed before.

    Raises:
        LakeError: If the lake can't be written; the inbox then keeps what was not loaded.
        WherryError: If the inbox can't be read.
    """
    create_raw_tables(con)
    work = _Drain(con, folder, now, excluded, round_bytes, on_progress or (lambda step: None))
    while work.is_to_go_on:
        work.go()
    return work.loads


class _Drain:
    """The rounds of one drain; once more from the start where a damaged file was mended."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        folder: Path,
        now: datetime,
        excluded: Collection[int],
        round_bytes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.con = con
        self.folder = folder
        self.now = now
        self.excluded = excluded
        self.round_bytes = round_bytes
        self.tell = tell
        self.loads: list[Loaded] = []
        self.is_to_go_on = True
        self._mended: set[Path] = set()

    def go(self) -> None:
        """Open every file of the inbox and load what they hold."""
        self.is_to_go_on = False
        with ExitStack() as stack:
            sources = []
            for path in store_paths(self.folder):
                store = self._open(path)
                if store is not None:
                    stack.callback(store.close)
                    sources.append(_Source(self.con, store))
            self._load(sources)
        for source in sources:
            if source.is_broken:
                self._mend(source.store.path, source.taken_to)

    def _load(self, sources: list[_Source]) -> None:
        for source in sources:
            source.forget_loaded()
        while (batch := _Round(self.con, self.now, self.excluded)).fill(sources, self.round_bytes):
            self.tell(f"{batch.n_deliveries:,} requests")
            self.loads.append(batch.load({source.name: source.taken_to for source in sources}))
            for source in sources:
                source.forget_loaded()
        for source in sources:
            source.shrink()

    def _open(self, path: Path) -> Store | None:
        try:
            return _open_store(path)
        except sqlite3.Error as error:
            if is_damage(error):
                self._mend(path, 0)
                return None
            if not path.exists():  # its owner is replacing it; the next drain will find it
                return None
            raise WherryError(f"The inbox {path} can't be read: {error}") from error

    def _mend(self, path: Path, loaded_to: int) -> None:
        """Replace a damaged file, or ask the process that owns it to."""
        owned = Ownership.of(path)
        if owned is None:
            ask_to_mend(path, loaded_to=loaded_to)
            return
        try:
            mend(path, loaded_to=loaded_to)
        finally:
            owned.give_up()
        self.is_to_go_on = path not in self._mended
        self._mended.add(path)


class _Source:
    """One file of the inbox, and how far it has been taken.

    ``is_broken`` says that it turned out to be damaged: nothing more is taken from it.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, store: Store) -> None:
        self.store = store
        self.name = store.id
        self.is_broken = False
        row = con.execute(
            f"SELECT max(page) FROM lake.raw.inbox WHERE inbox = {literal(store.id)}"
        ).fetchone()
        self.taken_to = int(row[0] or 0) if row else 0
        self._until = store.last  # what comes later is the next drain's

    def pages(self) -> Iterator[bytes]:
        """The pages that are left; each counts as taken once it has been given."""
        with self._noting_damage():
            for page in self.store.pages(self.taken_to):
                if page.number > self._until:
                    return
                self.taken_to = page.number
                yield page.content

    def forget_loaded(self) -> None:
        """Delete the pages that the log has."""
        with self._noting_damage():
            self.store.delete_to(self.taken_to)

    def shrink(self) -> None:
        """Give the room of loaded pages back to the disk, with the file if nobody writes it."""
        owned = None if self.is_broken else Ownership.of(self.store.path)
        with self._noting_damage():
            if owned is None:
                self.store.shrink()
                return
            try:
                self._remove()
            finally:
                owned.give_up()

    def _remove(self) -> None:
        """Delete the file, unless it is another by now or holds more: its owner came and went."""
        self.store.close()
        if self.store.path.exists():
            now = Store(self.store.path)
            if now.id == self.name and now.last == self.taken_to:
                now.remove()
            else:
                now.close()

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                self.is_broken = True
            elif not is_full(error):  # what can't be deleted now is the next drain's
                path = self.store.path
                raise WherryError(f"The inbox {path} can't be read: {error}") from error


def _open_store(path: Path) -> Store:
    """Open a file; one that nobody writes is first seen to be whole."""
    owned = Ownership.of(path)
    if owned is None:
        return Store(path)
    try:
        return open_whole(path)
    finally:
        owned.give_up()


class _Round:
    """Some pages on their way into the log, as one load."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, now: datetime, excluded: Collection[int]
    ) -> None:
        self.con = con
        self.now = now
        self.counted = apart_from(excluded)
        self.load_id = next_load_id(con)
        self.n_deliveries = 0
        self._lines: list[bytes] = []
        self._deliveries: list[tuple[object, ...]] = []
        self._refusals: list[tuple[object, ...]] = []

    def fill(self, sources: Sequence[_Source], max_bytes: int) -> bool:
        """Take the next pages of all files, about so many bytes; whether there were any."""
        size = 0
        before = [source.taken_to for source in sources]
        for source in sources:
            if size >= max_bytes or source.is_broken:
                continue
            for content in source.pages():
                size += len(content)
                self._take(source.store.path, content)
                if size >= max_bytes:
                    break
        return [source.taken_to for source in sources] != before

    def _take(self, path: Path, page: bytes) -> None:
        for entry in decode_page(page):
            if isinstance(entry, Damaged):
                keep_damaged(path, entry.content)
                continue
            delivery_id = (self.load_id << _PLACES) + self.n_deliveries
            self.n_deliveries += 1
            one = entry.delivery
            events = _without_nul(entry.events)
            self._lines.append(b'{"delivery_id":%d,"events":%b}\n' % (delivery_id, events))
            context = msgspec.json.encode(one.context).decode()
            self._deliveries.append(
                (delivery_id, one.tenant, one.protocol, one.received_at, one.body, context)
            )
            self._refusals += [
                (
                    delivery_id,
                    one.tenant,
                    f"{SOURCE}/{one.protocol}",
                    refusal.position + 1,
                    refusal.reason.replace("\0", _INSTEAD),
                    refusal.original.replace("\0", _INSTEAD),
                )
                for refusal in entry.refusals
            ]

    def load(self, places: dict[str, int]) -> Loaded:
        """Append everything in one transaction, with the place that each file was taken to."""
        began = time.perf_counter()
        try:
            self._stage()
            mark_known_events(self.con, self.counted, gives_ids=True)
            taken, known = self._count()
            self._write(places, taken, known)
        except duckdb.Error as error:
            raise LakeError(f"The inbox was not loaded, and keeps what it has: {error}") from error
        finally:
            self._clear()
        return Loaded(
            load_id=self.load_id,
            source=SOURCE,
            kind="events",
            taken=taken,
            known=known,
            rejected=len(self._refusals),
            seconds=time.perf_counter() - began,
        )

    def _stage(self) -> None:
        with TemporaryDirectory(prefix="wherry-") as folder:
            path = Path(folder) / "pages.ndjson"
            with path.open("wb") as file:
                file.writelines(self._lines)
            longest = max(map(len, self._lines), default=0)
            self.con.execute(
                "CREATE OR REPLACE TEMP TABLE incoming AS "
                "SELECT * REPLACE (nullif(CAST(properties AS VARCHAR), '{}') AS properties), "
                "NULL::VARCHAR AS reason FROM ("
                "SELECT delivery_id, unnest(events, max_depth := 2) FROM read_json("
                f"{literal(str(path))}, format = 'newline_delimited', "
                f"maximum_object_size = {max(longest + 1, 16_777_216)}, "
                f"columns = {{delivery_id: 'BIGINT', events: 'STRUCT({_SHAPE})[]'}}))"
            )
        self.con.register("deliveries", _table(self._deliveries, _DELIVERIES))
        self.con.register("refusals", _table(self._refusals, _REFUSALS))

    def _count(self) -> tuple[int, int]:
        row = self.con.execute(
            "SELECT (SELECT count(*) FROM temp.incoming), (SELECT count(*) FROM temp.surplus)"
        ).fetchone()
        assert row is not None
        return row[0] - row[1], row[1]

    def _write(self, places: dict[str, int], taken: int, known: int) -> None:
        fresh = "rowid NOT IN (SELECT id FROM temp.surplus)"
        stamp = f"TIMESTAMP '{self.now}'"
        self.con.execute("BEGIN")
        try:
            self.con.execute(
                "INSERT INTO lake.raw.events BY NAME "
                f"SELECT * EXCLUDE (reason), {self.load_id} AS load_id "
                f"FROM temp.incoming WHERE {fresh}"
            )
            self.con.execute(
                "INSERT INTO lake.raw.deliveries BY NAME "
                f"SELECT *, {self.load_id} AS load_id FROM deliveries WHERE delivery_id IN ("
                f"SELECT delivery_id FROM temp.incoming WHERE {fresh} "
                "UNION ALL SELECT delivery_id FROM refusals)"
            )
            self.con.execute(
                "INSERT INTO lake.raw.rejected BY NAME "
                f"SELECT *, {self.load_id} AS load_id, {stamp} AS rejected_at FROM refusals"
            )
            for name, page in places.items():
                self.con.execute(
                    f"INSERT INTO lake.raw.inbox VALUES ({literal(name)}, {page}, {self.load_id})"
                )
            self.con.execute(
                f"INSERT INTO lake.raw.loads SELECT {self.load_id}, 'events', '{SOURCE}', NULL, "
                f"{stamp}, {taken}, {known}, {len(self._refusals)}, min(occurred_at), "
                f"max(occurred_at) FROM temp.incoming WHERE {fresh}"
            )
            # DuckDB leaves the Parquet files to the system; the pages may only be deleted
            # once nothing, not even a power cut, can lose the events again.
            os.sync()
            self.con.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.TransactionException):
                self.con.execute("ROLLBACK")
            raise

    def _clear(self) -> None:
        for table in ("incoming", "surplus"):
            self.con.execute(f"DROP TABLE IF EXISTS temp.{table}")
        for name in ("deliveries", "refusals"):
            self.con.unregister(name)


def _without_nul(written: bytes) -> bytes:
    """JSON with the replacement character in place of each zero character in its texts."""
    return _NUL.sub(rb"\1\\ufffd", written) if b"\\u0000" in written else written


def _table(rows: list[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)
