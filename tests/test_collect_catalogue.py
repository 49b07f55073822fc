"""The catalogue: a telling is added when it says something new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect_shop import NOW, count, load, rejected, write
from wherry.collect import PRESETS
from wherry.config import Field, Mapping
from wherry.lake import Lake

ITEMS = PRESETS["wherry-items"]
HEADER = "item_id,name,category,price,available,colour,size"
SALES = Mapping(
    event_type=Field(value="view"),
    occurred_at="at",
    visitor_id="who",
    item_id="what",
    name="name",
    category="category",
)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as connection:
        yield connection


def told(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        "SELECT item_id, name, price, load_id FROM lake.raw.items ORDER BY load_id, item_id"
    ).fetchall()


def test_a_catalogue_is_taken_with_its_other_columns_as_attributes(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [HEADER, "a,Stove,kitchen,49.5,yes,red,L", "b,Tent,,,,,"]
    loaded = load(con, write(tmp_path / "items.csv", lines), ITEMS)
    assert (loaded.kind, loaded.taken, loaded.rejected) == ("items", 2, 0)
    assert con.execute("SELECT * FROM lake.raw.items ORDER BY item_id").fetchall() == [
        ("default", "a", "Stove", "kitchen", 49.5, True, '{"colour":"red","size":"L"}', NOW, 1),
        ("default", "b", "Tent", None, None, None, None, NOW, 1),
    ]


@pytest.mark.parametrize("name", ["items.ndjson.gz", "items.parquet"])
def test_every_format_of_a_catalogue_says_the_same(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    load(con, write(tmp_path / "items.csv", [HEADER, "a,Stove,,49.5,1,red,"]), ITEMS)
    if name.endswith("parquet"):
        row = {"item_id": "a", "name": "Stove", "price": 49.5, "available": True, "colour": "red"}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        line = (
            '{"item_id": "a", "name": "Stove", "price": 49.5, "available": true, "colour": "red"}'
        )
        write(tmp_path / name, [line])
    assert load(con, tmp_path / name, ITEMS).known == 1


def test_only_what_changed_is_added(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    load(con, write(tmp_path / "a.csv", [HEADER, "a,Stove,,1,,,", "b,Tent,,2,,,"]), ITEMS)
    second = load(con, write(tmp_path / "b.csv", [HEADER, "a,Stove,,1,,,", "b,Tent,,3,,,"]), ITEMS,
                  now=datetime(2026, 3, 2))  # fmt: skip
    back = load(con, write(tmp_path / "c.csv", [HEADER, "b,Tent,,2,,,"]), ITEMS,
                now=datetime(2026, 3, 3))  # fmt: skip
    assert (second.taken, second.known, back.taken) == (1, 1, 1)
    assert told(con)[2:] == [("b", "Tent", 3.0, 2), ("b", "Tent", 2.0, 3)]


def test_of_two_rows_of_one_item_the_last_counts(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [HEADER, "a,Stove,,1,,,", "b,Tent,,2,,,", "a,Stove,,3,,,"]
    loaded = load(con, write(tmp_path / "items.csv", lines), ITEMS)
    assert (loaded.taken, loaded.known) == (2, 1)
    assert told(con) == [("a", "Stove", 3.0, 1), ("b", "Tent", 2.0, 1)]


def test_the_items_of_two_tenants_are_two(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = ["tenant,item_id,name", "north,a,Stove", "south,a,Stove"]
    assert load(con, write(tmp_path / "items.csv", lines), ITEMS).taken == 2


def test_a_bad_row_of_a_catalogue_is_kept(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = [HEADER, ",Stove,,1,,,", "a,Stove,,dear,,,", "b,Tent,,1,perhaps,,", "c,Rope,,1,no,,"]
    loaded = load(con, write(tmp_path / "items.csv", lines), ITEMS)
    assert (loaded.taken, loaded.rejected) == (1, 3)
    assert [r[:2] for r in rejected(con)] == [
        (2, "item_id (column item_id) is empty"),
        (3, "price (column price): 'dear' is not a number"),
        (4, "available (column available): 'perhaps' is neither true nor false"),
    ]


def test_events_tell_of_their_items_once(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = [
        "at,who,what,name,category",
        "2026-01-01,v,a,Stove,kitchen",
        "2026-01-03,v,a,Camp stove,kitchen",
        "2026-01-02,v,a,Stove,kitchen",
        "2026-01-02,v,b,,",
        "2026-01-02,v,,Nothing,",
    ]
    loaded = load(con, write(tmp_path / "log.csv", lines), SALES)
    assert (loaded.taken, loaded.told) == (5, 1)
    assert con.execute("SELECT item_id, name, received_at FROM lake.raw.items").fetchall() == [
        ("a", "Camp stove", datetime(2026, 1, 3))
    ]


def test_a_telling_is_only_added_when_it_is_newer_and_different(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    header = "at,who,what,name,category"
    first = write(tmp_path / "a.csv", [header, "2026-01-05,v,a,Stove,kitchen"])
    older = write(tmp_path / "b.csv", [header, "2026-01-04,v,a,Old stove,kitchen"])
    same = write(tmp_path / "c.csv", [header, "2026-01-06,v,a,Stove,kitchen"])
    newer = write(tmp_path / "d.csv", [header, "2026-01-07,v,a,New stove,kitchen"])
    assert [load(con, path, SALES).told for path in (first, older, same, newer)] == [1, 0, 0, 1]
    assert count(con, "items") == 2
