"""A mapping that fits a file, and what is said of one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from collect_shop import HEADER, count, load, row, write
from wherry.collect import PRESETS, find_files
from wherry.config import Field, Mapping, parse_settings
from wherry.errors import SourceError
from wherry.lake import Lake

AT_WHO = {"occurred_at": "at", "visitor_id": "who"}


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as connection:
        yield connection


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (Mapping(**AT_WHO), "does not say where event_type comes from"),
        (Mapping(event_type="kind"), r"occurred_at and visitor_id \(or session_id\) comes from"),
        (Mapping(kind="items", name="what"), "does not say where item_id comes from"),
        (
            Mapping(event_type="kinds", **AT_WHO),
            "no column 'kinds', which event_type is made from. Its columns: at, kind, who, what, "
            "cost. Did you mean 'kind'?",
        ),
        (
            Mapping(event_type="type", aliases={"type": ("action",)}, **AT_WHO),
            r"no column 'type' \(nor 'action'\)",
        ),
        (
            Mapping(event_type=Field(), **AT_WHO),
            "event_type: .*exactly one of column, sql and value",
        ),
        (
            Mapping(event_type=Field(column="kind", value="view"), **AT_WHO),
            "exactly one of column, sql and value",
        ),
        (
            Mapping(event_type=Field(sql="upper(kinds)"), **AT_WHO),
            'does not fit .*"kinds" not found.*The file\'s columns: at, kind',
        ),
        (Mapping(event_type=Field(sql="upper("), **AT_WHO), "does not fit"),
        (
            Mapping(event_type=Field(sql="CAST(who AS INTEGER)"), **AT_WHO),
            "Could not convert string 'anna' to INT32.*the mapping's SQL fits its values",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_what_is_wrong(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, mapping: Mapping, message: str
) -> None:
    path = write(tmp_path / "log.csv", [HEADER, row(1)])
    with pytest.raises(SourceError, match=f"(?s){message}"):
        load(con, path, mapping)
    assert count(con, "loads") == 0


def test_a_column_is_found_by_another_case_and_by_another_name(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(
        aliases={"person": ("visitor", "Customer ID"), "kind": ("never used",)},
        event_type="KIND",
        occurred_at="At",
        visitor_id=Field(sql="'v' || person"),
    )
    load(con, write(tmp_path / "log.csv", ["at,kind,customer id", "2026-01-01,view,7"]), mapping)
    assert con.execute("SELECT visitor_id FROM lake.raw.events").fetchall() == [("v7",)]


def test_an_optional_column_may_be_missing(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    mapping = Mapping(
        event_type=Field(column="kind", value="view", optional=True),
        query=Field(column="q", optional=True),
        **AT_WHO,
    )
    load(con, write(tmp_path / "a.csv", ["at,who", "2026-01-01,a"]), mapping)
    load(con, write(tmp_path / "b.csv", ["at,who,kind,q", "2026-01-01,a,add,x"]), mapping)
    kept = con.execute("SELECT event_type, query FROM lake.raw.events ORDER BY 1").fetchall()
    assert kept == [("add", "x"), ("view", None)]


def test_values_rename_and_leave_other_words(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(event_type=Field(column="k", values={"cart": "add", "1": "view"}), **AT_WHO)
    lines = ["at,who,k", *(f"2026-01-01,a,{word}" for word in ("cart", " 1 ", "wish"))]
    load(con, write(tmp_path / "log.csv", lines), mapping)
    kept = con.execute("SELECT event_type FROM lake.raw.events ORDER BY 1").fetchall()
    assert kept == [("add",), ("view",), ("wish",)]


def test_names_that_are_hard_to_quote_are_quoted(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(
        event_type=Field(value="it's"),
        occurred_at='the "time"',
        visitor_id="text",
        session_id="__row",
        properties=("o'clock", 'the "time"'),
    )
    lines = ['"the ""time""",text,__row,o\'clock,reason,tenant', "2026-01-01,a,s,12,x,y"]
    load(con, write(tmp_path / "it's.csv", lines), mapping)
    kept = con.execute("SELECT event_type, visitor_id, session_id, properties, tenant "
                       "FROM lake.raw.events").fetchall()  # fmt: skip
    properties = '{"o\'clock":"12","the \\"time\\"":"2026-01-01"}'
    assert kept == [("it's", "a", "s", properties, "default")]


PAGE = (Path(__file__).parents[1] / "docs" / "import.md").read_text()


def test_the_page_s_mapping_takes_the_page_s_log(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    files = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    mapping = parse_settings(files["wherry.toml"]).imports["mine"]
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/log.csv").write_text(files["exports/log.csv"])
    (path,) = find_files("exports/*.csv", tmp_path)
    loaded = load(con, path, mapping)
    assert (loaded.taken, loaded.rejected, loaded.told) == (3, 0, 1)
    kept = con.execute(
        "SELECT event_type, occurred_at, visitor_id, items[1].price, properties "
        "FROM lake.raw.events ORDER BY occurred_at"
    ).fetchall()
    assert kept == [
        ("view", datetime(2026, 1, 1, 10), "anna", 199.0, '{"page":"/tents"}'),
        ("add", datetime(2026, 1, 1, 10, 1), "anna", 199.0, '{"page":"/tents"}'),
        ("search", datetime(2026, 1, 1, 10, 2), "s2", None, '{"page":"/search"}'),
    ]


def test_the_page_lists_every_preset_and_every_field() -> None:
    for word in (*PRESETS, *Field.__struct_fields__, *Mapping.__struct_fields__):
        assert f"`{word}`" in PAGE or f"`{word} =" in PAGE, word
