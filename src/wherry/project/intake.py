"""From the inbox into the log: by a run, by a command, and by a server every few seconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec

from wherry.collect import Loaded, drain
from wherry.collect.inbox import find_set_aside, read_waiting, store_paths
from wherry.config import Settings
from wherry.errors import LockHeld, WherryError
from wherry.lake import Lake, compact
from wherry.project.chore import Chore
from wherry.project.home import Home
from wherry.project.priority import step_back_alone

logger = logging.getLogger("wherry.project")


class InboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the inbox holds: ``events`` that are not loaded yet, since when (UTC) the ``oldest``
    waits, and the files that were damaged and ``set_aside``."""

    events: int
    oldest: datetime | None
    set_aside: tuple[str, ...]


def read_inbox(folder: Path) -> InboxStatus:
    """Read what waits in an inbox folder; never waits for who writes there."""
    waiting = read_waiting(folder)
    return InboxStatus(
        events=sum(each.events for each in waiting),
        oldest=min((each.oldest for each in waiting if each.oldest), default=None),
        set_aside=tuple(path.name for path in find_set_aside(folder)),
    )


def load_inbox(
    home: Home, settings: Settings, lake: Lake, now: datetime, report: Callable[[str], None]
) -> list[Loaded]:
    """Load everything that waits; the caller holds the project lock and has recovered the lake.

    Where nothing waits the lake is not even opened.
    """
    if not has_waiting(home.inbox):
        return []
    with lake.writer() as con:
        loads = drain(
            con,
            home.inbox,
            now=now,
            excluded=settings.transform.exclude_loads,
            on_progress=report,
        )
        compact(con)
    return loads


def has_waiting(folder: Path) -> bool:
    """Whether there is anything to load, or a file that can't be read and has to be mended."""
    waiting = read_waiting(folder)
    return any(each.pages for each in waiting) or len(waiting) < len(store_paths(folder))


class Loader(Chore):
    """Loads what waits every few seconds, beside a server, in a thread of its own.

    ``writing`` takes the project lock without waiting for it: whoever holds it loads as well,
    or will be done the next time. Whatever goes wrong is logged and counted in ``failures``;
    the events stay in the inbox and the next time comes. Its thread ranks behind others by
    ``nice``; 0 where the process itself answers, whose threads wait for one another.
    """

    def __init__(
        self,
        writing: Callable[[], AbstractContextManager[None]],
        load: Callable[[], list[Loaded]],
        waits: Callable[[], bool],
        *,
        every_seconds: float,
        nice: int = 0,
    ) -> None:
        self._writing = writing
        self._nice = nice
        self._load = load
        self._waits = waits
        super().__init__("loader", every_seconds=every_seconds)
        self.loads = 0
        self.failures = 0

    def begin(self) -> None:
        """Step back behind what answers."""
        step_back_alone(self._nice)

    def do(self) -> None:
        """Load what waits now, unless another process writes to the project."""
        try:
            if self._waits():
                with self._writing():
                    self.loads += len(self._load())
        except LockHeld:
            logger.debug("Another process writes to the project; the inbox can wait.")
        except (WherryError, duckdb.Error, OSError) as error:
            self.failures += 1
            logger.error("The inbox could not be loaded, and keeps what it has: %s", error)
