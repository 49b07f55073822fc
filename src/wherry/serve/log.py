"""The log of a server: one line an event, with its time, on standard error.

What happens to requests is counted (see :mod:`wherry.serve.metrics`), not logged: a line says
that what answers has changed, or that something is wrong.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from typing import TextIO

MOST_LINES, WITHIN_SECONDS = 5, 10.0
"""Of what goes wrong at one place in the code so many lines are written in so many seconds: a
full disk or a broken model would else write one for every request."""


def log_to(stream: TextIO, *, who: str = "", is_quiet: bool = False) -> None:
    """Write the log of this process to a stream from now on; ``who`` stands in each line.

    ``is_quiet`` leaves out what is no warning. With ``WHERRY_DEBUG`` set, errors have their
    tracebacks.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_OneLine(who, is_whole=bool(os.environ.get("WHERRY_DEBUG"))))
    handler.addFilter(_Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("wherry").setLevel(logging.WARNING if is_quiet else logging.INFO)
    # Whoever sends what is no HTTP would write a line for each try.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    """``2026-11-29 03:00:00Z info worker 2: …``; of an exception what it says, and where it was
    raised. ``is_whole``: with its traceback below."""

    def __init__(self, who: str, *, is_whole: bool) -> None:
        super().__init__()
        self.converter = time.gmtime
        self._who = f"{who}: " if who else ""
        self._is_whole = is_whole

    def format(self, record: logging.LogRecord) -> str:
        """The line of an event."""
        at = self.formatTime(record, "%Y-%m-%d %H:%M:%SZ")
        error = record.exc_info[1] if record.exc_info else None
        words = record.getMessage() if error is None else f"{record.getMessage()} {_told(error)}"
        line = f"{at} {record.levelname.lower()} {self._who}{' '.join(words.split())}"
        left_out = getattr(record, "left_out", 0)
        if left_out:
            line += f" ({left_out:,} lines like this were left out before)"
        if error is not None and self._is_whole:
            line += "\n" + "".join(traceback.format_exception(error)).rstrip()
        return line


def _told(error: BaseException) -> str:
    """An exception in a line: what it is, what it says, and where it was raised."""
    words = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    return f"{words} ({frames[-1].filename}:{frames[-1].lineno})" if frames else words


class _Seldom(logging.Filter):
    """Lets so many warnings and errors of one place in the code pass, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; the next one that is says how many were not."""
        if record.levelno < logging.WARNING:
            return True
        place = record.pathname, record.lineno
        began, count = self._seen.get(place, (record.created, 0))
        if record.created - began >= WITHIN_SECONDS:
            record.left_out = max(0, count - MOST_LINES)
            began, count = record.created, 0
        self._seen[place] = began, count + 1
        return count < MOST_LINES
