"""Questions: many sessions put to a model at once, and the rankings that come back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wherry.errors import ModelError
from wherry.learn.kernel import kernel
from wherry.learn.model import Model
from wherry.learn.ranking import Ranking


class Questions(NamedTuple):
    """Sessions as arrays: number ``q`` is ``items[offsets[q]:offsets[q + 1]]``, the latest last.

    ``items`` int32 (N,), ``offsets`` int64 (Q + 1,).
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many sessions they are."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of items of each, (Q,)."""
        return np.diff(self.offsets)

    def each(self) -> Iterator[NDArray[np.int32]]:
        """One session after the other."""
        for start, stop in pairwise(self.offsets.tolist()):
            yield self.items[start:stop]

    def part(self, start: int, stop: int) -> Self:
        """The sessions from ``start`` to ``stop``."""
        offsets = self.offsets[start : stop + 1]
        return type(self)(self.items[offsets[0] : offsets[-1]], offsets - offsets[0])

    def of_known(self, n_items: int) -> Self:
        """The same sessions without items from ``n_items`` on; a session may be empty then."""
        is_known = self.items < n_items
        if is_known.all():
            return self
        before = np.concatenate(([0], np.cumsum(is_known)))
        return type(self)(self.items[is_known], before[self.offsets])

    def filled(self) -> Self:
        """The same without the sessions that are empty."""
        is_filled = self.lengths > 0
        if is_filled.all():
            return self
        return type(self)(self.items, np.concatenate(([0], self.offsets[1:][is_filled])))

    def asked(self) -> Self:
        """Arrays of one kind, as kernels take them; ModelError where a session is empty."""
        if (self.offsets[1:] <= self.offsets[:-1]).any():
            raise ModelError("A model was asked about an empty session; use the fallback there.")
        return type(self)(np.array(self.items, dtype=np.int32), np.array(self.offsets))


class Rankings(NamedTuple):
    """What a model ranks for each of many sessions, best first: ``items`` int32 (Q, k), -1 where
    there is no more, and ``scores`` float32 (Q, k), 0 there."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]

    @classmethod
    def room(cls, count: int, k: int) -> Self:
        """Room for so many rankings of k items, which hold none yet."""
        return cls(np.full((count, k), -1, dtype=np.int32), np.zeros((count, k), dtype=np.float32))

    def of(self, row: int) -> Ranking:
        """One of them."""
        size = int((self.items[row] >= 0).sum())
        return Ranking(self.items[row, :size], self.scores[row, :size])


@runtime_checkable
class RanksMany(Protocol):
    """A model that ranks for many sessions in one call, which a kernel does without returning
    to Python in between: several threads then don't wait for one another."""

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """What ``recommend`` gives for each session, none of which is empty."""
        ...


def rank_each(model: Model, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
    """The k best of each session, in one call where the model has one for it."""
    if isinstance(model, RanksMany):
        return model.recommend_many(questions, k, now=now)
    found = Rankings.room(questions.size, k)
    for row, session in enumerate(questions.each()):
        keep(found, row, *model.recommend(session, k, now=now))
    return found


@kernel
def keep(found: Rankings, row: int, items: NDArray[np.int32], scores: NDArray[np.float32]) -> None:
    """Write a ranking into its row."""
    found.items[row, : len(items)] = items
    found.scores[row, : len(items)] = scores
