"""A chore: what is done every few seconds beside a server, in a thread of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Chore(ABC):
    """Done again and again while a ``with`` block runs; ``every_seconds`` lie in between.

    ``begins_at_once``: the first time comes without that wait. ``is_over`` is set once the block
    ends, which waits for what is being done; what takes long looks at it.
    """

    def __init__(self, name: str, *, every_seconds: float, begins_at_once: bool = False) -> None:
        self._every_seconds = every_seconds
        self._begins_at_once = begins_at_once
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over.set()
        self._thread.join()

    def _go(self) -> None:
        self.begin()
        wait = 0.0 if self._begins_at_once else self._every_seconds
        while not self.is_over.wait(wait):
            wait = self._every_seconds
            self.do()
        self.end()

    @abstractmethod
    def do(self) -> None:
        """Do it once; what goes wrong is logged here, since nobody else hears of it."""

    def begin(self) -> None:  # noqa: B027  most need nothing
        """Prepare the thread, before the first time."""

    def end(self) -> None:  # noqa: B027  most have nothing to give back
        """Give back what was taken, after the last time."""
