"""The standing rules as ``wherry.toml`` says them now, for a server that goes on answering."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec

from wherry.config import Settings, read_settings
from wherry.domain import Rule
from wherry.errors import SettingsError

logger = logging.getLogger("wherry.project")


class StandingRules:
    """Says which rules hold: those of the settings, read again whenever their file has changed.

    A file that makes no sense leaves those that hold, and the log says what is wrong with it. Of
    the other settings a server keeps what it was started with. Threads may share one.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._holding = settings.serve.rules
        self._mark: tuple[int, ...] | None = None
        self._is_broken = False
        self._lock = threading.Lock()

    def __call__(self) -> tuple[Rule, ...]:
        """The rules that hold now; costs a look at the file's state."""
        with self._lock:
            mark = self._look()
            if mark != self._mark:
                # What changes while it is read has another mark, and is read at the next look.
                self._mark = mark
                self._read()
            return self._holding

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:  # reading it will say what is wrong
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        try:
            settings = read_settings(self._path)
        except SettingsError as error:
            logger.error("The standing rules stay as they were: %s", error)
            self._is_broken = True
            return
        names = ", ".join(rule.name for rule in settings.serve.rules) or "none"
        if settings.serve.rules != self._holding:
            self._holding = settings.serve.rules
            logger.info("The standing rules of %s have changed; now: %s.", self._path, names)
        elif self._is_broken:
            logger.info("%s can be read again; the standing rules: %s.", self._path, names)
        self._is_broken = False
        if _without_rules(settings) != _without_rules(self._settings):
            logger.warning(
                "Other settings in %s are not those that the server was started with; they count "
                "once it is started again.",
                self._path,
            )


def _without_rules(settings: Settings) -> Settings:
    serve = msgspec.structs.replace(settings.serve, rules=())
    return msgspec.structs.replace(settings, serve=serve)
