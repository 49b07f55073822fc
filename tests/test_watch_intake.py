"""The intake: what came in, and what was turned away and why."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from wherry.lake import Lake, create_raw_tables
from wherry.watch import Reason, read_intake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake", threads=1)
    with lake.writer() as con:
        create_raw_tables(con)
    return lake


def test_nothing_came_in(lake: Lake) -> None:
    with lake.reader() as con:
        intake = read_intake(con)
    assert (intake.loads, intake.taken, intake.rejected) == (0, 0, 0)
    assert intake.loaded_at is None
    assert intake.reasons == ()


def test_loads_are_added_up_and_the_commonest_reasons_come_first(lake: Lake) -> None:
    with lake.writer() as con:
        con.execute(
            "INSERT INTO lake.raw.loads (load_id, taken, known, rejected, loaded_at) VALUES "
            "(1, 10, 1, 2, '2026-01-01'), (2, 20, 0, 1, '2026-01-02')"
        )
        con.execute(
            "INSERT INTO lake.raw.rejected (source, line, reason) VALUES "
            "('a.csv', 7, 'no time'), ('a.csv', 3, 'no time'), ('b.csv', 1, 'no visitor')"
        )
    with lake.reader() as con:
        intake = read_intake(con)
        (only,) = read_intake(con, reasons=1).reasons
    assert (intake.loads, intake.taken, intake.known, intake.rejected) == (2, 30, 1, 3)
    assert intake.loaded_at == datetime(2026, 1, 2)
    assert only == Reason("no time", 2, "a.csv", 3)
    assert intake.reasons == (only, Reason("no visitor", 1, "b.csv", 1))


def test_the_first_line_is_of_the_file_that_is_named(lake: Lake) -> None:
    with lake.writer() as con:
        con.execute(
            "INSERT INTO lake.raw.rejected (load_id, source, line, reason) VALUES "
            "(1, 'a.csv', 7, 'no time'), (1, 'a.csv', 9, 'no time'), (2, 'b.csv', 3, 'no time')"
        )
    with lake.reader() as con:
        (reason,) = read_intake(con).reasons
    assert (reason.source, reason.line) == ("a.csv", 7)
