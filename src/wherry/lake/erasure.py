"""Erasure: what was deleted leaves the files, the old snapshots and the catalog's own pages.

DuckLake marks deleted rows and keeps the files that hold them, so that older snapshots stay
readable. A row is gone when its file has been rewritten, every snapshot that could see the old
file is expired, the old file is removed, and SQLite has let go of its free pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import duckdb

from wherry.errors import LakeError
from wherry.lake.lake import CATALOG, Lake

_WAIT_SECONDS = 60

_TEXT_COLUMNS = """
SELECT table_id, column_id FROM ducklake_table_column_stats AS known WHERE EXISTS (
    SELECT * FROM ducklake_column AS column WHERE lower(column_type) = 'varchar'
    AND column.table_id = known.table_id AND column.column_id = known.column_id)
"""
_BOUNDS = """
SELECT count(*) FILTER (WHERE min_value IS NULL AND value_count IS NOT 0),
       min(min_value), max(max_value)
FROM ducklake_file_column_stats WHERE table_id = ? AND column_id = ?
"""
_ANY_TEXT = ("", "\U0010ffff")


def rewrite_deleted(con: duckdb.DuckDBPyConnection) -> None:
    """Write every file anew that holds deleted rows, without them; what tables show stays.

    Rows that the catalog holds itself (a few at a time are kept there) become files.
    """
    con.execute(f"CALL ducklake_flush_inlined_data('{CATALOG}')")
    con.execute(f"CALL ducklake_rewrite_data_files('{CATALOG}', delete_threshold => 0)")


def expire_snapshots(
    con: duckdb.DuckDBPyConnection,
    *,
    keep: Collection[int] = (),
    before: datetime | None = None,
) -> int:
    """Let go of old snapshots, and remove the files that no other one needs.

    The newest is always kept, and so are those in ``keep``; with ``before`` (UTC) also those
    made since. Returns how many went.
    """
    rows = con.execute(
        "SELECT snapshot_id, snapshot_time AT TIME ZONE 'UTC' "
        f"FROM ducklake_snapshots('{CATALOG}') ORDER BY snapshot_id"
    ).fetchall()
    old = [
        number
        for number, made_at in rows[:-1]
        if number not in keep and (before is None or made_at < before)
    ]
    if old:
        con.execute(f"CALL ducklake_expire_snapshots('{CATALOG}', versions => {old})")
    con.execute(f"CALL ducklake_cleanup_old_files('{CATALOG}', cleanup_all => true)")
    con.execute(f"CALL ducklake_delete_orphaned_files('{CATALOG}', cleanup_all => true)")
    return len(old)


def oldest_snapshot(
    con: duckdb.DuckDBPyConnection, *, but: Collection[int] = ()
) -> datetime | None:
    """When the oldest snapshot (UTC) was made, apart from the newest and those in ``but``."""
    rows = con.execute(
        "SELECT snapshot_id, snapshot_time AT TIME ZONE 'UTC' "
        f"FROM ducklake_snapshots('{CATALOG}') ORDER BY snapshot_id"
    ).fetchall()
    return next((made_at for number, made_at in rows[:-1] if number not in but), None)


def vacuum(path: Path) -> None:
    """Write a SQLite database anew, without what was deleted from it; its log is emptied too.

    Raises:
        LakeError: If another process holds it for a minute, or the disk has no room.
    """
    try:
        with closing(_connect(path)) as con:
            con.execute("VACUUM")
            busy, *_ = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise LakeError(f"{path} can't be rewritten: {error}. Make room, then go on.") from error
    if busy:
        raise LakeError(f"{path} is being read all the time. Stop its readers, then go on.")


def clean_catalog(lake: Lake) -> None:
    """Let the catalog go of values that no file holds any more, and :func:`vacuum` it.

    Nobody in this process may be connected to the lake.
    """
    try:
        with closing(_connect(lake.catalog_path)) as con:
            con.execute("BEGIN IMMEDIATE")
            _narrow_bounds(con)
            con.execute("COMMIT")
    except sqlite3.Error as error:
        raise LakeError(
            f"{lake.catalog_path} can't be written: {error}. Put that right, go on."
        ) from error
    vacuum(lake.catalog_path)


def _narrow_bounds(con: sqlite3.Connection) -> None:
    """Set the smallest and the largest text of each column to those that its files hold.

    DuckLake widens what it keeps of a table and never narrows it. All files count, also those
    that only older snapshots see; texts compare as bytes, in SQLite as in DuckDB. Where a file
    does not tell, or rows lie in the catalog itself, the bounds become those of all texts. They
    are never empty where there are values: DuckLake would take that for a column without any.
    """
    inlined = {
        table_id
        for table_id, name in con.execute(
            "SELECT table_id, table_name FROM ducklake_inlined_data_tables"
        ).fetchall()
        if con.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()
    }
    for table_id, column_id in con.execute(_TEXT_COLUMNS).fetchall():
        unknown, low, high = con.execute(_BOUNDS, (table_id, column_id)).fetchone()
        if unknown or table_id in inlined:
            low, high = _ANY_TEXT
        con.execute(
            "UPDATE ducklake_table_column_stats SET min_value = ?, max_value = ? "
            "WHERE table_id = ? AND column_id = ?",
            (low, high, table_id, column_id),
        )


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)
