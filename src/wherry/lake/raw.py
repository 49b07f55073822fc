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
    "delivery_id": "BIGINT",
}
"""The envelope as columns. Times are UTC without a zone; ``properties`` is a JSON object.

``delivery_id`` names the request that an event came in; one that came in a file has none."""

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

AVAILABILITY_COLUMNS = {
    "tenant": "VARCHAR",
    "item_id": "VARCHAR",
    "available": "BOOLEAN",
    "received_at": "TIMESTAMP",
    "load_id": "BIGINT",
}
"""Whether items can be bought, as it was told over HTTP, one row a telling that was news."""

REJECTED_COLUMNS = {
    "load_id": "BIGINT",
    "tenant": "VARCHAR",
    "source": "VARCHAR",
    "line": "BIGINT",
    "reason": "VARCHAR",
    "original": "VARCHAR",
    "rejected_at": "TIMESTAMP",
    "delivery_id": "BIGINT",
}
"""What could not be read, with its place, the reason and the original text.

``line`` counts from 1: in a file its lines, in a delivery its events."""

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

DELIVERY_COLUMNS = {
    "delivery_id": "BIGINT",
    "tenant": "VARCHAR",
    "protocol": "VARCHAR",
    "received_at": "TIMESTAMP",
    "body": "BLOB",
    "context": "VARCHAR",
    "load_id": "BIGINT",
}
"""The requests that brought events, as they came: what a better parser can read again.

``context`` is a JSON object of texts. A request that said nothing new is not kept."""

INBOX_COLUMNS = {
    "inbox": "VARCHAR",
    "page": "BIGINT",
    "load_id": "BIGINT",
}
"""How far each file of the inbox has been loaded: up to this page, all of it."""

ANSWER_COLUMNS = {
    "tenant": "VARCHAR",
    "request_id": "VARCHAR",
    "answered_at": "TIMESTAMP",
    "asked_at": "TIMESTAMP",
    "model": "VARCHAR",
    "version": "BIGINT",
    "role": "VARCHAR",
    "rollout": "VARCHAR",
    "visitor_id": "VARCHAR",
    "session_id": "VARCHAR",
    "session": "VARCHAR[]",
    "is_live": "BOOLEAN",
    "is_given": "BOOLEAN",
    "k": "BIGINT",
    "filter": "VARCHAR",
    "own_rules": "VARCHAR",
    "without_rules": "VARCHAR[]",
    "exclude": "VARCHAR[]",
    "purchased": "VARCHAR[]",
    "items": "VARCHAR[]",
    "scores": "FLOAT[]",
    "propensities": "FLOAT[]",
    "from_model": "BIGINT",
    "fallback": "VARCHAR",
    "rules": "VARCHAR",
    "latency_us": "BIGINT",
    "error": "VARCHAR",
    "batch_id": "VARCHAR",
    "place": "BIGINT",
    "load_id": "BIGINT",
}
"""What was answered: a ``wherry.domain.LoggedAnswer`` a row, its ``rules`` a JSON object.

An answer is known by its batch and its place in there: a client may give two requests one id."""

TABLES = {
    "events": EVENT_COLUMNS,
    "items": ITEM_COLUMNS,
    "availability": AVAILABILITY_COLUMNS,
    "rejected": REJECTED_COLUMNS,
    "loads": LOAD_COLUMNS,
    "deliveries": DELIVERY_COLUMNS,
    "inbox": INBOX_COLUMNS,
    "answers": ANSWER_COLUMNS,
}
_NOTES = ("loads", "inbox")
"""Tables that get a row at a time, of plain words: these rows stand in the catalog itself."""

_FIRST = ("events", "items", "rejected", "loads")


def has_raw_tables(con: duckdb.DuckDBPyConnection, *others: str) -> bool:
    """Whether there is a log; a lake that was only just begun lacks it. An older lake may lack
    ``others`` of its tables until the next load."""
    return {*_FIRST, *others} <= _columns(con).keys()


def create_raw_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the raw tables where they are missing, and the columns that older lakes lack.

    What exists is not touched: the rows of an older lake hold nothing in a new column.
    """
    found = _columns(con)
    missing = _missing(found)
    if not missing:
        return
    con.execute("BEGIN")
    con.execute("CREATE SCHEMA IF NOT EXISTS lake.raw")
    for statement in missing:
        con.execute(statement)
    con.execute("COMMIT")
    for table in set(_NOTES) - found.keys():
        con.execute(
            f"CALL lake.set_option('data_inlining_row_limit', 10, schema => 'raw', "
            f"table_name => '{table}')"
        )


def _missing(found: dict[str, set[str]]) -> list[str]:
    """The SQL that makes what is not there yet."""
    statements = []
    for table, columns in TABLES.items():
        if table not in found:
            spec = ", ".join(f"{column} {kind}" for column, kind in columns.items())
            statements.append(f"CREATE TABLE lake.raw.{table} ({spec})")
            continue
        statements += [
            f"ALTER TABLE lake.raw.{table} ADD COLUMN {column} {kind}"
            for column, kind in columns.items()
            if column not in found[table]
        ]
    return statements


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """The raw tables that there are, each with its columns."""
    rows = con.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = 'raw' GROUP BY 1"
    ).fetchall()
    return {table: set(columns) for table, columns in rows}


def next_load_id(con: duckdb.DuckDBPyConnection) -> int:
    """The number for the next load; loads count up from 1 and say the order of arrival."""
    row = con.execute("SELECT coalesce(max(load_id), 0) + 1 FROM lake.raw.loads").fetchone()
    return int(row[0]) if row else 1
