"""Popularity: what is bought and looked at most, the recent weighing more. The baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.explanation import Explanation, popular
from wherry.learn.model import ModelFile, as_session
from wherry.learn.questions import Questions, Rankings
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space
from wherry.learn.split import DAY_MS


class Popularity:
    """Ranks items by their events, each halved in weight for every ``half_life`` days of age.

    ``half_life`` 0 counts all events alike. The session is not looked at; an item that was
    never seen is unscored.
    """

    name: ClassVar[str] = "popularity"
    grid: ClassVar[tuple[Params, ...]] = tuple(
        {"half_life": days} for days in (7.0, 1.0, 2.0, 30.0, 0.0)
    )
    space: ClassVar[Space] = {"half_life": Range(0.5, 90.0, log=True)}

    def __init__(self, *, half_life: float = 7.0) -> None:
        self.half_life = half_life
        self._scores = np.empty(0, dtype=np.float32)
        self._best = Ranking(np.empty(0, dtype=np.int32), self._scores)

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {"half_life": self.half_life}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Sum the weights of each item's events; nothing is random."""
        weights = None
        if self.half_life > 0 and sessions.n_events:
            age = (sessions.times[-1] - sessions.times) / DAY_MS
            weights = np.exp2(-age / self.half_life)
        totals = np.bincount(sessions.items, weights=weights, minlength=sessions.n_items)
        return self._know(np.where(totals > 0, totals, UNSCORED).astype(np.float32))

    def _know(self, scores: NDArray[np.float32]) -> Self:
        self._scores = frozen(scores, np.float32)
        best = top(scores, len(scores))
        self._best = Ranking(frozen(best.items, np.int32), frozen(best.scores, np.float32))
        return self

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The decayed count of every item, ``-inf`` if never seen; see :class:`Model`."""
        as_session(session)
        return self._scores.copy()

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The head of a list that was sorted once; see :class:`Model`."""
        as_session(session)
        return Ranking(self._best.items[:k], self._best.scores[:k])

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """The same for many sessions; see :class:`wherry.learn.questions.RanksMany`."""
        found, size = Rankings.room(questions.asked().size, k), len(self._best.items[:k])
        found.items[:, :size], found.scores[:, :size] = self._best.items[:k], self._best.scores[:k]
        return found

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """Its events, decayed: that is all there is to it."""
        return [popular(int(item), float(self._scores[item])) for item in items]

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and ``scores.npy``."""
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, scores=self._scores)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back."""
        return cls(**ModelFile.load(folder).params)._know(load_array(folder, "scores"))  # type: ignore[arg-type]
