"""Traits: the first word that a session's events say."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from wherry.domain import TenantId
from wherry.errors import ModelError
from wherry.learn.traits import Traits, load_traits, read_traits, save_traits

START = datetime(2026, 1, 10)
SINCE = 1_768_003_200_000  # the same, in milliseconds


def read(rows: list[tuple[str, str, int, str | None]], *properties: str) -> Traits:
    """Rows are tenant, session, minutes after the start, properties; read for north's a, b, c."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake")
        con.execute("CREATE SCHEMA lake.marts")
        con.execute(
            "CREATE TABLE lake.marts.events (tenant VARCHAR, session_id VARCHAR, event_id VARCHAR, "
            "occurred_at TIMESTAMP, properties VARCHAR)"
        )
        for number, (tenant, session, minutes, told) in enumerate(rows):
            con.execute(
                "INSERT INTO lake.marts.events VALUES (?, ?, ?, ?, ?)",
                [tenant, session, f"{number}", START + timedelta(minutes=minutes), told],
            )
        ids = pa.array(["a", "b", "c"])
        return read_traits(con, TenantId("north"), ids, properties, since=SINCE)


def test_the_first_word_of_a_session_counts() -> None:
    found = read(
        [
            ("north", "a", 5, '{"country": "FR"}'),
            ("north", "a", 2, '{"country": "DE", "device": "phone"}'),
            ("north", "a", 1, '{"country": ""}'),
            ("north", "c", 0, '{"country": "IT"}'),
            ("north", "d", 0, '{"country": "ES"}'),
            ("south", "b", 0, '{"country": "PT"}'),
        ],
        "country",
        "device",
        "colour",
    )
    assert found == {"country": ("DE", None, "IT"), "device": ("phone", None, None)}


def test_what_is_no_json_or_no_word_says_nothing() -> None:
    rows = [("north", "a", 0, "{"), ("north", "b", 0, None), ("north", "c", 0, "[1]")]
    long = ("north", "a", 1, '{"country": "' + "x" * 300 + '"}')
    assert read([*rows, long], "country") == {}


def test_a_name_may_hold_any_character() -> None:
    rows = [("north", "b", 0, '{"the \\"real\\" country.code": "DE", "n": 4}')]
    assert read(rows, 'the "real" country.code', "n") == {
        'the "real" country.code': (None, "DE", None),
        "n": (None, "4", None),
    }


def test_saved_traits_come_back_equal(tmp_path: Path) -> None:
    traits: Traits = {"country": ("DE", None)}
    save_traits(tmp_path / "new", traits)
    assert load_traits(tmp_path / "new") == traits


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "traits.json").write_text("[")
    with pytest.raises(ModelError, match=r"traits\.json"):
        load_traits(tmp_path)
