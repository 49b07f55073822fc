"""A load: one file into the log, whole or not at all, and never twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.catalogue import apart_from, append_items, append_told_items, mark_known_items
from wherry.collect.incoming import select_events, select_items
from wherry.collect.known import mark_known_events
from wherry.collect.lines import read_lines
from wherry.collect.mapping import ITEM_FIELDS, Raw, select_raw, widen
from wherry.collect.mending import mend
from wherry.collect.reading import UNCLOSED, select_records
from wherry.collect.rejects import append_rejects, count_unreadable, forget_unreadable
from wherry.collect.source import SourceFile, fingerprint, inspect
from wherry.collect.values import literal
from wherry.config import Mapping
from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.errors import LakeError, SourceError
from wherry.lake import create_raw_tables, next_load_id

_RULES = b"1"
"""The version of the rules by which a file becomes rows: part of every fingerprint."""

_CHUNK_ROWS = 122_880


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one file.

    Each of its rows is ``taken``, ``known`` (in the log already, or twice in the file) or
    ``rejected``. ``told`` counts what the events of the file newly told of their items,
    ``answers`` the server's own answers that the inbox held beside its events. A
    file that was loaded before is ``skipped``; ``load_id`` is then that load's.
    """

    load_id: int
    source: str
    kind: str
    taken: int = 0
    known: int = 0
    rejected: int = 0
    told: int = 0
    answers: int = 0
    seconds: float = 0.0
    is_skipped: bool = False


def load_file(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    mapping: Mapping,
    *,
    now: datetime,
    source_name: str = "",
    default_tenant: TenantId = DEFAULT_TENANT,
    excluded: Collection[int] = (),
    on_progress: Callable[[str], None] | None = None,
) -> Loaded:
    """Load a file into the log in one transaction, by a writer's connection to the lake.

    ``now`` is the time of the load (UTC, without a zone), ``source_name`` what the file is
    called in the log (by default its path), ``default_tenant`` whose rows are that name no
    tenant. What the loads ``excluded`` brought counts as never come, so that a corrected file
    brings all its rows. ``on_progress`` is told each step's name.

    Two rows that agree in every field of the envelope are one event, unless the file gives
    them an ``event_id`` each; an event that is in the log already is not added again.

    Raises:
        SourceError: If the file can't be imported as the mapping says; nothing is added.
        LakeError: If the lake can't be written.
    """
    began = time.perf_counter()
    tell = on_progress or (lambda step: None)
    label = source_name or str(path)
    create_raw_tables(con)
    source = inspect(con, path)
    tell("looking whether the file is known")
    mark = fingerprint(path, msgspec.json.encode(mapping), default_tenant.encode(), _RULES)
    earlier = con.execute(
        f"SELECT load_id FROM lake.raw.loads WHERE fingerprint = {literal(mark)}"
    ).fetchone()
    if earlier:
        return Loaded(load_id=earlier[0], source=label, kind=mapping.kind, is_skipped=True)
    staged = _Staged(con, widen(source, mapping), mapping, default_tenant, now, excluded)
    try:
        tell("reading")
        staged.read()
        tell("comparing with the log")
        staged.mark_known()
        tell("writing")
        loaded = staged.write(label, mark)
    except duckdb.Error as error:
        raise LakeError(f"{path} was not loaded, and the log is as it was: {error}") from error
    finally:
        staged.clear()
    return msgspec.structs.replace(loaded, seconds=time.perf_counter() - began)


class _Staged:
    """The rows of one file on their way: in ``temp.incoming``, with those that the log does
    not need in ``temp.surplus``."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: SourceFile,
        mapping: Mapping,
        tenant: TenantId,
        now: datetime,
        excluded: Collection[int],
    ) -> None:
        self.con = con
        self.source = source
        self.mapping = mapping
        self.tenant = tenant
        self.now = now
        self.counted = apart_from(excluded)
        self.raws: dict[str, Raw] = {}
        self.unreadable = 0

    def read(self) -> None:
        """Read the file, a second time if a quoted value may hold a line end."""
        self._read(None)
        if self.source.format == "csv" and self._count(f"reason = '{UNCLOSED}'"):
            with TemporaryDirectory(prefix="wherry-") as folder:
                mended = Path(folder) / "mended.csv"
                lines = read_lines(self.source.path, self.source.compression)
                mend(lines, self.source.delimiter, len(self.source.columns), mended)
                self._read(mended)

    def _read(self, mended: Path | None) -> None:
        forget_unreadable(self.con)
        raw, self.raws = select_raw(
            self.con, self.mapping, self.source, select_records(self.source, mended)
        )
        forget_unreadable(self.con)
        make = select_items if self.mapping.kind == "items" else select_events
        query = make(raw, self.raws, tenant=self.tenant, now=self.now)
        try:
            self.con.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS {query}")
        except duckdb.OutOfMemoryException:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{self.source.path} can't be read: {str(error).splitlines()[0]} "
                "Check that the file is whole, and that the mapping's SQL fits its values."
            ) from error
        is_text = self.source.format != "parquet"
        self.unreadable = count_unreadable(self.con) if is_text else 0

    def mark_known(self) -> None:
        """Find the rows that the log has already, or that stand in the file twice."""
        if self.mapping.kind == "items":
            mark_known_items(self.con, self.counted)
            return
        mark_known_events(self.con, self.counted, gives_ids="event_id" in self.raws)

    def write(self, label: str, mark: str) -> Loaded:
        """Append everything in one transaction."""
        rejected = self._count("reason IS NOT NULL") + self.unreadable
        usable = self._count("reason IS NULL")
        row = self.con.execute("SELECT count(*) FROM temp.surplus").fetchone()
        known = int(row[0]) if row else 0
        self.con.execute("BEGIN")
        try:
            load_id = next_load_id(self.con)
            told = self._append(load_id)
            if rejected:
                owner = None if "tenant" in self.raws else self.tenant
                append_rejects(
                    self.con,
                    self.source,
                    load_id=load_id,
                    label=label,
                    tenant=owner,
                    unreadable=self.unreadable,
                    now=self.now,
                )
            self.con.execute(
                f"INSERT INTO lake.raw.loads SELECT {load_id}, {literal(self.mapping.kind)}, "
                f"{literal(label)}, {literal(mark)}, TIMESTAMP '{self.now}', {usable - known}, "
                f"{known}, {rejected}, {self._bounds()}"
            )
            self.con.execute("COMMIT")
        except BaseException:
            # A COMMIT that fails has rolled back by itself.
            with suppress(duckdb.TransactionException):
                self.con.execute("ROLLBACK")
            raise
        return Loaded(
            load_id=load_id,
            source=label,
            kind=self.mapping.kind,
            taken=usable - known,
            known=known,
            rejected=rejected,
            told=told,
        )

    def _append(self, load_id: int) -> int:
        if self.mapping.kind == "items":
            append_items(self.con, load_id)
            return 0
        order = " ORDER BY occurred_at" if self._is_disordered() else ""
        self.con.execute(
            "INSERT INTO lake.raw.events BY NAME SELECT tenant, event_id, event_type, occurred_at, "
            "received_at, visitor_id, session_id, items, query, properties, "
            f"{load_id} AS load_id FROM temp.incoming WHERE reason IS NULL "
            f"AND rowid NOT IN (SELECT id FROM temp.surplus){order}"
        )
        told = [name for name in ITEM_FIELDS if name in self.raws]
        return append_told_items(self.con, told, load_id, self.counted) if told else 0

    def _is_disordered(self) -> bool:
        """Whether the rows should be sorted by time, so that readers of a few days can skip
        the rest: when a chunk of them spans much more than its share of the time."""
        row = self.con.execute(
            "SELECT sum(last - first) / greatest(max(last) - min(first), 1) FROM ("
            "SELECT epoch_ms(max(occurred_at)) AS last, epoch_ms(min(occurred_at)) AS first "
            f"FROM temp.incoming WHERE reason IS NULL GROUP BY rowid // {_CHUNK_ROWS})"
        ).fetchone()
        return row is not None and row[0] is not None and float(row[0]) > 4.0

    def _bounds(self) -> str:
        """SQL of the first and the last time of what was taken."""
        if self.mapping.kind == "items":
            return "NULL, NULL"
        return (
            "min(occurred_at), max(occurred_at) FROM temp.incoming WHERE reason IS NULL "
            "AND rowid NOT IN (SELECT id FROM temp.surplus)"
        )

    def _count(self, condition: str) -> int:
        row = self.con.execute(f"SELECT count(*) FROM temp.incoming WHERE {condition}").fetchone()
        return int(row[0]) if row else 0

    def clear(self) -> None:
        """Drop the temporary tables."""
        for table in ("incoming", "surplus"):
            self.con.execute(f"DROP TABLE IF EXISTS temp.{table}")
        forget_unreadable(self.con)
