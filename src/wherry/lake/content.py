"""Content hashes: whether two tables, or one table rebuilt, hold the same rows."""

from __future__ import annotations

import duckdb


def content_hash(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Hash a table's rows, whatever their order; equal hashes mean equal bags of rows.

    The sum of one 64-bit hash a row and the number of rows. It compares tables under one
    version of DuckDB, whose ``hash`` may change between versions.
    """
    row = con.execute(
        f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM {table} AS t"
    ).fetchone()
    assert row is not None
    return f"{row[0]}:{row[1]:x}"


def content_hashes(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, str]:
    """Hash every table of a schema of the attached lake."""
    names = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = 'lake' AND schema_name = ? ORDER BY 1",
        [schema],
    ).fetchall()
    return {name: content_hash(con, f'lake.{schema}."{name}"') for (name,) in names}
