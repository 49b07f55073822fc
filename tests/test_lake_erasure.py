"""What was deleted is gone from files, snapshots and the catalog, and what is left is found."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wherry.errors import LakeError
from wherry.lake import Lake, compact, newest_snapshot
from wherry.lake.erasure import (
    clean_catalog,
    expire_snapshots,
    oldest_snapshot,
    rewrite_deleted,
    vacuum,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", threads=1)


def files_with(lake: Lake, word: str) -> list[str]:
    found = []
    for path in sorted(lake.folder.rglob("*")):
        if path.is_file() and "extensions" not in path.parts:
            if word.encode() in path.read_bytes():
                found.append(path.suffix)
            elif path.suffix == ".parquet":
                with duckdb.connect() as con:
                    rows = con.execute(f"SELECT t::VARCHAR FROM '{path}' AS t").fetchall()
                found += [".parquet"] if any(word in row for (row,) in rows) else []
    return found


def erase(lake: Lake, who: str) -> None:
    with lake.writer() as con:
        con.execute("DELETE FROM lake.people WHERE who = ?", [who])
        rewrite_deleted(con)
        expire_snapshots(con)
    clean_catalog(lake)


def tell(lake: Lake, *people: str, inlined: bool = False) -> None:
    with lake.writer() as con:
        if inlined:  # as lakes of an earlier version hold a few rows
            con.execute("CALL lake.set_option('data_inlining_row_limit', 100)")
        con.execute("CREATE TABLE IF NOT EXISTS lake.people (who VARCHAR, note VARCHAR, n INT)")
        rows = ", ".join(f"('{who}', NULL, {place})" for place, who in enumerate(people))
        con.execute(f"INSERT INTO lake.people VALUES {rows}")


def people(lake: Lake, condition: str = "true") -> list[str]:
    with lake.reader() as con:
        query = f"SELECT DISTINCT who FROM lake.people WHERE {condition} ORDER BY 1"
        return [who for (who,) in con.execute(query).fetchall()]


def test_a_deleted_row_is_nowhere_once_it_is_erased(lake: Lake) -> None:
    tell(lake, "anna", "bob", "carl")
    tell(lake, "anna")
    tell(lake, "dora")
    erase(lake, "anna")
    assert files_with(lake, "anna") == []
    assert people(lake) == ["bob", "carl", "dora"]


@pytest.mark.parametrize("who", ["anna", "dora"])
def test_the_smallest_and_largest_values_are_let_go_and_later_rows_are_found(
    lake: Lake, who: str
) -> None:
    tell(lake, *["anna", "bob", "carl", "dora"] * 50)
    erase(lake, who)
    assert files_with(lake, who) == []
    # The catalog's bounds decide what a filter looks at, so they have to be true.
    tell(lake, "bert")
    left = sorted({"anna", "bob", "bert", "carl", "dora"} - {who})
    assert people(lake) == left
    for each in left:
        assert people(lake, f"who = '{each}'") == [each]
    assert people(lake, "who < 'b'") == [each for each in left if each < "b"]
    assert people(lake, "note IS NOT NULL") == []


def test_texts_too_long_for_bounds_are_found_too(lake: Lake) -> None:
    long = "b" * 50_000
    tell(lake, "anna", long)
    tell(lake, "carl")
    erase(lake, "anna")
    tell(lake, "abel")
    assert files_with(lake, "anna") == []
    assert people(lake, "who < 'b'") == ["abel"]
    assert people(lake, f"who = '{long}'") == [long]
    assert people(lake, "who = 'carl'") == ["carl"]


def test_rows_that_the_catalog_holds_itself_are_erased_too(lake: Lake) -> None:
    tell(lake, "anna", "bob", inlined=True)
    tell(lake, "carl", inlined=True)
    erase(lake, "anna")
    assert files_with(lake, "anna") == []
    assert people(lake) == ["bob", "carl"]
    assert people(lake, "who = 'bob'") == ["bob"]


def test_what_was_merged_into_larger_files_is_erased_too(lake: Lake) -> None:
    for who in ("anna", "bob", "carl", "anna", "dora"):
        tell(lake, who)
    with lake.writer() as con:
        assert compact(con, most_small_files=2) == 1
    erase(lake, "anna")
    assert files_with(lake, "anna") == []
    assert people(lake) == ["bob", "carl", "dora"]
    assert people(lake, "who = 'carl'") == ["carl"]


def test_a_table_that_lost_all_its_rows_takes_new_ones(lake: Lake) -> None:
    tell(lake, "anna")
    erase(lake, "anna")
    assert files_with(lake, "anna") == []
    tell(lake, "bob")
    assert people(lake, "who = 'bob'") == ["bob"]


def test_snapshots_that_are_kept_can_be_read_and_the_others_are_gone(lake: Lake) -> None:
    tell(lake, "anna", "bob")
    with lake.reader() as con:
        kept = newest_snapshot(con)
    tell(lake, "carl")
    with lake.writer() as con:
        con.execute("DELETE FROM lake.people WHERE who = 'anna'")
        rewrite_deleted(con)
        assert expire_snapshots(con, keep={kept}) > 0
    clean_catalog(lake)
    with lake.reader(kept) as con:
        found = con.execute("SELECT who FROM lake.people WHERE who = 'anna'").fetchall()
    assert found == [("anna",)]
    assert people(lake) == ["bob", "carl"]


def test_young_snapshots_stay_where_a_time_says_so(lake: Lake) -> None:
    tell(lake, "anna")
    tell(lake, "bob")
    now = datetime.now(UTC).replace(tzinfo=None)
    with lake.writer() as con:
        oldest = oldest_snapshot(con)
        assert oldest is not None
        assert abs(oldest - now) < timedelta(minutes=5)
        assert expire_snapshots(con, before=now - timedelta(hours=1)) == 0
        assert expire_snapshots(con, before=now + timedelta(hours=1)) > 0
        assert oldest_snapshot(con) is None


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(LakeError, match=r"x\.sqlite"):
        vacuum(path)


def test_a_database_is_vacuumed_beside_a_connection_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with sqlite3.connect(path) as con:
        con.execute("PRAGMA journal_mode=WAL")
        con.execute("CREATE TABLE t AS SELECT 'secret word' AS x")
        con.commit()
        con.execute("DELETE FROM t")
        con.commit()
        vacuum(path)
        assert con.execute("SELECT count(*) FROM t").fetchone() == (0,)
    con.close()
    assert b"secret word" not in path.read_bytes()
