"""The evidence on one phase of a rollout: who was answered by which part, and what came of it.

It is gathered answer by answer and event by event, from the inbox before they are loaded and from
the log, in any order and as often as one likes: a batch of answers counts once, and an answer is
clicked once. It lies in a SQLite file of its own, so a restart goes on where it was.

Visitors are counted where the draw has put them, whoever answered: a challenger that fails, and
leaves the answer to the champion, is held to account for that answer.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from wherry.domain import CLICK_TYPES, Event, LoggedAnswer, Role, Rollout, unit_of
from wherry.watch.sequential import Tally

MOST_ANSWERS = 100
"""How many answers of one visitor count; a machine that asks for more is no judge of taste."""

_SLACK = timedelta(minutes=1)
"""How much later than an event its answer may come to be known."""

_KEPT_BATCHES = timedelta(days=7)

LATENCY_BOUNDS = tuple(round(100 * 1.1**step) for step in range(120))
"""Upper bounds of the latency histogram, in microseconds: each a tenth above the one before."""

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS places (source TEXT PRIMARY KEY, place INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS batches (batch TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, unit TEXT NOT NULL, session TEXT, request TEXT,
    is_tried INTEGER NOT NULL, items TEXT NOT NULL, is_clicked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS by_unit ON answers (unit);
CREATE INDEX IF NOT EXISTS by_session ON answers (session) WHERE session IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_request ON answers (request);
CREATE INDEX IF NOT EXISTS by_time ON answers (at);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, visitor TEXT NOT NULL, session TEXT, request TEXT,
    item TEXT NOT NULL, is_settled INTEGER NOT NULL DEFAULT 0, UNIQUE (visitor, item, at)
);
CREATE INDEX IF NOT EXISTS by_settled ON events (id) WHERE NOT is_settled;
CREATE TABLE IF NOT EXISTS units (
    unit TEXT NOT NULL, is_tried INTEGER NOT NULL, answers INTEGER NOT NULL DEFAULT 0,
    clicks INTEGER NOT NULL DEFAULT 0, slow INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (unit, is_tried)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latencies (
    is_tried INTEGER NOT NULL, step INTEGER NOT NULL, answers INTEGER NOT NULL,
    PRIMARY KEY (is_tried, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (error TEXT PRIMARY KEY, answers INTEGER NOT NULL);
"""

_TALLIES = """
SELECT is_tried, count(*), sum(answers), sum(answers * answers),
       sum(clicks), sum(answers * clicks), sum(clicks * clicks),
       sum(slow), sum(answers * slow), sum(slow * slow), sum(errors > 0), sum(errors)
FROM units GROUP BY is_tried
"""


class Part(NamedTuple):
    """What one part of the visitors sums up to: answers with a click, slow answers, and how many
    visitors met an error; ``p99_ms`` is the upper bound of the histogram's step."""

    clicks: Tally = Tally()
    slow: Tally = Tally()
    failed_visitors: int = 0
    errors: int = 0
    p99_ms: float = 0.0


class Parts(NamedTuple):
    """Both parts, and the commonest errors of the challenger."""

    challenger: Part
    champion: Part
    failures: dict[str, int]


class Evidence:
    """The evidence on ``rollout``'s phase, in the file at ``path``, which is made where missing.

    An answer counts as clicked if within ``window`` one of its items had an event of a type in
    ``clicks``, by the same visitor, in the same session or by naming the request: the outcomes
    in the lake are told by the same. It counts as slow if it took more than ``slow_ms``. Both
    times are this machine's: of the answer, and of the event's arrival.
    """

    def __init__(
        self,
        path: Path,
        rollout: Rollout,
        *,
        window: timedelta,
        slow_ms: float,
        clicks: Collection[str] = CLICK_TYPES,
    ) -> None:
        self.rollout = rollout
        self.clicks = frozenset(clicks)
        self._window = window.total_seconds()
        self._slow_us = slow_ms * 1000
        path.parent.mkdir(parents=True, exist_ok=True)
        self._con = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._con.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._con.close()

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Let everything that the body adds be there afterwards, with the places, or nothing."""
        self._con.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._con.execute("COMMIT")
        except BaseException:
            self._con.execute("ROLLBACK")
            raise

    def place(self, source: str) -> int:
        """How far a source has been read; 0 if not at all."""
        row: tuple[int] | None = self._con.execute(
            "SELECT place FROM places WHERE source = ?", (source,)
        ).fetchone()
        return row[0] if row else 0

    def move(self, source: str, place: int) -> None:
        """Note how far a source has been read."""
        self._con.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (source, place))

    def is_noted(self, name: str) -> bool:
        """Whether something was noted."""
        return bool(
            self._con.execute("SELECT count(*) FROM notes WHERE name = ?", (name,)).fetchone()[0]
        )

    def note(self, name: str) -> None:
        """Note something for good."""
        self._con.execute("INSERT OR IGNORE INTO notes VALUES (?)", (name,))

    def add_answers(self, batch: str, answers: Iterable[LoggedAnswer]) -> None:
        """Take in a batch of answers, unless it was before; others than this phase's are left."""
        mine = [
            each
            for each in answers
            if each.rollout == self.rollout.label and each.tenant == self.rollout.tenant
        ]
        if not mine:
            return
        at = _seconds(mine[0].answered_at)
        taken = self._con.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch, at))
        if taken.rowcount:
            for answer in mine:
                self._add(answer)

    def _add(self, answer: LoggedAnswer) -> None:
        unit = unit_of(answer.visitor_id, answer.session_id, answer.request_id)
        is_tried = self._is_tried(answer, unit)
        if answer.error:
            self._count(unit, is_tried, "errors")
            if is_tried:
                self._con.execute(
                    "INSERT INTO failures VALUES (?, 1) "
                    "ON CONFLICT DO UPDATE SET answers = answers + 1",
                    (answer.error,),
                )
            return
        if not self._count(unit, is_tried, "answers"):
            return
        if answer.latency_us > self._slow_us:
            self._count(unit, is_tried, "slow")
        self._con.execute(
            "INSERT INTO latencies VALUES (?, ?, 1) "
            "ON CONFLICT DO UPDATE SET answers = answers + 1",
            (is_tried, bisect_left(LATENCY_BOUNDS, answer.latency_us)),
        )
        if self.rollout.is_shown and answer.items:
            session = answer.session_id
            self._con.execute(
                "INSERT INTO answers (at, unit, session, request, is_tried, items) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    _seconds(answer.answered_at),
                    unit,
                    f"s:{session}" if session else None,
                    answer.request_id,
                    is_tried,
                    "\0" + "\0".join(answer.items) + "\0",
                ),
            )

    def _is_tried(self, answer: LoggedAnswer, unit: str) -> bool:
        """Whether it counts for the challenger: by the draw, in the shadow by who answered."""
        if self.rollout.is_shown:
            return self.rollout.draws(unit)
        return answer.role is not Role.CHAMPION

    def _count(self, unit: str, is_tried: bool, column: str) -> bool:
        """Count one more; False where the visitor has had as many answers as count."""
        self._con.execute(
            "INSERT OR IGNORE INTO units (unit, is_tried) VALUES (?, ?)", (unit, is_tried)
        )
        limit = f"AND answers < {MOST_ANSWERS}" if column == "answers" else ""
        done = self._con.execute(
            f"UPDATE units SET {column} = {column} + 1 WHERE unit = ? AND is_tried = ? {limit}",
            (unit, is_tried),
        )
        return done.rowcount > 0

    def add_events(self, events: Iterable[Event]) -> None:
        """Take in what visitors did; what counts as no click is left."""
        if not self.rollout.is_shown:
            return
        started = self.rollout.phase_started_at or self.rollout.started_at
        for event in events:
            if (
                event.tenant == self.rollout.tenant
                and event.event_type.strip().lower() in self.clicks
                and event.received_at >= started - _SLACK
            ):
                named = (event.properties or {}).get("request_id")
                for item in event.items:
                    self._con.execute(
                        "INSERT OR IGNORE INTO events (at, visitor, session, request, item) "
                        "VALUES (?, ?, ?, ?, ?)",
                        (
                            _seconds(event.received_at),
                            f"v:{event.visitor_id}",
                            f"s:{event.session_id}" if event.session_id else None,
                            named if isinstance(named, str) else None,
                            item.id,
                        ),
                    )

    def settle(self, now: datetime) -> None:
        """Mark the answers that were clicked, and let go of what is too old to matter.

        An event counts for one answer: the newest before it that showed its item, but the one
        that it names if that did. It is kept for a while, since its answer may come later.
        """
        present = _seconds(now)
        recent = present - _SLACK.total_seconds()
        rows = self._con.execute(
            "SELECT id, at, visitor, session, request, item FROM events WHERE NOT is_settled"
        )
        for event, at, *of in rows.fetchall():
            if self._credit(at, *of) or at < recent:
                self._con.execute("UPDATE events SET is_settled = 1 WHERE id = ?", (event,))
        for table in ("answers", "events"):
            self._con.execute(f"DELETE FROM {table} WHERE at < ?", (recent - self._window,))
        old = present - _KEPT_BATCHES.total_seconds()
        self._con.execute("DELETE FROM batches WHERE at < ?", (old,))

    def _credit(
        self, at: float, visitor: str, session: str | None, request: str | None, item: str
    ) -> bool:
        found = self._con.execute(
            "SELECT id, unit, is_tried, is_clicked FROM answers "
            "WHERE (unit = ? OR session = ? OR request = ?) AND at > ? AND at <= ? "
            "AND instr(items, ?) ORDER BY request IS ? DESC, at DESC, id DESC LIMIT 1",
            (visitor, session, request, at - self._window, at, f"\0{item}\0", request or ""),
        ).fetchone()
        if found is not None and not found[3]:
            self._con.execute("UPDATE answers SET is_clicked = 1 WHERE id = ?", (found[0],))
            self._count(found[1], bool(found[2]), "clicks")
        return found is not None

    def parts(self) -> Parts:
        """What both parts sum up to by now."""
        found = {True: Part(), False: Part()}
        for is_tried, visitors, n, nn, c, nc, cc, s, ns, ss, failed, errors in self._con.execute(
            _TALLIES
        ).fetchall():
            found[bool(is_tried)] = Part(
                clicks=Tally(visitors, n, c, nn, nc, cc),
                slow=Tally(visitors, n, s, nn, ns, ss),
                failed_visitors=failed,
                errors=errors,
                p99_ms=self._p99(bool(is_tried)),
            )
        failures = self._con.execute(
            "SELECT error, answers FROM failures ORDER BY answers DESC LIMIT 5"
        ).fetchall()
        return Parts(found[True], found[False], dict(failures))

    def _p99(self, is_tried: bool) -> float:
        counts: list[tuple[int, int]] = self._con.execute(
            "SELECT step, answers FROM latencies WHERE is_tried = ? ORDER BY step", (is_tried,)
        ).fetchall()
        left = 0.99 * float(sum(count for _, count in counts))
        for step, count in counts:
            left -= count
            if left <= 0:
                return LATENCY_BOUNDS[min(step, len(LATENCY_BOUNDS) - 1)] / 1000
        return 0.0


def drop_evidence(folder: Path, *, but: Collection[str] = ()) -> None:
    """Delete the evidence in a folder, except on the phases of these labels.

    It names visitors. What a rollout still needs of it, the guard gathers from the log again.
    """
    for path in folder.glob("*.sqlite"):
        if path.stem not in but:
            for ending in ("-wal", "-shm", ""):
                Path(f"{path}{ending}").unlink(missing_ok=True)


def _seconds(at: datetime) -> float:
    """A time, UTC without a zone, as seconds since 1970."""
    return at.replace(tzinfo=UTC).timestamp()
