"""What the tests of collect share: a lake, a load, and files in every format."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from wherry.collect import Loaded, load_file
from wherry.config import Field, Mapping

NOW = datetime(2026, 3, 1, 12)

MAPPING = Mapping(
    event_type=Field(column="kind", values={"buy": "purchase"}),
    occurred_at="at",
    visitor_id="who",
    item_id="what",
    price="cost",
)
"""A shop's own names for the fields that every event has."""

HEADER = "at,kind,who,what,cost"


def row(second: int, who: str = "anna") -> str:
    """A good line of the shop's CSV."""
    return f"2026-01-01 10:00:{second:02},view,{who},stove,49.5"


def load(
    con: duckdb.DuckDBPyConnection, path: Path, mapping: Mapping = MAPPING, **more: Any
) -> Loaded:
    return load_file(con, path, mapping, **{"now": NOW, **more})


def write(path: Path, content: str | bytes | Iterable[str]) -> Path:
    """Write a file, compressed as its name says."""
    if not isinstance(content, str | bytes):
        content = "".join(f"{line}\n" for line in content)
    data = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(data)
    return path


def rejected(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The rejected rows: line, reason and original."""
    return con.execute(
        "SELECT line, reason, original FROM lake.raw.rejected ORDER BY load_id, line"
    ).fetchall()


def count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    (number,) = con.execute(f"SELECT count(*) FROM lake.raw.{table}").fetchall()[0]
    return int(number)
