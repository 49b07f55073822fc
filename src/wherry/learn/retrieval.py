"""The first stage of the models that reorder or blend: retrieve items and describe them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.features import Facts, Room, describe
from wherry.learn.knn import SessionKNN
from wherry.learn.model import as_session
from wherry.learn.neighbours import Scratch
from wherry.learn.sessions import Sessions

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
        mine = getattr(self._local, "room", None)
        if mine is None:  # each thread has its own, made on its first question
            mine = self._local.room = (Scratch.of(self._index), Room.of(self.n_items))
        scratch, room = mine
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

    def save(self, folder: Path) -> None:
        """Write the folders ``knn`` and ``facts`` into a folder."""
        self._knn.save(folder / "knn")
        save_arrays(folder / "facts", **self._facts._asdict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ModelError where it can't be."""
        arrays = (load_array(folder / "facts", name) for name in Facts._fields)
        return cls(SessionKNN.load(folder / "knn"), Facts.frozen(*arrays))
