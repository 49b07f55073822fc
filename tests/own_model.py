"""A model of a shop's own: what came right after an item, most often first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.model import ModelFile
from wherry.learn.ranking import Ranking, top
from wherry.learn.sessions import Sessions


@dataclass
class Mine:
    """Counts pairs of neighbours in sessions; ``trust`` weighs them against popularity."""

    trust: float = 100.0
    name: ClassVar[str] = "mine"
    grid: ClassVar[tuple[Params, ...]] = ({"trust": 100.0},)

    @property
    def params(self) -> Params:
        return {"trust": self.trust}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        n = sessions.n_items
        popular = np.bincount(sessions.items, minlength=n) / max(sessions.n_events, 1)
        self.counts = np.tile(popular.astype(np.float32), (n, 1))
        inner = np.ones(sessions.n_events, dtype=bool)
        inner[sessions.offsets[1:] - 1] = False
        places = np.flatnonzero(inner)
        pairs = (sessions.items[places], sessions.items[places + 1])
        np.add.at(self.counts, pairs, np.float32(self.trust))
        return self

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        return np.asarray(self.counts[session[-1]], dtype=np.float32)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        return top(self.score(session), k)

    def save(self, folder: Path) -> None:
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, counts=self.counts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        model.counts = load_array(folder, "counts")
        return model
