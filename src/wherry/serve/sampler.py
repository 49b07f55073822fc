"""A sampler: where a server's processor time goes, by the module that is at work.

It looks at the main thread's stack for every so many milliseconds of processor time, so that an
idle server is not looked at, and the time of a compiled kernel counts for whoever called it.
"""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from types import FrameType

_EVERY_SECONDS = 0.002

OTHER_THREADS = "other threads"
"""The part of threads beside the event loop's: the inbox, the look for new champions."""


class Sampler:
    """Counts processor seconds by part; ``parts`` names each by the beginnings of its modules.

    The part of a moment is that of the innermost function whose module has one, else ``rest``.
    It runs in the main thread, where signals arrive.
    """

    def __init__(self, parts: Mapping[str, tuple[str, ...]], rest: str) -> None:
        starts = [(start, part) for part, starts in parts.items() for start in starts]
        self._parts = sorted(starts, key=lambda each: -len(each[0]))  # the closest name decides
        self._rest = rest
        self._known: dict[str, str | None] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self._thread = self._process = 0.0

    def start(self) -> None:
        """Begin to look."""
        self._thread, self._process = time.thread_time(), time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)

    def stop(self) -> None:
        """Look no more."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _look(self, number: int, frame: FrameType | None) -> None:
        thread, process = time.thread_time(), time.process_time()
        here = thread - self._thread
        self.seconds[self._part_of(frame)] += here
        self.seconds[OTHER_THREADS] += max(0.0, process - self._process - here)
        self._thread, self._process = thread, process

    def _part_of(self, frame: FrameType | None) -> str:
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if module not in self._known:
                self._known[module] = next(
                    (part for start, part in self._parts if module.startswith(start)), None
                )
            part = self._known[module]
            if part is not None:
                return part
            frame = frame.f_back
        return self._rest
