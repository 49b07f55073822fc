"""The first stage of the models that reorder or blend: retrieve items and describe them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.explanation import Explanation
from wherry.learn.features import Facts, Room, describe
from wherry.learn.kernel import kernel
from wherry.learn.knn import SessionKNN
from wherry.learn.model import as_session
from wherry.learn.neighbours import Index, Scratch, Weights
from wherry.learn.pairs import Near
from wherry.learn.questions import Questions, Rankings, keep
from wherry.learn.ranking import take_top
from wherry.learn.repeats import LONGEST, repeat_chances
from wherry.learn.sessions import Sessions
from wherry.learn.tracing import explained, with_neighbours

_NO_SHARES = np.empty(0, dtype=np.float32)
_NO_ITEMS = np.empty(0, dtype=np.int32)


class Retrieval:
    """The session kNN's index and facts about items, with room for the questions of each thread."""

    def __init__(self, knn: SessionKNN, facts: Facts) -> None:
        self._knn, self._facts = knn, facts
        self._index, self._weights = knn.index, knn.weights
        self._local = threading.local()

    @classmethod
    def fit(cls, sessions: Sessions) -> Self:
        """Index sessions, with the kNN's default parameters; nothing is random."""
        return cls(SessionKNN().fit(sessions, seed=0), Facts.of(sessions))

    @property
    def n_items(self) -> int:
        """How many items it knows of."""
        return len(self._facts.seen)

    def describe(
        self,
        session: NDArray[np.int32],
        candidates: int,
        *,
        near: float = 0.25,
        shares: NDArray[np.float32] = _NO_SHARES,
        further: NDArray[np.int32] = _NO_ITEMS,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Items, their scores and features of the best; see :func:`.features.describe`."""
        scratch, room = self._mine()
        return describe(
            as_session(session),
            self._index,
            self._facts,
            scratch,
            room,
            self._weights,
            near,
            candidates,
            shares,
            further,
        )

    def best_of_each(self, questions: Questions, k: int, *, near: float) -> Rankings:
        """The k best of the items that score at all, for many sessions in one call."""
        found = Rankings.room(questions.size, k)
        known = self._index, self._facts, *self._mine(), self._weights
        _best_of_each(questions.asked(), *known, near, k, found)
        return found

    def _mine(self) -> tuple[Scratch, Room]:
        """This thread's own room for a question, made on its first."""
        mine: tuple[Scratch, Room] | None = getattr(self._local, "room", None)
        if mine is None:
            mine = self._local.room = (Scratch.of(self._index), Room.of(self.n_items))
        return mine

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, near: float = 0.25
    ) -> list[Explanation]:
        """Explain the scores of :meth:`describe` without ``shares``, by both retrievers."""
        asked, index = as_session(session)[-LONGEST:], self._index
        found = self._knn.trace(asked)
        places = found.places
        own = asked[places].tolist()
        strengths = 1 / (len(asked) - places).astype(np.float64) ** self._weights.decay
        lists = Near(index.near_offsets, index.near_items, index.near_weights)
        wanted = {*map(int, items), *own}
        stands = lists.rows(own, wanted, strengths / strengths.sum())
        rows = {item: (1 - near) * found.by_own(item) + near * stands[item] for item in wanted}
        chances = repeat_chances(asked, 0, places, index.repeats)
        others = max(1 - sum(rows[item].sum() for item in own), 0.05)
        told = explained(asked, places, items, rows, chances, others)
        return [
            with_neighbours(each, found, self._knn.half_life, rows, share=1 - near) for each in told
        ]

    def save(self, folder: Path) -> None:
        """Write the folders ``knn`` and ``facts`` into a folder."""
        self._knn.save(folder / "knn")
        save_arrays(folder / "facts", **self._facts._asdict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ModelError where it can't be."""
        arrays = (load_array(folder / "facts", name) for name in Facts._fields)
        return cls(SessionKNN.load(folder / "knn"), Facts.frozen(*arrays))


@kernel
def _best_of_each(
    questions: Questions,
    index: Index,
    facts: Facts,
    scratch: Scratch,
    room: Room,
    weights: Weights,
    near: float,
    k: int,
    found: Rankings,
) -> None:
    """The k best of :func:`.features.describe` for many sessions, without their features."""
    no_shares, no_items = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int32)
    for row in range(len(questions.offsets) - 1):
        session = questions.items[questions.offsets[row] : questions.offsets[row + 1]]
        items, scores, _ = describe(
            session, index, facts, scratch, room, weights, near, 0, no_shares, no_items
        )
        is_scored = scores > 0
        items, scores = items[is_scored], scores[is_scored]
        keep(found, row, *take_top(items, scores, min(k, len(items))))
