"""One value read from text and from typed columns."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.collect.values import flag_of, items_of, number_of, object_of, text_of, time_of

NOON = datetime(2026, 1, 2, 12)


def value(sql: str, given: object = None) -> object:
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT {sql} FROM (SELECT ? AS x)", [given]).fetchall()
    return rows[0][0]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02 12:00:00",
        "2026-01-02T12:00:00",
        "2026-01-02T12:00:00.000Z",
        "2026-01-02 12:00:00 UTC",
        "2026-01-02 12:00",
        "2026-01-02T14:00:00+02:00",
        "2026-01-02 14:00:00+02",
        "2026-01-02T07:00:00-05:00",
        "2026/01/02 12:00:00",
        "1767355200",
        "1767355200.0",
        "1767355200000",
        "1767355200000000",
        "1767355200000000000",
    ],
)
def test_a_time_is_read_however_it_is_written(text: str) -> None:
    assert value(time_of("x", "VARCHAR"), text) == NOON


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "UTC"])
def test_the_clock_of_the_machine_does_not_matter(zone: str) -> None:
    with duckdb.connect() as con:
        con.execute(f"SET TimeZone = '{zone}'")
        for text in ("2026-01-02 12:00:00", "2026-01-02T14:00:00+02:00"):
            rows = con.execute(f"SELECT {time_of('x', 'VARCHAR')} FROM (SELECT '{text}' AS x)")
            assert rows.fetchall() == [(NOON,)]
        sql = time_of("x", "TIMESTAMP WITH TIME ZONE")
        query = f"SELECT {sql} FROM (SELECT '2026-01-02T14:00:00+02:00'::TIMESTAMPTZ AS x)"
        assert con.execute(query).fetchall() == [(NOON,)]


@pytest.mark.parametrize(
    ("sql_type", "given"),
    [
        ("TIMESTAMP", "'2026-01-02 12:00:00'"),
        ("TIMESTAMP_NS", "'2026-01-02 12:00:00'"),
        ("TIMESTAMP_S", "'2026-01-02 12:00:00'"),
        ("BIGINT", "1767355200"),
        ("UBIGINT", "1767355200000"),
        ("DOUBLE", "1767355200.0"),
    ],
)
def test_a_time_is_read_from_a_column_of_times_or_numbers(sql_type: str, given: str) -> None:
    assert value(time_of(f"({given})::{sql_type}", sql_type)) == NOON


def test_a_date_is_its_midnight() -> None:
    assert value(time_of("x", "DATE"), date(2026, 1, 2)) == datetime(2026, 1, 2)


@pytest.mark.parametrize("zeros", [0, 3, 6, 9])
@pytest.mark.parametrize("year", [1990, 2100])
def test_the_size_of_a_number_says_what_it_counts(year: int, zeros: int) -> None:
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    text = str(seconds * 10**zeros)
    assert value(time_of("x", "VARCHAR"), text) == datetime(year, 1, 1)


def test_a_unit_says_what_a_small_number_counts() -> None:
    assert value(time_of("x", "VARCHAR", "ms"), "1000") == datetime(1970, 1, 1, 0, 0, 1)
    assert value(time_of("x", "BIGINT", "s"), 1000) == datetime(1970, 1, 1, 0, 16, 40)


def test_a_format_reads_what_is_not_iso() -> None:
    sql = time_of("x", "VARCHAR", form="%m/%d/%Y %H:%M")
    assert value(sql, "1/2/2026 12:00") == NOON
    assert value(sql, "2026-01-02 12:00") == NOON


@pytest.mark.parametrize("text", ["noon", "", "1e300", "-", "12:00", "2026-13-01", "nan", "+"])
def test_what_is_no_time_is_null(text: str) -> None:
    assert value(time_of("x", "VARCHAR"), text) is None


@given(moment=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_a_time_is_the_same_from_text_and_from_microseconds(moment: datetime) -> None:
    microseconds = (moment - datetime(1970, 1, 1)).total_seconds()
    sqls = [
        time_of(f"'{moment.isoformat(' ')}'", "VARCHAR"),
        time_of(f"'{moment.replace(tzinfo=UTC).isoformat()}'", "VARCHAR"),
        time_of(str(round(microseconds * 1e6)), "BIGINT", "us"),
    ]
    (row,) = duckdb.sql(f"SELECT {', '.join(sqls)}").fetchall()
    assert row == (moment, moment, moment)


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        ("VARCHAR", "'  a b '", "a b"),
        ("VARCHAR", "'   '", None),
        ("BIGINT", "13085", "13085"),
        ("DOUBLE", "13085.0::DOUBLE", "13085"),
        ("DOUBLE", "1.5::DOUBLE", "1.5"),
        ("BLOB", "'ab'::BLOB", "ab"),
        ("UUID", "'550e8400-e29b-41d4-a716-446655440000'::UUID",
         "550e8400-e29b-41d4-a716-446655440000"),
    ],
)  # fmt: skip
def test_text_is_the_same_from_every_type(kind: str, given: str, text: str | None) -> None:
    assert value(text_of(f"({given})", kind)) == text


@pytest.mark.parametrize(
    ("text", "number"), [("1.5", 1.5), (" 2 ", 2.0), ("nan", None), ("1,5", None), ("", None)]
)
def test_a_number_is_read_or_null(text: str, number: float | None) -> None:
    assert value(number_of("x", "VARCHAR"), text) == number


@pytest.mark.parametrize(
    ("text", "flag"), [("yes", True), ("0", False), ("FALSE", False), ("?", None)]
)
def test_a_flag_is_read_or_null(text: str, flag: bool | None) -> None:
    assert value(flag_of("x", "VARCHAR"), text) is flag


@pytest.mark.parametrize(
    ("text", "kept"),
    [('{ "a" : 1 }', '{"a":1}'), ("{}", None), ("null", None), ("", None), ("{", None)],
)
def test_an_object_is_kept_without_blanks(text: str, kept: str | None) -> None:
    assert value(object_of("x", "VARCHAR"), text) == kept


def test_items_are_read_from_text_and_from_lists() -> None:
    wanted = [{"id": "7", "price": 1.5, "quantity": None}]
    assert value(items_of("x", "VARCHAR"), '[{"id": 7, "price": "1.5"}]') == wanted
    typed = "[{'id': 7, 'price': 1.5}]"
    assert value(items_of(typed, "STRUCT(id INTEGER, price DECIMAL(2,1))[]")) == wanted
    assert value(items_of("x", "VARCHAR"), "no list") is None
