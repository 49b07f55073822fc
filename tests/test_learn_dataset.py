"""The training set: a tenant's interactions as sessions of numbered items."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wherry.domain import INTERACTION_TYPES, TenantId
from wherry.learn.dataset import Dataset, load_dataset, read_dataset

NORTH = TenantId("north")
START = datetime(2026, 1, 1)
Row = tuple[str, str, str, str, int]
"""Tenant, session, item, event type, minutes after the start."""


def read(rows: list[Row], **details: int) -> Dataset:
    """Read north's set from these interactions."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake")
        con.execute("CREATE SCHEMA lake.marts")
        con.execute(
            "CREATE TABLE lake.marts.interactions (tenant VARCHAR, session_id VARCHAR, "
            "item_id VARCHAR, event_type VARCHAR, occurred_at TIMESTAMP, event_id VARCHAR, "
            "position INTEGER)"
        )
        for number, (tenant, session, item, kind, minutes) in enumerate(rows):
            at = START + timedelta(minutes=minutes)
            con.execute(
                "INSERT INTO lake.marts.interactions VALUES (?, ?, ?, ?, ?, ?, 0)",
                [tenant, session, item, kind, at, f"{number:03}"],
            )
        return read_dataset(con, NORTH, **details)


def sessions(dataset: Dataset) -> list[list[str]]:
    """The sessions as ids, in their order."""
    found, ids = dataset.sessions, dataset.vocabulary.ids
    return [
        [ids[code] for code in found.items[found.offsets[s] : found.offsets[s + 1]]]
        for s in range(len(found))
    ]


def test_sessions_are_a_tenant_s_own_in_the_order_of_their_end() -> None:
    dataset = read(
        [
            ("north", "b", "shoe", "view", 0),
            ("north", "b", "sock", "view", 90),
            ("north", "a", "sock", "view", 10),
            ("south", "a", "hat", "view", 11),
            ("north", "a", "shoe", "view", 12),
        ]
    )
    assert dataset.vocabulary.ids == ("shoe", "sock")
    assert sessions(dataset) == [["sock", "shoe"], ["shoe", "sock"]]


def test_two_acts_on_one_item_in_a_row_are_one_interest_with_the_later_type() -> None:
    dataset = read(
        [
            ("north", "a", "shoe", "view", 0),
            ("north", "a", "shoe", "add", 1),
            ("north", "a", "shoe", "purchase", 2),
            ("north", "a", "sock", "view", 3),
            ("north", "a", "sock", "view", 4),
            ("north", "a", "shoe", "view", 5),
        ]
    )
    assert sessions(dataset) == [["shoe", "sock", "sock", "shoe"]]
    assert [INTERACTION_TYPES[kind] for kind in dataset.sessions.types] == [
        "purchase",
        "view",
        "view",
        "view",
    ]


def test_sessions_of_too_few_items_are_left_out_and_their_items_stay_known() -> None:
    rows: list[Row] = [
        ("north", "a", "hat", "view", 0),
        ("north", "b", "shoe", "view", 1),
        ("north", "b", "sock", "view", 2),
    ]
    assert sessions(read(rows)) == [["shoe", "sock"]]
    assert read(rows).vocabulary.ids == ("hat", "shoe", "sock")
    assert len(read(rows, min_session_length=1).sessions) == 2
    assert len(read(rows, min_session_length=3).sessions) == 0


def test_history_looks_back_from_the_tenant_s_newest_event() -> None:
    day = 24 * 60
    rows: list[Row] = [
        ("north", "old", "hat", "view", 0),
        ("north", "old", "shoe", "view", 1),
        ("north", "new", "shoe", "view", 10 * day),
        ("north", "new", "sock", "view", 10 * day + 1),
        ("south", "later", "sock", "view", 100 * day),
    ]
    assert read(rows, history_days=5).vocabulary.ids == ("shoe", "sock")
    assert sessions(read(rows, history_days=5)) == [["shoe", "sock"]]
    assert len(read(rows).sessions) == 2


def test_a_tenant_without_events_has_an_empty_set() -> None:
    dataset = read([("south", "a", "hat", "view", 0)])
    assert (len(dataset.vocabulary), len(dataset.sessions)) == (0, 0)


@pytest.mark.parametrize("turn", [1, -1])
def test_events_of_one_time_go_by_their_id_however_they_are_stored(turn: int) -> None:
    rows: list[Row] = [("north", "a", item, "view", 0) for item in "cab"]
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake")
        con.execute("CREATE SCHEMA lake.marts")
        values = ", ".join(
            f"('{t}', '{s}', '{item}', '{kind}', TIMESTAMP '{START}', '{number}', 0)"
            for number, (t, s, item, kind, _) in list(enumerate(rows))[::turn]
        )
        con.execute(
            f"CREATE TABLE lake.marts.interactions AS SELECT * FROM (VALUES {values}) AS t("
            "tenant, session_id, item_id, event_type, occurred_at, event_id, position)"
        )
        assert sessions(read_dataset(con, NORTH)) == [["c", "a", "b"]]


def test_a_set_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    dataset = read([("north", "a", "shoe", "view", 0), ("north", "a", "sock", "add", 1)])
    dataset.save(tmp_path)
    again = load_dataset(tmp_path)
    assert sessions(again) == sessions(dataset)
    assert again.sessions.times.tolist() == dataset.sessions.times.tolist()
    assert again.sessions.types.tolist() == dataset.sessions.types.tolist()


def test_the_ids_of_the_sessions_stand_in_their_order() -> None:
    dataset = read(
        [
            ("north", "late", "shoe", "view", 0),
            ("north", "late", "sock", "view", 90),
            ("north", "alone", "sock", "view", 5),
            ("north", "early", "sock", "view", 10),
            ("north", "early", "sock", "add", 11),
            ("north", "early", "shoe", "view", 12),
            ("north", "a tie", "hat", "view", 1),
            ("north", "a tie", "shoe", "view", 12),
        ]
    )
    assert dataset.session_ids is not None
    assert dataset.session_ids.to_pylist() == ["a tie", "early", "late"]
    assert sessions(dataset) == [["hat", "shoe"], ["sock", "shoe"], ["shoe", "sock"]]
