"""The transform: bring every derived table up to the log, all of it or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import duckdb
import msgspec

from wherry.domain import CLICK_TYPES
from wherry.lake import Lake, transaction
from wherry.transform.project import ATTRIBUTION_MINUTES, Batch, lay_out, signature
from wherry.transform.results import DataTest, ModelRun
from wherry.transform.state import State, read_state, read_tests, write_state


class Outcome(StrEnum):
    """What a transform had to do."""

    NOTHING_NEW = "nothing new"
    INCREMENTAL = "incremental"
    FULL = "full"


class Transformed(msgspec.Struct, frozen=True, kw_only=True):
    """What a transform did.

    ``rows`` counts the events that came into the marts. ``tests`` are the results of the dbt
    tests of the newest build, also where there was nothing new.
    """

    outcome: Outcome
    rows: int
    seconds: float
    models: tuple[ModelRun, ...]
    tests: tuple[DataTest, ...]


def transform(
    lake: Lake,
    transforms_folder: Path,
    work_folder: Path,
    *,
    gap_minutes: float,
    exclude_loads: tuple[int, ...] = (),
    attribution_minutes: float = ATTRIBUTION_MINUTES,
    clicks: tuple[str, ...] = CLICK_TYPES,
    full_refresh: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> Transformed:
    """Build what the loads since the last transform change, and run the dbt tests.

    Everything is built anew after a change of a model, of the settings or of the packaged
    SQL. The caller holds the project lock and no open connection, and has called
    ``recover(lake)``. ``transforms_folder`` is the shop's dbt project, ``work_folder`` where
    dbt keeps its own files.

    Raises:
        TransformError: If a model fails; the lake is as it was before.
    """
    started = time.monotonic()
    wanted = signature(
        transforms_folder,
        gap_minutes=gap_minutes,
        exclude_loads=exclude_loads,
        attribution_minutes=attribution_minutes,
        clicks=clicks,
    )
    with lake.writer() as con:
        until = _newest_load(con)
        last = read_state(con)
        fits = last is not None and not full_refresh and _fits(con, last, wanted)
        if last is not None and fits and last.until == until:
            return Transformed(
                outcome=Outcome.NOTHING_NEW,
                rows=0,
                seconds=time.monotonic() - started,
                models=(),
                tests=tuple(read_tests(con)),
            )
        after = last.until if last is not None and fits else 0
        has_outcomes = "answers" in _tables(con)
        has_answers = has_outcomes or _has_answers(con)
    batch = Batch(
        is_full=not fits,
        after=after,
        until=until,
        checks_all=not fits or last is None or last.failed_tests > 0,
        outcomes_anew=not (fits and has_outcomes),
    )
    project = lay_out(
        lake,
        transforms_folder,
        work_folder,
        gap_minutes=gap_minutes,
        exclude_loads=exclude_loads,
        attribution_minutes=attribution_minutes,
        clicks=clicks,
        has_answers=has_answers,
    )
    # dbt takes two seconds to import, which a run with nothing new need not spend.
    from wherry.transform.runner import run_dbt  # noqa: PLC0415

    with transaction(lake):
        models, tests = run_dbt(project, batch, on_progress=on_progress)
        with lake.writer() as con:
            rows = _count_new(con, after)
            write_state(con, State(until, wanted, exclude_loads, _tables(con)), tests)
    return Transformed(
        outcome=Outcome.INCREMENTAL if fits else Outcome.FULL,
        rows=rows,
        seconds=time.monotonic() - started,
        models=tuple(models),
        tests=tuple(tests),
    )


def is_up_to_date(
    lake: Lake,
    transforms_folder: Path,
    *,
    gap_minutes: float,
    exclude_loads: tuple[int, ...] = (),
    attribution_minutes: float = ATTRIBUTION_MINUTES,
    clicks: tuple[str, ...] = CLICK_TYPES,
) -> bool:
    """Whether a transform would find nothing to do."""
    wanted = signature(
        transforms_folder,
        gap_minutes=gap_minutes,
        exclude_loads=exclude_loads,
        attribution_minutes=attribution_minutes,
        clicks=clicks,
    )
    with lake.reader() as con:
        last = read_state(con)
        return last is not None and last.until == _newest_load(con) and _fits(con, last, wanted)


def _fits(con: duckdb.DuckDBPyConnection, last: State, wanted: str) -> bool:
    """Whether the tables that are there were made in the way that is asked for now."""
    return last.signature == wanted and set(last.tables) <= set(_tables(con))


def _tables(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = 'lake' AND schema_name = 'marts' ORDER BY 1"
    ).fetchall()
    return tuple(name for (name,) in rows)


def _has_answers(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any answer was ever logged; a shop without any pays for no model of outcomes."""
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'raw' "
        "AND table_name = 'answers'"
    ).fetchone()
    return bool(found) and bool(con.execute("SELECT 1 FROM lake.raw.answers LIMIT 1").fetchone())


def _newest_load(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT coalesce(max(load_id), 0) FROM lake.raw.loads").fetchone()
    return int(row[0]) if row else 0


def _count_new(con: duckdb.DuckDBPyConnection, after: int) -> int:
    row = con.execute(
        "SELECT count(*) FROM lake.marts.events WHERE load_id > ?", [after]
    ).fetchone()
    return int(row[0]) if row else 0
