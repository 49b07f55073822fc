from __future__ import annotations

from pathlib import Path

import pytest

from wherry.lake import Lake, newest_snapshot
from wherry.lake.compaction import compact


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A table of 20 loads of ten rows, one row of which is deleted, and a table of one load."""
    lake = Lake(tmp_path / "it's a lake")
    with lake.writer() as con:
        con.execute("CREATE SCHEMA raw")
        con.execute("CREATE TABLE raw.events (id BIGINT, load_id BIGINT)")
        con.execute("CREATE TABLE raw.items AS SELECT 1 AS id")
        for load in range(20):
            con.execute(f"INSERT INTO raw.events SELECT i, {load} FROM range(10) AS r(i)")
        con.execute("DELETE FROM raw.events WHERE load_id = 5 AND id = 5")
    return lake


def files(lake: Lake) -> int:
    with lake.reader() as con:
        rows = con.execute(
            "SELECT file_count FROM ducklake_table_info('lake') WHERE table_name = 'events'"
        ).fetchall()
    return int(rows[0][0])


def test_many_small_files_become_few_and_hold_the_same(lake: Lake) -> None:
    with lake.writer() as con:
        before = con.execute("FROM raw.events ORDER BY ALL").fetchall()
        assert compact(con, most_small_files=10) == 1
        assert con.execute("FROM raw.events ORDER BY ALL").fetchall() == before
    assert len(before) == 199
    assert files(lake) <= 3


def test_few_small_files_are_left_alone(lake: Lake) -> None:
    with lake.writer() as con:
        snapshot = newest_snapshot(con)
        assert compact(con, most_small_files=20) == 0
        assert newest_snapshot(con) == snapshot
    assert files(lake) == 20


def test_an_older_snapshot_and_its_reader_see_what_they_saw(lake: Lake) -> None:
    with lake.writer() as con:
        snapshot = newest_snapshot(con) - 10
    with lake.reader(snapshot) as old:
        before = old.execute("FROM raw.events ORDER BY ALL").fetchall()
        with lake.writer() as con:
            compact(con, most_small_files=10)
        assert old.execute("FROM raw.events ORDER BY ALL").fetchall() == before
    with lake.reader(snapshot) as old:
        assert old.execute("FROM raw.events ORDER BY ALL").fetchall() == before
