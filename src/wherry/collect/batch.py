"""A batch: pages of the inbox on their way into the log, as one load."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.answers import Answers
from wherry.collect.availability import AVAILABILITY, Tellings
from wherry.collect.catalogue import apart_from
from wherry.collect.inbox import AnswerBatch, Damaged, decode_page, keep_damaged
from wherry.collect.known import mark_known_events
from wherry.collect.load import Loaded
from wherry.collect.values import literal
from wherry.errors import LakeError
from wherry.lake import TABLES, next_load_id

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


class Batch:
    """Deliveries that are taken in page by page, and then written as one load."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, now: datetime, excluded: Collection[int]
    ) -> None:
        self.con = con
        self.now = now
        self.counted = apart_from(excluded)
        self.load_id = next_load_id(con)
        self.n_deliveries = 0
        self._answers = Answers()
        self._tellings = Tellings()
        self._lines: list[bytes] = []
        self._deliveries: list[tuple[object, ...]] = []
        self._refusals: list[tuple[object, ...]] = []

    def take(self, path: Path, page: bytes) -> None:
        """Take in a page of the file at a path; what is damaged of it is set aside."""
        for entry in decode_page(page):
            if isinstance(entry, Damaged):
                keep_damaged(path, entry.content)
                continue
            if isinstance(entry, AnswerBatch):
                self._answers.take(entry)
                continue
            if entry.delivery.protocol == AVAILABILITY:
                self._tellings.take(entry.delivery)
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
            answers = self._write(places, taken, known)
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
            answers=answers,
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

    def _write(self, places: dict[str, int], taken: int, known: int) -> int:
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
            answers = self._answers.append(self.con, self.load_id)
            self._tellings.append(self.con, self.load_id, self.counted)
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
        return answers

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
