"""A linear blend of the session kNN and of what stands near: the rival of the two-stage model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.errors import ModelError
from wherry.learn.explanation import Explanation
from wherry.learn.model import ModelFile
from wherry.learn.questions import Questions, Rankings
from wherry.learn.ranking import Ranking, spread_out, top_of
from wherry.learn.retrieval import Retrieval
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space


class Blend:
    """Scores an item by the kNN's share of it, and by its share of what stands near.

    The latter weighs ``near`` of the whole (0: the kNN alone). The session's own items come
    back as in :class:`wherry.learn.knn.SessionKNN`. It is the first stage of
    :class:`wherry.learn.twostage.TwoStage`.
    """

    name: ClassVar[str] = "blend"
    grid: ClassVar[tuple[Params, ...]] = tuple({"near": share} for share in (0.25, 0.1, 0.5))
    space: ClassVar[Space] = {"near": Range(0.0, 0.8)}

    def __init__(self, *, near: float = 0.25) -> None:
        if not 0 <= near <= 1:
            raise ModelError(f"blend was given near={near}; it must lie between 0 and 1.")
        self.near = near
        self._retrieval: Retrieval | None = None

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {"near": self.near}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Fit the retrievers; nothing is random."""
        self._retrieval = Retrieval.fit(sessions)
        return self

    @property
    def _fitted(self) -> Retrieval:
        if self._retrieval is None:
            raise ModelError("This blend is not fitted; call fit or load first.")
        return self._retrieval

    def _scored(self, session: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The items that either retriever reaches and that score at all, once each."""
        items, scores, _ = self._fitted.describe(session, 0, near=self.near)
        is_scored = scores > 0
        return items[is_scored], scores[is_scored]

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The blended shares, ``-inf`` for items that none reaches; see :class:`Model`."""
        return spread_out(*self._scored(session), self._fitted.n_items)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of the items that either reaches; see :class:`Model`."""
        return top_of(*self._scored(session), k)

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """The same for many sessions; see :class:`wherry.learn.questions.RanksMany`."""
        return self._fitted.best_of_each(questions, k, near=self.near)

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """What the kNN and what stands near say of it; see :meth:`Retrieval.explain`."""
        return self._fitted.explain(session, items, near=self.near)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the retrievers' folders."""
        ModelFile(self.name, self.params).save(folder)
        self._fitted.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        model._retrieval = Retrieval.load(folder)
        return model
