"""Instances: the questions that a model is measured on, a prefix of a session and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from wherry.errors import UsageError
from wherry.learn.arrays import Array, frozen
from wherry.learn.sessions import Sessions


class Instances(Struct, frozen=True, kw_only=True):
    """Prefixes of sessions, each with the item that came next; all arrays (I,) but ``items``.

    Instance ``i`` asks about the prefix ``items[starts[i]:stops[i]]`` and hopes for
    ``targets[i]`` (-1: an item outside the vocabulary, always missed). ``sessions[i]`` says
    which session it is of, ``times[i]`` when it is asked: at the prefix's last event.
    """

    items: NDArray[np.int32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    targets: NDArray[np.int32]
    sessions: NDArray[np.int32]
    times: NDArray[np.int64]

    @classmethod
    def of(cls, sessions: Sessions, *, since: int | None = None, shortest: int = 1) -> Self:
        """Every prefix of every session, of ``shortest`` events or more.

        ``since`` (milliseconds UTC) leaves out targets before it: for sessions that straddle
        the cut of a split.
        """
        lengths = sessions.lengths
        owner = np.repeat(np.arange(len(sessions)), lengths)
        starts = sessions.offsets[:-1][owner]
        events = np.arange(sessions.n_events)
        asked = events - starts >= max(shortest, 1)
        if since is not None:
            asked &= sessions.times >= since
        stops = events[asked]
        return cls(
            items=sessions.items,
            starts=frozen(starts[asked], np.int64),
            stops=frozen(stops, np.int64),
            targets=frozen(sessions.items[asked], np.int32),
            sessions=frozen(owner[asked], np.int32),
            times=frozen(sessions.times[stops - 1], np.int64),
        )

    @classmethod
    def prepared(
        cls,
        prefixes: Sequence[Sequence[int]],
        targets: Array,
        *,
        sessions: Array | None = None,
        times: Array | None = None,
    ) -> Self:
        """Prefixes and targets as someone else cut them.

        Without ``sessions`` each is its own; without ``times`` all are asked at 0. Raises
        UsageError where a prefix is empty.
        """
        lengths = np.array([len(prefix) for prefix in prefixes], dtype=np.int64)
        if np.any(lengths == 0):
            raise UsageError(f"Prefix {int(np.argmin(lengths))} is empty; leave such rows out.")
        stops = np.cumsum(lengths)
        n = len(lengths)
        flat = np.fromiter((item for prefix in prefixes for item in prefix), dtype=np.int32)
        return cls(
            items=frozen(flat, np.int32),
            starts=frozen(stops - lengths, np.int64),
            stops=frozen(stops, np.int64),
            targets=frozen(targets, np.int32),
            sessions=frozen(np.arange(n) if sessions is None else sessions, np.int32),
            times=frozen(np.zeros(n) if times is None else times, np.int64),
        )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each prefix, (I,)."""
        return self.stops - self.starts

    def prefix(self, instance: int) -> NDArray[np.int32]:
        """The items that were seen before the question, the latest last."""
        return self.items[self.starts[instance] : self.stops[instance]]
