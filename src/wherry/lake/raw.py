"""The log: the raw tables, which are only ever appended to (invariant 1)."""

from __future__ import annotations

import duckdb

EVENT_COLUMNS = {
    "tenant": "VARCHAR",
    "event_id": "VARCHAR",
    "event_type": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "visitor_id": "VARCHAR",
    "session_id": "VARCHAR",
    "items": "STRUCT(id VARCHAR, price DOUBLE, quantity DOUBLE)[]",
    "query": "VARCHAR",
    "properties": "VARCHAR",
    "load_id": "BIGINT",
}
"""The envelope as columns. Times are UTC without a zone; ``properties`` is a JSON object."""

ITEM_COLUMNS = {
    "tenant": "VARCHAR",
    "item_id": "VARCHAR",
    "name": "VARCHAR",
    "category": "VARCHAR",
    "price": "DOUBLE",
    "available": "BOOLEAN",
    "attributes": "VARCHAR",
    "received_at": "TIMESTAMP",
    "load_id": "BIGINT",
}
"""The catalogue as it was told, one row a telling; ``attributes`` is a JSON object."""

REJECTED_COLUMNS = {
    "load_id": "BIGINT",
    "tenant": "VARCHAR",
    "source": "VARCHAR",
    "line": "BIGINT",
    "reason": "VARCHAR",
    "original": "VARCHAR",
    "rejected_at": "TIMESTAMP",
}
"""What could not be read, with its place, the reason and the original text."""

LOAD_COLUMNS = {
    "load_id": "BIGINT",
    "kind": "VARCHAR",
    "source": "VARCHAR",
    "fingerprint": "VARCHAR",
    "loaded_at": "TIMESTAMP",
    "taken": "BIGINT",
    "known": "BIGINT",
    "rejected": "BIGINT",
    "first_at": "TIMESTAMP",
    "last_at": "TIMESTAMP",
}
"""One row a load: what came in, from where, and the fingerprint that knows it again.

``kind`` is ``events`` or ``items``; ``first_at`` and ``last_at`` bound ``occurred_at``."""

TABLES = {
    "events": EVENT_COLUMNS,
    "items": ITEM_COLUMNS,
    "rejected": REJECTED_COLUMNS,
    "loads": LOAD_COLUMNS,
}


def has_raw_tables(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the raw tables are there; a lake that was only just begun lacks them."""
    found = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = 'lake' AND schema_name = 'raw'"
    ).fetchall()
    return set(TABLES) <= {name for (name,) in found}


def create_raw_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the raw tables where they are missing; nothing that exists is touched."""
    if has_raw_tables(con):
        return
    con.execute("BEGIN")
    con.execute("CREATE SCHEMA IF NOT EXISTS lake.raw")
    for name, columns in TABLES.items():
        spec = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS lake.raw.{name} ({spec})")
    con.execute("COMMIT")


def next_load_id(con: duckdb.DuckDBPyConnection) -> int:
    """The number for the next load; loads count up from 1 and say the order of arrival."""
    row = con.execute("SELECT coalesce(max(load_id), 0) + 1 FROM lake.raw.loads").fetchone()
    return int(row[0]) if row else 1
