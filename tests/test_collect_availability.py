"""Availability on its way into the log: each telling that is news, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wherry.collect.availability import (
    NO_EVENTS,
    delivery_of,
    read_tellings,
    read_waiting_tellings,
)
from wherry.collect.drain import drain
from wherry.collect.inbox import Inbox
from wherry.domain import DEFAULT_TENANT
from wherry.domain.availability import ItemAvailability
from wherry.lake import Lake

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as con:
        yield con


def receive(folder: Path, *told: tuple[int, dict[str, bool]]) -> None:
    """Put deliveries into the inbox, each with its second after noon."""

    async def work() -> None:
        box = Inbox.open(folder)
        for seconds, items in told:
            given = [ItemAvailability(item, available) for item, available in items.items()]
            at = NOON + timedelta(seconds=seconds)
            await box.put(delivery_of(DEFAULT_TENANT, given, at), NO_EVENTS)
        await box.close()

    asyncio.run(work())


def load(con: duckdb.DuckDBPyConnection, inbox: Path) -> list[tuple[str, bool, int]]:
    drain(con, inbox, now=NOON + timedelta(hours=1))
    rows = con.execute(
        "SELECT item_id, available, received_at FROM lake.raw.availability ORDER BY 3, 1"
    ).fetchall()
    return [(item, available, (at - NOON) // timedelta(seconds=1)) for item, available, at in rows]


def list_items(con: duckdb.DuckDBPyConnection, item: str, seconds: int) -> None:
    con.execute(
        "INSERT INTO lake.raw.items BY NAME SELECT 'default' AS tenant, ? AS item_id, "
        "true AS available, ?::TIMESTAMP AS received_at, 1000 AS load_id",
        [item, NOON + timedelta(seconds=seconds)],
    )


def test_what_is_told_is_in_the_log_with_its_time(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, (0, {"tent": False, "stove": True}), (5, {"tent": True}))
    assert len([*read_waiting_tellings(inbox)]) == 3
    assert load(con, inbox) == [("stove", True, 0), ("tent", False, 0), ("tent", True, 5)]
    assert [*read_waiting_tellings(inbox)] == []
    newest = {each.item_id: each.available for each in read_tellings(con, "true")}
    assert newest == {"tent": True, "stove": True}


def test_what_is_told_again_is_no_news(con: duckdb.DuckDBPyConnection, inbox: Path) -> None:
    receive(inbox, (0, {"tent": False}), (1, {"tent": False}))
    assert load(con, inbox) == [("tent", False, 0)]
    receive(inbox, (2, {"tent": False}), (3, {"tent": True}), (4, {"tent": True}))
    assert load(con, inbox) == [("tent", False, 0), ("tent", True, 3)]


def test_it_is_news_again_after_the_catalogue_was_told(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, (0, {"tent": False}))
    load(con, inbox)
    list_items(con, "tent", 5)
    receive(inbox, (4, {"tent": False}), (6, {"tent": False}), (7, {"tent": False}))
    assert load(con, inbox) == [("tent", False, 0), ("tent", False, 6)]


def test_the_same_delivery_twice_is_in_the_log_once(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, (0, {"tent": False}), (0, {"tent": False}), (3, {"tent": True}))
    expected = [("tent", False, 0), ("tent", True, 3)]
    assert load(con, inbox) == expected
    receive(inbox, (0, {"tent": False}), (3, {"tent": True}))  # as a mended file brings it
    assert load(con, inbox) == expected
