"""A small shop to answer for: forty items, a model that needs no fitting, releases of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from starlette.types import ASGIApp, Message

from wherry.domain import ContentRecipe, Params, Release, Rule, RunId, TenantId
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.content import Content
from wherry.learn.model import ModelFile
from wherry.learn.questions import Questions, Rankings, keep
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.learn.texts import weigh
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

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        return top(self.score(session), k)

    def save(self, folder: Path) -> None:
        ModelFile(self.name, self.params).save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]


class Many(Nearby):
    """The same, for many sessions in one call."""

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        found = Rankings.room(questions.size, k)
        for row, session in enumerate(questions.each()):
            keep(found, row, *self.recommend(session, k, now=now))
        return found


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


def answerer(
    *,
    reach: int = 12,
    hide_purchased: bool = False,
    rules: Sequence[Rule] = (),
    available: list[bool] | None = None,
) -> Answerer:
    """Item 39 is the most popular, item 0 the least."""
    changes = {} if available is None else {"available": available}
    return Answerer(
        Nearby(reach=reach),
        Vocabulary(IDS),
        Catalogue.from_table(IDS, items_table(**changes)),
        np.arange(1, N + 1, dtype=np.float32),
        hide_purchased=hide_purchased,
        rules=rules,
    )


def with_content(*thresholds: float, places: int = 0) -> Answerer:
    """The shop with two items more, which only the catalogue knows, and likes by their texts."""
    ids = [*IDS, "new", "newer"]
    texts = [{f"w{code % 20}": 1.0, f"v{code % 7}": 1.0} for code in range(N)]
    texts += [{"w1": 1.0, "v1": 1.0}, {"w2": 1.0}]
    recipe = ContentRecipe(fewer_than=5, places=places, thresholds=thresholds)
    catalogue = Catalogue.from_table(ids, items_table())
    showable = np.array([*catalogue.showable[:-1], True])
    return Answerer(
        Nearby(),
        Vocabulary(ids),
        replace(catalogue, showable=showable),
        np.arange(1, N + 1, dtype=np.float32),
        content=Content.build(weigh(texts), np.full(N, 9), showable, recipe),
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


class Client:
    """Asks an application in this process, having started it as a server would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://shop.test"
        )
        self._events: asyncio.Queue[str] = asyncio.Queue()

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stop())
        self._runner.close()

    async def _start(self) -> None:
        async def receive() -> Message:
            return {"type": await self._events.get()}

        async def send(message: Message) -> None:
            self._answers.put_nowait(message["type"])

        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._life = asyncio.ensure_future(self._app({"type": "lifespan"}, receive, send))
        await self._tell("startup")

    async def _tell(self, event: str) -> None:
        self._events.put_nowait(f"lifespan.{event}")
        assert await self._answers.get() == f"lifespan.{event}.complete"

    async def _stop(self) -> None:
        await self._tell("shutdown")
        await self._life
        await self._http.aclose()

    def request(self, method: str, url: str, **details: Any) -> httpx.Response:
        return self._runner.run(self._http.request(method, url, **details))

    def get(self, url: str, **details: Any) -> httpx.Response:
        return self.request("GET", url, **details)

    def post(self, url: str, **details: Any) -> httpx.Response:
        return self.request("POST", url, **details)
