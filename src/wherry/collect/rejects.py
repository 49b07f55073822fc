"""Rejected rows: each with its line, the reason and the original text, into ``raw.rejected``.

A text file is only read a second time when something of it was rejected: its lines are
compared with the rejected ones, which says where those stand whatever else the file holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.lines import MAX_LINE_BYTES, read_lines
from wherry.collect.mending import LINE_END
from wherry.collect.reading import LINE_REJECTS
from wherry.collect.source import SourceFile
from wherry.collect.values import literal
from wherry.lake import quote

_BATCH_ROWS = 50_000
_COLUMNS = "load_id, tenant, source, line, reason, original, rejected_at"
_LONGEST_ORIGINAL = 100_000


class Refusal(msgspec.Struct, frozen=True):
    """A rejected row: whose (``None`` when that can't be read), where, why, and its text."""

    tenant: str | None
    line: int | None
    reason: str
    original: str


def count_unreadable(con: duckdb.DuckDBPyConnection) -> int:
    """How many lines the last read of a text file found to be no text at all."""
    row = con.execute(f"SELECT count(DISTINCT line) FROM temp.{LINE_REJECTS}").fetchone()
    return int(row[0]) if row else 0


def forget_unreadable(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what :func:`count_unreadable` counts; the next read makes it anew."""
    con.execute(f"DROP TABLE IF EXISTS temp.{LINE_REJECTS}")
    con.execute(f"DROP TABLE IF EXISTS temp.{LINE_REJECTS}_scan")


def append_rejects(
    con: duckdb.DuckDBPyConnection,
    source: SourceFile,
    *,
    load_id: int,
    label: str,
    tenant: str | None,
    unreadable: int,
    now: datetime,
) -> None:
    """Append the rejected rows of ``temp.incoming``, and the unreadable lines.

    ``tenant`` is whose the unreadable lines are: the default, or ``None`` where each row names
    its own.
    """
    if source.format == "parquet":
        _append_parquet(con, source, load_id, label, now)
        return
    refusals = _locate(con, source, tenant, unreadable)
    while batch := list(islice(refusals, _BATCH_ROWS)):
        columns = {
            name: pa.array([getattr(refusal, name) for refusal in batch], kind)
            for name, kind in (
                ("tenant", pa.string()),
                ("line", pa.int64()),
                ("reason", pa.string()),
                ("original", pa.string()),
            )
        }
        con.register("refusals", pa.table(columns))
        con.execute(
            f"INSERT INTO lake.raw.rejected ({_COLUMNS}) "
            f"SELECT {load_id}, tenant, {literal(label)}, line, reason, original, "
            f"TIMESTAMP '{now}' FROM refusals"
        )
        con.unregister("refusals")


def _append_parquet(
    con: duckdb.DuckDBPyConnection, source: SourceFile, load_id: int, label: str, now: datetime
) -> None:
    con.execute(
        f"INSERT INTO lake.raw.rejected ({_COLUMNS}) "
        f"SELECT {load_id}, i.tenant, {literal(label)}, i.__line, i.reason, "
        f"CAST(p.original AS VARCHAR), TIMESTAMP '{now}' "
        "FROM temp.incoming AS i JOIN (SELECT file_row_number + 1 AS line, "
        "to_json(struct_pack(*COLUMNS(* EXCLUDE (file_row_number)))) AS original "
        f"FROM read_parquet('{quote(str(source.path))}', file_row_number = true)) AS p "
        "ON p.line = i.__line WHERE i.reason IS NOT NULL"
    )


def _locate(
    con: duckdb.DuckDBPyConnection, source: SourceFile, tenant: str | None, unreadable: int
) -> Iterator[Refusal]:
    wanted: defaultdict[bytes, list[tuple[str | None, str, str]]] = defaultdict(list)
    rejected = con.execute(
        "SELECT __text, tenant, reason FROM temp.incoming WHERE reason IS NOT NULL"
    ).fetchall()
    for text, owner, reason in rejected:
        lines = text.split(LINE_END)
        wanted[lines[0].encode()].append((owner, reason, "\n".join(lines)))
    missing = len(rejected)
    for number, line in enumerate(read_lines(source.path, source.compression), start=1):
        if missing == unreadable == 0:
            return
        key = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if key in wanted:
            owner, reason, original = wanted[key].pop()
            if not wanted[key]:
                del wanted[key]
            missing -= 1
            yield Refusal(owner, number, reason, original)
        elif unreadable and (why := _why_unreadable(line)):
            unreadable -= 1
            original = line[:_LONGEST_ORIGINAL].decode("utf-8", "backslashreplace")
            yield Refusal(tenant, number, why, original)
    for entries in wanted.values():
        for owner, reason, original in entries:
            yield Refusal(owner, None, reason, original)
    for _ in range(unreadable):
        yield Refusal(tenant, None, "the line can't be read as text", "")


def _why_unreadable(line: bytes) -> str | None:
    if len(line) >= MAX_LINE_BYTES:
        return f"the line is longer than {MAX_LINE_BYTES} bytes"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"the line is not UTF-8: byte 0x{line[error.start]:02x} at {error.start + 1}"
    return None
