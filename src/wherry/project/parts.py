"""The parts of a project: where things lie, and what they are opened with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property

from wherry.collect.keys import Keys
from wherry.config import Settings
from wherry.lake import Lake, project_lock, recover
from wherry.live.availability import LiveAvailability
from wherry.live.sessions import LiveSessions
from wherry.live.store import LiveStore
from wherry.project.decisions import DecisionLog
from wherry.project.guarding import Guard
from wherry.project.home import Home
from wherry.project.live import live_sessions, live_store
from wherry.project.priority import step_back
from wherry.project.releasing import GUARD, Releasing, person
from wherry.project.run import Reporter
from wherry.project.serving import load_champion
from wherry.registry import Registry, Rollouts

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, UTC, without a zone: the way that all times are kept."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def say_nothing(words: str) -> None:
    """A report that nobody reads."""


class Parts:
    """The lake, the registry, the live store and the rest of a project, as its settings say."""

    def __init__(self, home: Home, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.home = home
        self.settings = settings
        self._clock = clock

    def step_back(self) -> None:
        """Let this process rank behind what answers, as far as the settings say."""
        step_back(self.settings.work.nice)

    @property
    def lake(self) -> Lake:
        """The project's lake."""
        settings = self.settings.lake
        return Lake(self.home.lake, settings.memory_limit, settings.threads)

    @cached_property
    def live_store(self) -> LiveStore:
        """What counts at once, shared with the other processes of the project."""
        return live_store(self.home, self.settings)

    @property
    def live_sessions(self) -> LiveSessions:
        """The sessions of now."""
        return live_sessions(self.live_store, self.settings)

    @cached_property
    def live_availability(self) -> LiveAvailability:
        """What was told of items, as the live store has it."""
        return LiveAvailability(self.live_store)

    @property
    def keys(self) -> Keys:
        """The keys of the project's server."""
        return Keys.open(self.home.keys)

    @property
    def registry(self) -> Registry:
        """The project's registry of releases."""
        settings = self.settings.registry
        return Registry(self.home.registry, settings.name, settings.tracking_uri)

    @contextmanager
    def writing(
        self, command: str, wait_seconds: float, report: Reporter, *, is_brief: bool = False
    ) -> Iterator[None]:
        """Hold the project lock, and first put right what a killed run left behind."""
        with project_lock(
            self.home.lock,
            command,
            wait_seconds=wait_seconds,
            on_wait=lambda holder: report(f"waiting for {holder}"),
            is_brief=is_brief,
        ):
            if recover(self.lake):
                report("putting back what an interrupted run left half done")
            yield

    def releasing(self, by: str = "") -> Releasing:
        """The ways by which what answers changes; ``by`` decides, by default the account."""
        return Releasing(
            registry=self.registry,
            rollouts=Rollouts(self.home.rollouts, self.home.registry),
            log=DecisionLog(self.home.decisions),
            load=load_champion,
            clock=self._clock,
            by=by or person(),
        )

    def guard(self) -> Guard:
        """What judges the releases that are tried, and stops those that are worse."""
        releasing = self.releasing(by=GUARD)
        settings = self.settings
        return Guard(
            self.home, settings.release, settings.outcomes, self.lake, releasing, self._clock
        )
