"""Compaction: many small files of a table become a few, as loads of every few seconds need."""

from __future__ import annotations

import duckdb

from wherry.lake.lake import CATALOG, quote

SMALL_BYTES = 32_000_000
"""Below this size a file counts as small, and is merged with others."""

_MANY = f"""
SELECT schema.schema_name, this.table_name
FROM __ducklake_metadata_{CATALOG}.ducklake_data_file AS file
JOIN __ducklake_metadata_{CATALOG}.ducklake_table AS this USING (table_id)
JOIN __ducklake_metadata_{CATALOG}.ducklake_schema AS schema USING (schema_id)
WHERE file.end_snapshot IS NULL AND this.end_snapshot IS NULL AND schema.end_snapshot IS NULL
  AND file.file_size_bytes < {SMALL_BYTES}
GROUP BY ALL HAVING count(*) > ? ORDER BY ALL
"""


def compact(con: duckdb.DuckDBPyConnection, *, most_small_files: int = 50) -> int:
    """Merge the small files of each table that has more than so many; returns how many tables.

    ``con`` is a writer's connection. Tables and older snapshots show what they showed before.
    The merged files stay on disk until old snapshots are let go of, so a reader that is at work
    loses nothing.
    """
    tables = con.execute(_MANY, [most_small_files]).fetchall()
    for schema, table in tables:
        con.execute(
            f"CALL ducklake_merge_adjacent_files('{CATALOG}', '{quote(table)}', "
            f"schema => '{quote(schema)}', max_file_size => {SMALL_BYTES})"
        )
    return len(tables)
