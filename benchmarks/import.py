"""The import of a file, beside DuckDB reading the same file into a table of its own.

python benchmarks/import.py [rows]

Two references: a table in memory, and one in a database file, which like the log is on the
disk when the time is taken. ``hashed`` files give events no id, so that the import makes one
of their content; ``given`` files have ids.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb

from wherry.collect import find_mapping, load_file
from wherry.lake import Lake

NOW = datetime(2026, 11, 24)

HASHED = """
SELECT strftime(TIMESTAMP '2019-10-01' + to_milliseconds(i * 260), '%Y-%m-%d %H:%M:%S UTC')
        AS event_time,
    CASE WHEN hash(i) % 20 = 0 THEN 'cart' WHEN hash(i) % 50 = 1 THEN 'purchase' ELSE 'view' END
        AS event_type,
    1000000 + hash(i * 7) % 200000 AS product_id,
    2053013555631882655 + hash(i) % 600 AS category_id,
    CASE WHEN hash(i * 3) % 3 > 0 THEN 'electronics.smartphone' END AS category_code,
    CASE WHEN hash(i) % 5 > 0 THEN 'samsung' END AS brand,
    round((hash(i * 11) % 100000) / 100.0, 2) AS price,
    500000000 + hash(i // 5) % 1000000 AS user_id,
    md5((i // 5)::VARCHAR)[:8] || '-8bb3-4e00-8c23-a032dfed738c' AS user_session
FROM range({rows}) t(i)
"""

GIVEN = """
SELECT 'default' AS tenant, printf('%05d-%08x', i // 400000, i) AS event_id,
    list_element(['page', 'view', 'add', 'search'], (hash(i) % 4)::INT + 1) AS event_type,
    TIMESTAMP '2026-01-01' + to_milliseconds(i * 216) AS occurred_at,
    printf('v%07x', hash(i // 7) % 1000000) AS visitor_id, NULL::VARCHAR AS session_id,
    printf('P%06d', hash(i * 3) % 50000) AS item_id,
    round((hash(i * 11) % 100000) / 100.0, 2) AS price, 1.0::DOUBLE AS quantity,
    NULL::VARCHAR AS query
FROM range({rows}) t(i)
"""

FILES = (
    ("hashed.csv", HASHED, "rees46", "(FORMAT csv, HEADER)"),
    ("hashed.parquet", HASHED, "rees46", "(FORMAT parquet, COMPRESSION zstd)"),
    ("given.csv", GIVEN, "wherry", "(FORMAT csv, HEADER)"),
    ("given.ndjson", GIVEN, "wherry", "(FORMAT json)"),
    ("given.parquet", GIVEN, "wherry", "(FORMAT parquet, COMPRESSION zstd)"),
)
READERS = {".csv": "read_csv", ".ndjson": "read_json", ".parquet": "read_parquet"}


def main() -> None:
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 3_000_000
    print(f"{rows:,} rows; seconds, and the import over each reference")
    print(
        f"{'file':16}{'MB':>7}{'import':>9}{'in memory':>11}{'ratio':>7}{'on disk':>9}{'ratio':>7}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, query, preset, options in FILES:
            path = folder / file
            duckdb.sql(f"COPY ({query.format(rows=rows)}) TO '{path}' {options}")
            path.read_bytes()
            memory = timed(lambda path=path: read(path, ":memory:"))
            disk = timed(lambda path=path: read(path, str(folder / f"{path.name}.db")))
            taken = timed(lambda path=path, preset=preset: load(path, preset, folder, rows))
            print(f"{file:16}{path.stat().st_size / 1e6:7.0f}{taken:9.2f}{memory:11.2f}"
                  f"{taken / memory:7.2f}{disk:9.2f}{taken / disk:7.2f}")  # fmt: skip
            path.unlink()


def timed(task: Callable[[], None]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def read(path: Path, database: str) -> None:
    reader = READERS[path.suffix]
    with duckdb.connect(database, config={"preserve_insertion_order": "false"}) as con:
        con.execute(f"CREATE TABLE t AS FROM {reader}('{path}')")


def load(path: Path, preset: str, folder: Path, rows: int) -> None:
    with Lake(folder / f"{path.name}.lake").writer() as con:
        loaded = load_file(con, path, find_mapping(preset, {}), now=NOW)
    assert loaded.taken == rows, loaded


if __name__ == "__main__":
    main()
