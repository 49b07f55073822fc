"""A small shop to answer for: forty items, a model that needs no fitting, releases of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wherry.domain import Params, Release, RunId, TenantId
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.model import ModelFile
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.serve import Recommender, load_recommender, save_recommender

N = 40
IDS = [f"i{code}" for code in range(N)]


class Nearby:
    """Ranks the items within ``reach`` of the session's latest, the nearest first."""

    name: ClassVar[str] = "nearby"
    grid: ClassVar[tuple[Params, ...]] = ({"reach": 12},)

    def __init__(self, *, reach: int = 12) -> None:
        self.reach = reach

    @property
    def params(self) -> Params:
        return {"reach": self.reach}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        return self

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        distance = np.abs(np.arange(N) - session[-1])
        scores = np.where(distance <= self.reach, 100 - distance, UNSCORED)
        return scores.astype(np.float32)

    def recommend(
        self, session: NDArray[np.int32], k: int, *, now: int | None = None
    ) -> Ranking:
        return top(self.score(session), k)

    def save(self, folder: Path) -> None:
        ModelFile(self.name, self.params).save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]


def items_table(**changes: list[Any]) -> pa.Table:
    """Forty items and ``new``, which no session has seen: every tenth is not available."""
    columns: dict[str, list[Any]] = {
        "item_id": [*IDS, "new"],
        "name": [f"Item {code}" for code in range(N)] + ["New"],
        "category": [f"c{code % 4}" for code in range(N)] + ["c2"],
        "price": [float(code) for code in range(N)] + [1.0],
        "available": [code % 10 != 0 for code in range(N)] + [True],
        "attributes": [f'{{"brand":"b{code % 3}","tags":["all",{code % 2}]}}' for code in range(N)]
        + [None],
        "in_catalogue": [True] * (N + 1),
    }
    return pa.table({**columns, **changes})


def answerer(*, reach: int = 12, hide_purchased: bool = False) -> Answerer:
    """Item 39 is the most popular, item 0 the least."""
    return Answerer(
        Nearby(reach=reach),
        Vocabulary(IDS),
        Catalogue.from_table(IDS, items_table()),
        np.arange(1, N + 1, dtype=np.float32),
        hide_purchased=hide_purchased,
    )


def release(version: int, tenant: str = "default") -> Release:
    """A release of this shop's recommender."""
    return Release(
        tenant=TenantId(tenant),
        name="recommender",
        version=version,
        model="nearby",
        params={"reach": 12},
        seed=1,
        snapshot=1,
        run_id=RunId("run"),
        code="test",
        packages={},
        metrics={},
        released_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def write_release(folder: Path) -> Path:
    """Write the shop's recommender into a folder, and return it."""
    save_recommender(answerer(), folder)
    return folder


def load(release: Release, folder: Path) -> Recommender:
    """Read a release's folder back."""
    return load_recommender(folder, Nearby.load, release=release)
