"""A row that can't be read is kept with its line, the reason and its text; the rest goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect_shop import HEADER, count, load, rejected, row, write
from wherry.collect import PRESETS
from wherry.config import Field, Mapping
from wherry.lake import Lake

WHERRY = PRESETS["wherry"]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as connection:
        yield connection


BAD_VALUES = {
    "yesterday,view,anna,stove,1": "occurred_at (column at): 'yesterday' is not a time",
    ",view,anna,stove,1": "occurred_at (column at) is empty",
    "1970-01-01,view,anna,stove,1": "occurred_at (column at): '1970-01-01' is before 1990",
    "2026-03-03,view,anna,stove,1": "occurred_at (column at): '2026-03-03' is in the future",
    "infinity,view,anna,stove,1": "occurred_at (column at): 'infinity' is not a time",
    "2026-01-01,,anna,stove,1": "event_type (column kind) is empty",
    "2026-01-01,view, ,stove,1": "visitor_id (column who) is empty, and there is no session_id",
    "2026-01-01,view,anna,stove,cheap": "price (column cost): 'cheap' is not a number",
    "2026-01-01,view,anna,stove,inf": "price (column cost): 'inf' is out of range",
    "2026-01-01,view,anna,stove": "4 values where the header has 5",
    "2026-01-01,view,anna,stove,1,2": "6 values where the header has 5",
    '2026-01-01,view,"anna,stove,1': "a quoted value that does not end",
    '2026-01-01,view,"an"na,stove,1': "text behind the end of a quoted value",
}


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_each_bad_line_is_kept_and_the_rest_goes_on(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    pairs = [line for second, bad in enumerate(BAD_VALUES) for line in (bad, row(second))]
    loaded = load(con, write(tmp_path / name, [HEADER, "", *pairs]))
    count = len(BAD_VALUES)
    assert (loaded.taken, loaded.known, loaded.rejected) == (count, 0, count)
    assert rejected(con) == [
        (3 + 2 * place, reason, bad) for place, (bad, reason) in enumerate(BAD_VALUES.items())
    ]


def test_a_line_number_counts_the_lines_of_quoted_values_before(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [HEADER, '2026-01-01,view,"two', 'lines",stove,1', "x,view,anna,stove,1", row(3)]
    loaded = load(con, write(tmp_path / "log.csv", lines))
    assert loaded.taken == 2
    assert [r[0] for r in rejected(con)] == [4]
    visitors = con.execute("SELECT visitor_id FROM lake.raw.events ORDER BY 1").fetchall()
    assert visitors == [("anna",), ("two\nlines",)]


def test_a_bad_record_of_several_lines_is_kept_whole(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [HEADER, row(1), 'x,view,"two', 'lines",stove,1', row(2)]
    assert load(con, write(tmp_path / "log.csv", lines)).taken == 2
    assert rejected(con) == [
        (3, "occurred_at (column at): 'x' is not a time", 'x,view,"two\nlines",stove,1')
    ]


def test_a_stray_quote_costs_its_own_line_alone(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [row(second, f'"v{second}"') for second in range(60)]
    lines[7] = '2026-01-01,view,"open,stove,1'
    lines[30] = '2026-01-01,view,"an"na,stove,1'
    lines[31] = '2026-01-01 00:00:01,view,5" tv,stove,1'
    loaded = load(con, write(tmp_path / "log.csv", [HEADER, *lines]))
    assert (loaded.taken, loaded.rejected) == (58, 2)
    assert [r[0] for r in rejected(con)] == [9, 32]


def test_a_stray_quote_in_a_large_file_loses_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    # DuckDB's own reader drops the rows of a whole buffer here, without a word.
    lines = [f"2026-01-01 10:00:00,view,v{i},stove,1" for i in range(100_000)]
    lines[1000] = '2026-01-01,view,"open,stove,1'
    loaded = load(con, write(tmp_path / "log.csv", [HEADER, *lines]))
    assert (loaded.taken, loaded.rejected) == (99_999, 1)


def test_lines_that_end_in_every_way_are_all_read(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    ends = ["\r\n", "\n", "\r\n", "\r", "\n"]
    lines = [HEADER, row(1), row(2), "x,,,,", row(3)]
    body = "\ufeff" + "".join(line + end for line, end in zip(lines, ends, strict=True)) + row(4)
    loaded = load(con, write(tmp_path / "log.csv", body))
    assert (loaded.taken, [r[0] for r in rejected(con)]) == (4, [4])


def test_a_line_that_is_not_utf8_is_kept_by_its_bytes(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [HEADER.encode(), row(1).encode(), b"2026-01-01,view,ann\xe9,stove,1", row(2).encode()]
    assert load(con, write(tmp_path / "log.csv", b"\n".join(lines))).taken == 2
    ((line, reason, original),) = rejected(con)
    assert (line, reason) == (3, "the line is not UTF-8: byte 0xe9 at 20")
    assert original == r"2026-01-01,view,ann\xe9,stove,1"


def test_a_nul_byte_is_text_like_any_other(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = [HEADER, "2026-01-01,view,an\0na,stove,1", "\0"]
    assert load(con, write(tmp_path / "log.csv", lines)).taken == 1
    assert rejected(con) == [(3, "1 values where the header has 5", "\0")]


def test_a_line_that_is_too_long_is_rejected_and_cut(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    long = "2026-01-01,view,anna,stove," + "1" * 2_500_000
    assert load(con, write(tmp_path / "log.csv", [HEADER, row(1), long, row(2)])).taken == 2
    ((line, reason, original),) = rejected(con)
    assert (line, reason) == (3, "the line is longer than 2000000 bytes")
    assert long.startswith(original)


def test_the_same_bad_line_twice_is_rejected_twice(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    load(con, write(tmp_path / "log.csv", [HEADER, "bad", row(1), "bad", "\tbad"]))
    assert [(line, text) for line, _, text in rejected(con)] == [
        (2, "bad"), (4, "bad"), (5, "\tbad")
    ]  # fmt: skip


BAD_OBJECTS = {
    "{": "the line is not JSON",
    "[1]": "the line is not a JSON object",
    "7": "the line is not a JSON object",
    "{} {}": "the line is not JSON",
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a", "items": "none"}': (
        "items (column items): 'none' is not a list of items, each with an id"
    ),
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a", "items": [{"n": 1}]}': (
        "items (column items): '[{\"n\":1}]' is not a list of items, each with an id"
    ),
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a",'
    ' "items": [{"id": "x", "price": "much"}]}': (
        'items (column items): \'[{"id":"x","price":"much"}]\' '
        "holds a price or a quantity that is not a number"
    ),
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a", "properties": [1]}': (
        "properties (column properties): '[1]' is not a JSON object"
    ),
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a", "tenant": "a/b"}': (
        "tenant (column tenant): 'a/b' is no tenant: 1-64 letters, digits, - or _"
    ),
    '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a", "received_at": "x"}': (
        "received_at (column received_at): 'x' is not a time"
    ),
}


def test_each_bad_object_is_kept_and_the_rest_goes_on(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    good = '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a"}'
    loaded = load(con, write(tmp_path / "log.ndjson", [good, "", *BAD_OBJECTS]), WHERRY)
    assert (loaded.taken, loaded.rejected) == (1, len(BAD_OBJECTS))
    assert rejected(con) == [
        (3 + place, reason, bad) for place, (bad, reason) in enumerate(BAD_OBJECTS.items())
    ]


def test_a_key_that_comes_up_late_is_read(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    good = '{"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "v%d"%s}'
    lines = [good % (i, "") for i in range(1500)] + [good % (0, ', "query": "late"')]
    load(con, write(tmp_path / "log.ndjson", lines), WHERRY)
    found = con.execute("SELECT query FROM lake.raw.events WHERE query IS NOT NULL").fetchall()
    assert found == [("late",)]


def test_a_bad_row_of_parquet_is_kept_as_json(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    good = {"event_type": "view", "occurred_at": datetime(2026, 1, 1), "visitor_id": "a"}
    rows = [
        good | {"price": 1.0},
        good | {"price": 2.0, "event_type": None},
        good | {"price": float("nan"), "occurred_at": datetime(1970, 1, 1)},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    assert load(con, tmp_path / "log.parquet", WHERRY).taken == 1
    first, second = rejected(con)
    assert first[:2] == (2, "event_type (column event_type) is empty")
    assert '"price":2.0' in first[2]
    assert second[0] == 3
    assert "'1970-01-01 00:00:00' is before 1990" in second[1]


def test_a_number_that_is_nan_is_a_missing_one(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert (
        load(con, write(tmp_path / "log.csv", [HEADER, row(1).replace("49.5", "NaN")])).taken == 1
    )
    ((items,),) = con.execute("SELECT items FROM lake.raw.events").fetchall()
    assert items[0]["price"] is None


def test_a_line_that_repeats_the_header_is_no_row(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    loaded = load(con, write(tmp_path / "log.csv", [HEADER, row(1), HEADER, row(2)]))
    assert (loaded.taken, loaded.rejected) == (2, 0)


def test_a_file_of_a_header_alone_is_an_empty_load(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    loaded = load(con, write(tmp_path / "log.csv", [HEADER]))
    assert (loaded.taken, loaded.known, loaded.rejected, loaded.load_id) == (0, 0, 0, 1)
    assert load(con, tmp_path / "log.csv").is_skipped


def test_more_bad_rows_than_one_batch_all_keep_their_lines(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [f"bad {number}" for number in range(2, 60_002)]
    assert load(con, write(tmp_path / "log.csv", [HEADER, *lines])).rejected == 60_000
    (wrong,) = con.execute(
        "SELECT count(*) FROM lake.raw.rejected WHERE original <> 'bad ' || line"
    ).fetchall()[0]
    assert wrong == 0
    assert count(con, "events") == 0


def test_where_rows_name_their_tenant_a_broken_one_is_nobody_s(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(tenant="t", event_type=Field(value="view"), occurred_at="at", visitor_id="v")
    lines = ["t,at,v", "north,x,1", "north", ",2026-01-01,1"]
    load(con, write(tmp_path / "log.csv", lines), mapping)
    owners = con.execute("SELECT line, tenant FROM lake.raw.rejected ORDER BY line").fetchall()
    assert owners == [(2, "north"), (3, None)]
    assert con.execute("SELECT tenant FROM lake.raw.events").fetchall() == [("default",)]
