"""The lake: one writer beside readers that stay on their snapshot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from wherry.errors import LakeError
from wherry.lake import Lake, create_raw_tables, newest_snapshot, next_load_id


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    row = con.execute(f"SELECT count(*) FROM lake.{table}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a table of a hundred rows."""
    lake = Lake(tmp_path / "lake", threads=1)
    with lake.writer() as con:
        con.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(100)")
    return lake


def test_a_reader_keeps_its_snapshot_while_tables_are_dropped_and_rebuilt(lake: Lake) -> None:
    with lake.reader() as con:
        snapshot = newest_snapshot(con)
    with lake.reader(snapshot) as reader:
        assert _count(reader, "numbers") == 100
        with lake.writer() as writer:
            writer.execute("DROP TABLE numbers")
            writer.execute("CREATE TABLE numbers AS SELECT 'other' AS word")
            assert _count(reader, "numbers") == 100
            assert reader.execute("SELECT sum(n) FROM numbers").fetchone() == (4950,)
    with lake.reader(snapshot) as late:
        assert _count(late, "numbers") == 100
    with lake.reader() as newest:
        assert newest.execute("SELECT word FROM numbers").fetchall() == [("other",)]


def test_a_snapshot_that_was_never_made_is_an_error_that_names_the_lake(lake: Lake) -> None:
    with pytest.raises(LakeError, match=str(lake.folder)), lake.reader(99_999):
        pass


def test_a_reader_of_no_lake_is_told_to_import(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "nothing")
    with pytest.raises(LakeError, match="wherry import"), lake.reader():
        pass
    assert not lake.folder.exists()


def test_a_reader_cannot_write(lake: Lake) -> None:
    with lake.reader() as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("DELETE FROM numbers")


def test_a_catalog_that_is_no_database_is_an_error_that_names_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.catalog_path.write_bytes(b"not a database, " * 64)
    with pytest.raises(LakeError, match=r"catalog\.sqlite"), lake.writer():
        pass


def test_a_lake_that_was_moved_reads_and_writes_in_its_new_place(
    lake: Lake, tmp_path: Path
) -> None:
    there = tmp_path / "an other place, it's new"
    shutil.move(lake.folder, there)
    moved = Lake(there, threads=1)
    with moved.writer() as con:
        con.execute("INSERT INTO numbers SELECT range FROM range(5000)")
    with moved.reader() as con:
        assert _count(con, "numbers") == 5100
    assert not lake.folder.exists()


_READ = """
import sys, time
from pathlib import Path
from wherry.lake import Lake
lake, until = Lake(Path(sys.argv[1]), threads=1), time.monotonic() + 3
seen = 0
print("reading", flush=True)
while time.monotonic() < until:
    with lake.reader() as con:
        for _ in range(5):
            n, total = con.execute("SELECT count(*), sum(n) FROM numbers").fetchone()
            assert n % 100 == 0 and total == n // 100 * 4950, (n, total)
            seen += 1
print(seen)
"""


def test_readers_beside_a_writer_meet_no_lock_and_no_half_written_table(lake: Lake) -> None:
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", _READ, str(lake.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
    commits = 0
    while any(reader.poll() is None for reader in readers):
        with lake.writer() as con:
            for _ in range(5):
                con.execute("INSERT INTO numbers SELECT range FROM range(100)")
            con.execute("CREATE OR REPLACE TABLE numbers AS FROM numbers")
        commits += 6
    for reader in readers:
        out, err = reader.communicate(timeout=30)
        assert reader.returncode == 0, err
        assert int(out) > 0
    assert commits > 0


def test_raw_tables_are_made_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", threads=1)
    with lake.writer() as con:
        create_raw_tables(con)
        made = newest_snapshot(con)
        create_raw_tables(con)
        assert newest_snapshot(con) == made
        assert next_load_id(con) == 1
        con.execute("INSERT INTO lake.raw.loads (load_id) VALUES (4)")
        assert next_load_id(con) == 5
