"""The guard: looks at what is tried every few seconds, and takes it back once it is found worse.

It reads what waits in the inbox as well as the log, so it needs no load, and no lock: it sees an
answer within seconds, also while a run holds the project for long.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import duckdb
import msgspec

from wherry.collect.inbox import (
    AnswerBatch,
    Entry,
    answers_of,
    decode_page,
    events_of,
    read_pages,
    store_paths,
)
from wherry.config import Outcomes
from wherry.config import Release as Rules
from wherry.domain import Event, LoggedAnswer, Rollout, TenantId
from wherry.errors import WherryError
from wherry.lake import Lake, has_raw_tables
from wherry.project.chore import Chore
from wherry.project.home import Home
from wherry.project.releasing import Releasing
from wherry.registry import Challenger, label
from wherry.watch import (
    Bounds,
    Evidence,
    Judgement,
    Pairs,
    Ruling,
    drop_evidence,
    judge,
    read_pairs,
)

logger = logging.getLogger("wherry.project")

_LAKE = "lake"
_BEFORE = timedelta(minutes=1)

_ANSWERS = """
SELECT batch_id, tenant, request_id, answered_at, '' AS model, version, role, rollout, visitor_id,
       session_id, coalesce(items, []) AS items, latency_us, coalesce(error, '') AS error
FROM lake.raw.answers
WHERE load_id > ? AND load_id <= ? AND tenant = ? AND rollout = ?
ORDER BY batch_id, place
"""

_EVENTS = """
SELECT tenant, event_id, event_type, occurred_at, received_at, visitor_id, session_id,
       [{'id': item.id} FOR item IN coalesce(items, [])] AS items,
       {'request_id': json_extract_string(properties, '$.request_id')} AS properties
FROM lake.raw.events
WHERE load_id > ? AND load_id <= ? AND tenant = ? AND received_at >= ?
  AND list_contains(?, lower(trim(event_type)))
"""


class Guard:
    """Gathers the evidence on every rollout of a project, judges it, and acts on it.

    What a click is, and how long after an answer it counts, is said by ``outcomes``.
    """

    def __init__(
        self,
        home: Home,
        rules: Rules,
        outcomes: Outcomes,
        lake: Lake,
        releasing: Releasing,
        clock: Callable[[], datetime],
    ) -> None:
        self._home = home
        self._rules = rules
        self._outcomes = outcomes
        self._lake = lake
        self._releasing = releasing
        self._clock = clock
        self._seen: dict[str, tuple[int, ...]] = {}

    def look(self, *, acts: bool = True) -> dict[TenantId, Judgement]:
        """Judge what is tried now by what is known by now; a breach ends it, if the guard acts."""
        tried = self._releasing.rollouts.read()
        drop_evidence(self._home.rollouts, but={each.rollout.label for each in tried.values()})
        return {tenant: self._look(each, acts=acts) for tenant, each in tried.items()}

    def pairs(self, rollout: Rollout) -> tuple[Pairs, ...]:
        """What a shadow answered beside the champion, as far as it was loaded."""
        if rollout.is_shown or not self._lake.exists():
            return ()
        with self._lake.reader() as con:
            return read_pairs(con, rollout) if _has_answers(con) else ()

    def _look(self, tried: Challenger, *, acts: bool) -> Judgement:
        rollout = tried.rollout
        evidence = Evidence(
            self._path(rollout.label),
            rollout,
            window=timedelta(minutes=self._outcomes.attribution_minutes),
            clicks=self._outcomes.clicks,
            slow_ms=self._rules.max_p99_ms,
        )
        with closing(evidence):
            with evidence.adding():
                self._gather_loaded(evidence)
                _gather_waiting(evidence, self._home.inbox)
                evidence.settle(self._clock())
            found = judge(evidence.parts(), rollout, bounds(self._rules))
            if acts:
                self._act(tried, evidence, found)
        return found

    def _act(self, tried: Challenger, evidence: Evidence, found: Judgement) -> None:
        if found.ruling is Ruling.STOP:
            if self._releasing.stop(tried, found.why, found.figures):
                logger.error(
                    "%s of %s is stopped, and the champion answers all: %s.",
                    label(tried.release),
                    tried.rollout.tenant,
                    found.why,
                )
        elif found.ruling is Ruling.BETTER and not evidence.is_noted("better"):
            evidence.note("better")
            self._releasing.find_better(tried, found.why, found.figures)
            logger.warning("%s is better: %s.", label(tried.release), found.why)

    def _path(self, name: str) -> Path:
        return self._home.rollouts / f"{name}.sqlite"

    def _gather_loaded(self, evidence: Evidence) -> None:
        """Take in what was loaded since the last look; the lake is opened only if it changed."""
        name, mark = evidence.rollout.label, self._mark()
        is_known = evidence.place(_LAKE) > 0 and self._seen.get(name) == mark
        if is_known or not self._lake.exists():
            return
        with self._lake.reader() as con:
            if has_raw_tables(con):
                _take_loaded(con, evidence)
        self._seen[name] = mark

    def _mark(self) -> tuple[int, ...]:
        catalog = self._lake.catalog_path
        paths = [path for path in (catalog, Path(f"{catalog}-wal")) if path.exists()]
        return tuple(mark for p in paths for mark in (p.stat().st_mtime_ns, p.stat().st_size))


def _take_loaded(con: duckdb.DuckDBPyConnection, evidence: Evidence) -> None:
    rollout, since = evidence.rollout, evidence.place(_LAKE)
    row = con.execute("SELECT coalesce(max(load_id), 0) FROM lake.raw.loads").fetchone()
    newest = row[0] if row else 0
    if newest <= since:
        return
    if _has_answers(con):
        answers = _rows(con, _ANSWERS, [since, newest, rollout.tenant, rollout.label])
        for batch, rows in groupby(answers, key=lambda row: str(row.pop("batch_id"))):
            evidence.add_answers(batch, (msgspec.convert(row, LoggedAnswer) for row in rows))
    began = (rollout.phase_started_at or rollout.started_at) - _BEFORE
    events = _rows(con, _EVENTS, [since, newest, rollout.tenant, began, list(evidence.clicks)])
    evidence.add_events(msgspec.convert(row, Event) for row in events)
    evidence.move(_LAKE, newest)


def _has_answers(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the log holds answers at all; one of before they were logged does not."""
    tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'")
    return ("answers",) in tables.fetchall()


def _rows(
    con: duckdb.DuckDBPyConnection, sql: str, parameters: list[object]
) -> Iterator[dict[str, object]]:
    """The rows of a query by the names of their columns, some thousands at a time."""
    cursor = con.execute(sql, parameters)
    names = [column[0] for column in cursor.description or []]
    while rows := cursor.fetchmany(10_000):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _gather_waiting(evidence: Evidence, inbox: Path) -> None:
    """Take in what waits in the inbox and has not been looked at."""
    began = (evidence.rollout.phase_started_at or evidence.rollout.started_at) - _BEFORE
    for path in store_paths(inbox):
        for name, page in read_pages(path, evidence.place):
            # A page may have begun some time before its last delivery came.
            if page.began_at >= began.isoformat():
                _take_page(evidence, page.content)
            evidence.move(name, page.number)


def _take_page(evidence: Evidence, content: bytes) -> None:
    for entry in decode_page(content):
        if isinstance(entry, AnswerBatch):
            evidence.add_answers(entry.batch_id, answers_of(entry))
        elif isinstance(entry, Entry):
            evidence.add_events(events_of(entry))


def bounds(rules: Rules) -> Bounds:
    """The guard's bounds, as the settings say."""
    names = Bounds.__struct_fields__
    return msgspec.convert({name: getattr(rules, name) for name in names}, Bounds)


class GuardThread(Chore):
    """Lets a guard look every few seconds, beside a server, in a thread of its own.

    Whatever goes wrong is logged and counted in ``failures``; the next time comes.
    """

    def __init__(self, guard: Guard, *, every_seconds: float) -> None:
        self._guard = guard
        super().__init__("guard", every_seconds=every_seconds)
        self.failures = 0

    def do(self) -> None:
        """Look now."""
        try:
            self._guard.look()
        except (WherryError, duckdb.Error, sqlite3.Error, OSError) as error:
            self.failures += 1
            logger.error("The guard can't look at what is tried: %s", error)


def guarding(guard: Guard, every_seconds: float) -> AbstractContextManager[object]:
    """Guard what is tried while the body runs; not at all if it is every 0 seconds."""
    return GuardThread(guard, every_seconds=every_seconds) if every_seconds else nullcontext()
