"""Balance: connections that are kept, spread over the workers, also after one was replaced.

A connection stays with the worker that accepted it. When a worker ends, its clients connect
again and meet those that are left, and whoever takes its place would have nothing to do. So each
worker tells how many it holds, and one that holds more than its share closes some of them, each
with an answer that says so (``Connection: close``). Its client then opens another: no request is
lost by it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from itertools import count, islice
from pathlib import Path

from wherry.serve.direct import DirectProtocol, Exchange

_NONE = -1
"""The count of a worker that accepts nothing."""
_COUNT = struct.Struct("=i")
_LOOKS_BETWEEN = 5


class Holdings:
    """How many connections each worker of a server holds, in a file that all of them map.

    Workers are numbered from 1 up; each writes its own count, and whoever saw one end withdraws
    it. Reading is as of no one moment, which is near enough.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._counts = memoryview(mmap.mmap(file.fileno(), 0)).cast("i")

    @classmethod
    def create(cls, path: Path, workers: int) -> Holdings:
        """Begin with so many workers, none of which accepts anything yet."""
        path.write_bytes(_COUNT.pack(_NONE) * workers)
        return cls(path)

    def tell(self, number: int, count: int) -> None:
        """Say how many connections a worker holds, which thereby is one that accepts."""
        self._counts[number - 1] = count

    def withdraw(self, number: int) -> None:
        """Say that a worker accepts nothing, or nothing any more."""
        self._counts[number - 1] = _NONE

    def accepting(self) -> dict[int, int]:
        """The workers that accept, by their numbers, and how many connections each holds."""
        return {number: count for number, count in enumerate(self._counts, 1) if count != _NONE}

    def surplus(self, number: int) -> int:
        """How many connections a worker holds beyond its share; 0 where it is near its share.

        What is left to chance, when several workers accept, is no reason to close anything.
        """
        counts = self.accepting().values()
        share = -(-sum(counts) // len(counts)) if counts else 0
        mine = self._counts[number - 1]
        return mine - share if mine > share + max(2, share // 8) else 0


class LeavingProtocol(DirectProtocol):
    """A connection that can be told to end with its next answer, which tells its client."""

    is_leaving = False

    def _direct(self) -> Exchange | None:
        return None if self.is_leaving else super()._direct()

    def _begin_asgi(self) -> None:
        super()._begin_asgi()
        if self.is_leaving:
            self.cycle.keep_alive = False


class Balance:
    """A worker's part in it: tells its count, and lets go of what is beyond its share."""

    def __init__(self, holdings: Holdings, number: int) -> None:
        self._holdings = holdings
        self._number = number
        self._looks = count()

    def look(self, connections: Collection[LeavingProtocol]) -> None:
        """Tell how many are held now, and every few times compare them with the others'.

        To be called ten times a second. Where some were to leave, they have gone and are counted
        elsewhere by the time of the next comparison.
        """
        self._holdings.tell(self._number, len(connections))
        if next(self._looks) % _LOOKS_BETWEEN == 0:
            self._compare(connections)

    def _compare(self, connections: Collection[LeavingProtocol]) -> None:
        surplus = self._holdings.surplus(self._number)
        if surplus:
            staying = [each for each in connections if not each.is_leaving]
            n_leaving = len(connections) - len(staying)
            for each in islice(staying, max(0, surplus - n_leaving)):
                each.is_leaving = True
