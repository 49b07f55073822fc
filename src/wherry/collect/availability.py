"""Availability told over HTTP, on its way into the log: each telling that is news, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Entry, Store, decode_page, store_paths
from wherry.domain import TenantId
from wherry.domain.availability import ItemAvailability, Telling

AVAILABILITY = "availability"
"""The protocol of a delivery that tells of items instead of bringing events."""

# A zero character in a text breaks the statement that DuckLake writes it by.
_ZERO, _INSTEAD = "\0", "\ufffd"

_SCHEMA = pa.schema(
    {
        "tenant": pa.string(),
        "item_id": pa.string(),
        "available": pa.bool_(),
        "received_at": pa.timestamp("us"),
    }
)
_COLUMNS = ", ".join(_SCHEMA.names)

_NEWS = """
WITH arrived AS (SELECT DISTINCT * FROM told_availability),
mine AS (SELECT DISTINCT tenant, item_id FROM arrived),
logged AS (
    SELECT {columns} FROM lake.raw.availability SEMI JOIN mine USING (tenant, item_id)
    WHERE {counted}
),
listed AS (
    SELECT tenant, item_id, received_at AS listed_at FROM lake.raw.items
    SEMI JOIN mine USING (tenant, item_id) WHERE {counted}
),
ordered AS (
    SELECT *, lag(available) OVER told AS before, lag(received_at) OVER told AS before_at
    FROM (
        SELECT *, true AS is_new FROM (FROM arrived EXCEPT FROM logged)
        UNION ALL SELECT *, false FROM logged
    )
    WINDOW told AS (PARTITION BY tenant, item_id ORDER BY received_at, is_new)
)
SELECT {columns} FROM ordered AS o
WHERE is_new AND (before IS DISTINCT FROM available OR EXISTS (
    FROM listed AS l WHERE l.tenant = o.tenant AND l.item_id = o.item_id
    AND l.listed_at > o.before_at AND l.listed_at <= o.received_at))
"""


def delivery_of(tenant: TenantId, items: Sequence[ItemAvailability], now: datetime) -> Delivery:
    """What is told of items at ``now`` (UTC), as the inbox keeps it."""
    body = msgspec.json.encode(items)
    return Delivery(tenant=tenant, protocol=AVAILABILITY, received_at=now, body=body)


NO_EVENTS = Parsed([])
"""What stands beside such a delivery in the inbox."""


def tellings_of(delivery: Delivery) -> list[Telling]:
    """What a delivery tells, item by item."""
    told = msgspec.json.decode(delivery.body, type=list[ItemAvailability])
    return [
        Telling(
            tenant=delivery.tenant,
            item_id=each.id,
            available=each.available,
            told_at=delivery.received_at,
        )
        for each in told
    ]


class Tellings:
    """The tellings of one load: taken in one by one, then written in its transaction."""

    def __init__(self) -> None:
        self._told: list[Telling] = []

    def take(self, delivery: Delivery) -> None:
        """Take in what a delivery tells."""
        self._told += tellings_of(delivery)

    def append(self, con: duckdb.DuckDBPyConnection, load_id: int, counted: str) -> int:
        """Append what is news, in the caller's transaction; returns how many tellings.

        A telling is none if the one before it said the same, unless the catalogue was told in
        between; a shop may tell its whole stock again and again. ``counted`` is the condition
        on the rows of the log that count.
        """
        if not self._told:
            return 0
        con.register("told_availability", _table(self._told))
        try:
            row = con.execute(
                f"INSERT INTO lake.raw.availability ({_COLUMNS}, load_id) "
                f"SELECT *, {load_id} FROM ({_NEWS.format(columns=_COLUMNS, counted=counted)})"
            ).fetchone()
        finally:
            con.unregister("told_availability")
        return int(row[0]) if row else 0


def read_tellings(con: duckdb.DuckDBPyConnection, counted: str) -> list[Telling]:
    """The newest telling of each item in the log."""
    rows = con.execute(
        "SELECT tenant, item_id, arg_max(available, received_at), max(received_at) "
        f"FROM lake.raw.availability WHERE {counted} GROUP BY ALL"
    ).fetchall()
    return [
        Telling(tenant=TenantId(tenant), item_id=item, available=available, told_at=told_at)
        for tenant, item, available, told_at in rows
    ]


def read_waiting_tellings(folder: Path) -> Iterator[Telling]:
    """What an inbox folder holds of tellings that are not loaded yet."""
    for path in store_paths(folder):
        with closing(Store(path)) as store:
            for page in store.pages(0):
                for entry in decode_page(page.content):
                    if isinstance(entry, Entry) and entry.delivery.protocol == AVAILABILITY:
                        yield from tellings_of(entry.delivery)


def _table(told: Sequence[Telling]) -> pa.Table:
    rows = [
        (each.tenant, each.item_id.replace(_ZERO, _INSTEAD), each.available, each.told_at)
        for each in told
    ]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)
