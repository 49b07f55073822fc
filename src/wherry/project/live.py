"""A project's live sessions: as its settings say, made again from the log, and swept."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice

import duckdb

from wherry.collect.inbox import Ownership
from wherry.config import Settings
from wherry.domain import Event, SessionId, TenantId, VisitorId
from wherry.domain.session import SessionItems, gap_microseconds
from wherry.errors import WherryError
from wherry.lake import Lake
from wherry.live.sessions import LiveRules, LiveSessions
from wherry.live.store import LiveStore
from wherry.project.chore import Chore
from wherry.project.home import Home
from wherry.project.recent import read_recent_events
from wherry.serve import LiveLookup

logger = logging.getLogger("wherry.project")

_AT_ONCE = 64
_MB = 1_000_000
_PAUSE_SECONDS = 0.001
_SWEEPS = 100
_AGAIN_SECONDS = 60.0


def live_store(home: Home, settings: Settings) -> LiveStore:
    """The live store of a project; a process opens it once."""
    return LiveStore(home.live, max_bytes=settings.live.max_mb * _MB)


def live_sessions(store: LiveStore, settings: Settings) -> LiveSessions:
    """The live sessions in a store, defined as the project's settings say."""
    rules = LiveRules(
        gap=gap_microseconds(settings.sessions.gap_minutes),
        given_hours=settings.live.given_session_hours,
        max_items=settings.serve.max_session_items,
        max_bytes=settings.live.max_mb * _MB // 2,
    )
    return LiveSessions(store, rules)


def live_lookup(sessions: LiveSessions, clock: Callable[[], int]) -> LiveLookup:
    """Finds a session by its id or else its visitor, as it is by the clock, which gives
    microseconds since 1970, UTC."""

    def look(
        tenant: TenantId, visitor: VisitorId | None, session: SessionId | None
    ) -> SessionItems | None:
        return sessions.find(tenant, visitor, session, clock())

    return look


def restore_sessions(
    sessions: LiveSessions, events: Iterable[Event], pause: Callable[[], object] = lambda: None
) -> int:
    """Take in what the log holds, in steps with a pause between, and mark it as complete.

    Events may come in meanwhile. Returns how many events were taken; 0 if the store could not
    keep them.
    """
    sessions.begin_anew()
    rest, count = iter(events), 0
    while some := list(islice(rest, _AT_ONCE)):
        sessions.take(some)
        count += len(some)
        pause()
    sessions.mark_complete()
    return count if sessions.is_complete else 0


class Tending(Chore):
    """Looks after the live sessions beside a server, in a thread: lets go of what is over, and
    makes everything again from the log where the store is new or the settings have changed.

    Of all servers of a project one does it at a time; it does what ``also`` is to be done as
    well. Whatever goes wrong is logged, and tried
    again.
    """

    def __init__(
        self,
        sessions: LiveSessions,
        home: Home,
        settings: Settings,
        lake: Lake,
        clock: Callable[[], datetime],
        *,
        also: Callable[[], None] = lambda: None,
        every_seconds: float = 1.0,
    ) -> None:
        self._sessions = sessions
        self._home = home
        self._settings = settings
        self._lake = lake
        self._clock = clock
        self._also = also
        super().__init__("tending", every_seconds=every_seconds, begins_at_once=True)
        self._owned: Ownership | None = None
        self._restore_at: datetime | None = None

    def end(self) -> None:
        """Let another server do it."""
        if self._owned is not None:
            self._owned.give_up()

    def do(self) -> None:
        """Do what is to be done now, unless another server does it."""
        try:
            if self._owned is None:
                self._home.live.mkdir(parents=True, exist_ok=True)
                self._owned = Ownership.of(self._home.live / "tending")
            if self._owned is not None:
                self._restore()
                self._sweep()
                self._also()
        except (WherryError, duckdb.Error, sqlite3.Error, OSError) as error:
            logger.error("The live sessions can't be looked after now: %s", error)

    def _restore(self) -> None:
        now = self._clock()
        if self._sessions.is_complete or (self._restore_at and now < self._restore_at):
            return
        self._restore_at = now + timedelta(seconds=_AGAIN_SECONDS)
        settings = self._settings
        events = read_recent_events(
            self._lake,
            self._home.inbox,
            now=now,
            active_within=timedelta(minutes=2 * settings.sessions.gap_minutes),
            days=max(settings.live.given_session_hours / 24, 1.0),
            excluded=settings.transform.exclude_loads,
        )
        count = restore_sessions(self._sessions, self._until_over(events), self._pause)
        if count:
            logger.info("The live sessions were made again from %d events.", count)

    def _until_over(self, events: Iterable[Event]) -> Iterable[Event]:
        for event in events:
            if self.is_over.is_set():
                raise WherryError("The server stops before all events were read.")
            yield event

    def _sweep(self) -> None:
        for _ in range(_SWEEPS):
            if not self._sessions.sweep(self._clock()):
                return
            self._pause()

    def _pause(self) -> None:
        self.is_over.wait(_PAUSE_SECONDS)
