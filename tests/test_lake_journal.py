"""The journal: a transform that does not end has never begun."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.lake import Lake, content_hash, newest_snapshot, recover, transaction
from wherry.lake.journal import journal_path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a log and a table that is derived from it."""
    lake = Lake(tmp_path / "lake", threads=1)
    with lake.writer() as con:
        con.execute("CREATE TABLE log AS SELECT range AS n FROM range(20_000)")
        con.execute("CREATE TABLE mart AS SELECT n * 2 AS n FROM log")
    return lake


def _state(lake: Lake) -> tuple[int, list[str], str, str]:
    with lake.reader() as con:
        tables = [name for (name,) in con.execute("SHOW TABLES").fetchall()]
        hashes = [content_hash(con, f"lake.main.{name}") for name in ("log", "mart")]
        return newest_snapshot(con), tables, *hashes


def _first_half(lake: Lake) -> None:
    """Two commits of a transform: one table rebuilt, another one made."""
    with lake.writer() as con:
        con.execute("DROP TABLE mart")
        con.execute("CREATE TABLE mart AS SELECT 'half' AS word FROM range(20_000)")
    with lake.writer() as con:
        con.execute("CREATE TABLE another AS FROM mart")


def _break_halfway(lake: Lake, error: type[BaseException]) -> None:
    _first_half(lake)
    raise error


def _files(lake: Lake) -> set[Path]:
    return set(lake.data_path.rglob("*.parquet"))


def test_what_ends_is_kept(lake: Lake) -> None:
    with transaction(lake):
        _first_half(lake)
    assert _state_of_mart(lake) == "half"
    assert not recover(lake)
    assert _state_of_mart(lake) == "half"


def _state_of_mart(lake: Lake) -> object:
    with lake.reader() as con:
        row = con.execute("SELECT * FROM mart LIMIT 1").fetchone()
        assert row is not None
        return row[0]


def test_what_raises_leaves_the_tables_as_they_were(lake: Lake) -> None:
    before, files = _state(lake), _files(lake)
    with pytest.raises(ZeroDivisionError), transaction(lake):
        _break_halfway(lake, ZeroDivisionError)
    assert _state(lake) == before
    assert _files(lake) == files
    assert not recover(lake)


def test_a_reader_on_a_snapshot_sees_it_through_a_recovery(lake: Lake) -> None:
    snapshot = _state(lake)[0]
    with lake.reader(snapshot) as reader:
        with pytest.raises(KeyboardInterrupt), transaction(lake):
            _break_halfway(lake, KeyboardInterrupt)
        assert reader.execute("SELECT sum(n) FROM mart").fetchone() == (20_000 * 19_999,)


_KILLED = """
import os, signal, sys
from pathlib import Path
from wherry.lake import Lake, transaction
lake = Lake(Path(sys.argv[1]), threads=1)
with lake.writer() as con:
    con.execute("INSERT INTO log SELECT 7 FROM range(20_000)")
with transaction(lake):
    with lake.writer() as con:
        con.execute("DROP TABLE mart")
        con.execute("CREATE TABLE mart AS SELECT 'half' AS word FROM range(20_000)")
    with lake.writer() as con:
        con.execute("BEGIN")
        con.execute("INSERT INTO log SELECT -9 FROM range(20_000)")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _kill_within_a_transaction(lake: Lake) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(lake.folder)], check=False)
    assert killed.returncode == -signal.SIGKILL


def test_a_killed_transform_is_undone_and_the_loads_before_it_stay(lake: Lake) -> None:
    _kill_within_a_transaction(lake)
    assert _state_of_mart(lake) == "half"
    assert recover(lake)
    assert _state_of_mart(lake) == 0
    with lake.reader() as con:
        assert con.execute("SELECT count(*) FROM log").fetchone() == (40_000,)
        assert con.execute("SELECT count(*) FROM log WHERE n = -9").fetchone() == (0,)


def test_recovery_can_be_repeated_and_cut_short(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_within_a_transaction(lake)
    # Cut short after the catalog was put back, before the journal was dropped.
    with monkeypatch.context() as cut:
        cut.setattr(Path, "unlink", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            recover(lake)
    assert journal_path(lake).exists()
    assert recover(lake)
    once = _state(lake)
    assert not recover(lake)
    assert _state(lake) == once
    with lake.writer() as con:
        con.execute("INSERT INTO log SELECT 1")
    assert not recover(lake)


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_copy_that_was_cut_short_is_no_journal(lake: Lake) -> None:
    before = _state(lake)
    journal_path(lake).with_suffix(".copying").write_bytes(b"cut short")
    assert not recover(lake)
    with transaction(lake):
        pass
    assert _state(lake) == before
