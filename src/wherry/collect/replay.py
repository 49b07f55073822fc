"""Replay: what was rejected is read again, after a fix of the parser or the tracking plan.

The requests that brought a rejected event were kept whole, so they are parsed anew by today's
parser and held against today's plan. What now passes goes into the log as one load, and its
rows leave ``raw.rejected``, in one transaction. What does not pass stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.catalogue import apart_from
from wherry.collect.delivery import Delivery
from wherry.collect.known import mark_known_events
from wherry.collect.plan import Plan, check, places, read_envelope
from wherry.collect.protocols import PROTOCOLS, BodyError
from wherry.collect.values import literal
from wherry.domain import Event
from wherry.errors import LakeError
from wherry.lake import create_raw_tables, next_load_id

REPLAY = "replay"
"""What a replay is called in ``raw.loads``."""

_TEXT = pa.string()
_ITEM = pa.struct({"id": pa.string(), "price": pa.float64(), "quantity": pa.float64()})
_COLUMNS = {
    "tenant": _TEXT,
    "event_id": _TEXT,
    "event_type": _TEXT,
    "occurred_at": pa.timestamp("us"),
    "received_at": pa.timestamp("us"),
    "visitor_id": _TEXT,
    "session_id": _TEXT,
    "items": pa.list_(_ITEM),
    "query": _TEXT,
    "properties": _TEXT,
    "delivery_id": pa.int64(),
}


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the rejected rows that were looked at: ``read`` of them.

    ``taken`` are new in the log, ``known`` were there by now, ``rejected`` are so still.
    ``load_id`` is that of the new load, None if nothing passed.
    """

    read: int = 0
    taken: int = 0
    known: int = 0
    rejected: int = 0
    load_id: int | None = None


class _Row(msgspec.Struct, frozen=True):
    """A rejected row: its id in the table, its place in the request, and its text."""

    id: int
    position: int
    original: str


def replay_collected(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    *,
    now: datetime,
    reason: str = "",
    excluded: Collection[int] = (),
) -> Replayed:
    """Read again the events that came over HTTP and were rejected.

    ``con`` is a writer's connection; the caller holds the project lock. ``reason`` picks the
    rows whose reason holds it. What the loads ``excluded`` brought counts as never come.

    Raises:
        LakeError: If the lake can't be written; it is then as it was.
    """
    create_raw_tables(con)
    rows = _rejected(con, reason)
    passing: list[tuple[int, int, Event]] = []
    for delivery_id, own in rows.items():
        told = _told(con, delivery_id, plan)
        for row in own:
            event = told.get(row.position) or _told_by_itself(row, plan)
            if event is not None:
                passing.append((row.id, delivery_id, event))
    n_read = sum(map(len, rows.values()))
    if not passing:
        return Replayed(read=n_read, rejected=n_read)
    try:
        return _take(con, passing, n_read, now, excluded)
    except duckdb.Error as error:
        raise LakeError(f"Nothing was replayed, and the log is as it was: {error}") from error
    finally:
        for table in ("incoming", "surplus"):
            con.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _rejected(con: duckdb.DuckDBPyConnection, reason: str) -> dict[int, list[_Row]]:
    """The rejected rows by the request that brought them."""
    rows = con.execute(
        "SELECT delivery_id, rowid, line - 1, original FROM lake.raw.rejected "
        f"WHERE delivery_id IS NOT NULL AND contains(reason, {literal(reason)}) "
        "ORDER BY delivery_id, line"
    ).fetchall()
    found: dict[int, list[_Row]] = defaultdict(list)
    for delivery_id, *row in rows:
        found[delivery_id].append(_Row(*row))
    return found


def _told(con: duckdb.DuckDBPyConnection, delivery_id: int, plan: Plan) -> dict[int, Event]:
    """The events of a request that pass today, by their place in it; none if it is not kept."""
    row = con.execute(
        "SELECT tenant, protocol, received_at, body, context FROM lake.raw.deliveries "
        f"WHERE delivery_id = {delivery_id}"
    ).fetchone()
    if row is None or row[1] not in PROTOCOLS:
        return {}
    tenant, protocol, received_at, body, context = row
    delivery = Delivery(
        tenant=tenant,
        protocol=protocol,
        received_at=received_at,
        body=bytes(body),
        context=msgspec.json.decode(context, type=dict[str, str]),
    )
    try:
        parsed = check(PROTOCOLS[protocol](delivery), plan)
    except BodyError:
        return {}
    return dict(zip(places(parsed), parsed.events, strict=True))


def _told_by_itself(row: _Row, plan: Plan) -> Event | None:
    """An event whose text is its envelope, as the plan's refusals have it, if it passes today."""
    event = read_envelope(row.original)
    return event if event is not None and plan.fault(event) is None else None


def _take(
    con: duckdb.DuckDBPyConnection,
    passing: list[tuple[int, int, Event]],
    n_read: int,
    now: datetime,
    excluded: Collection[int],
) -> Replayed:
    """Append what passes and take it from the rejected rows, in one transaction."""
    con.register("replayed", _table(passing))
    try:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE incoming AS "
            "SELECT *, NULL::VARCHAR AS reason FROM replayed"
        )
    finally:
        con.unregister("replayed")
    mark_known_events(con, apart_from(excluded), gives_ids=True)
    fresh = "rowid NOT IN (SELECT id FROM temp.surplus)"
    con.execute("BEGIN")
    try:
        load_id = next_load_id(con)
        (taken,) = con.execute(f"SELECT count(*) FROM temp.incoming WHERE {fresh}").fetchall()[0]
        known = len(passing) - taken
        con.execute(
            f"INSERT INTO lake.raw.events BY NAME SELECT * EXCLUDE (reason), {load_id} AS load_id "
            f"FROM temp.incoming WHERE {fresh}"
        )
        con.execute(
            "DELETE FROM lake.raw.rejected WHERE rowid IN "
            f"({', '.join(str(row) for row, _, _ in passing)})"
        )
        con.execute(
            f"INSERT INTO lake.raw.loads SELECT {load_id}, 'events', '{REPLAY}', NULL, "
            f"TIMESTAMP '{now}', {taken}, {known}, 0, min(occurred_at), max(occurred_at) "
            f"FROM temp.incoming WHERE {fresh}"
        )
        con.execute("COMMIT")
    except BaseException:
        # A COMMIT that fails has rolled back by itself.
        with suppress(duckdb.TransactionException):
            con.execute("ROLLBACK")
        raise
    rejected = n_read - len(passing)
    return Replayed(read=n_read, taken=taken, known=known, rejected=rejected, load_id=load_id)


def _table(passing: list[tuple[int, int, Event]]) -> pa.Table:
    """The events as the columns of ``raw.events``."""
    rows = []
    for _, delivery_id, event in passing:
        told = msgspec.structs.asdict(event)
        told["items"] = [msgspec.structs.asdict(item) for item in event.items]
        properties = msgspec.json.encode(event.properties).decode() if event.properties else None
        rows.append(told | {"properties": properties, "delivery_id": delivery_id})
    return pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS))
