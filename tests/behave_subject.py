"""A small subject for the behavioural tests: forty items, sixty sessions, a model that is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import serve_shop
from wherry.behave import Subject
from wherry.config import Behave
from wherry.domain import DEFAULT_TENANT
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.instances import Instances
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.ranking import top
from wherry.learn.sessions import Vocabulary

DAY_MS = 86_400_000
N = serve_shop.N
RULES = Behave(min_slice_sessions=5)


class Stub(serve_shop.Nearby):
    """A model whose scores are a function of the session."""

    def __init__(self, scores: Any) -> None:
        super().__init__()
        self._scores = scores

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        return np.asarray(self._scores(session), dtype=np.float32)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Any:
        return top(self.score(session), k)


def next_item(session: NDArray[np.int32]) -> NDArray[np.float64]:
    """Sessions go from an item to the next one; items further on score less."""
    return 100.0 - (np.arange(N) - session[-1] - 1) % N


def instances() -> Instances:
    """Sixty sessions of one question each: 1 to 6 items in order, one a day, then the next item."""
    prefixes = [[(start + i) % N for i in range(1 + start % 6)] for start in range(60)]
    targets = np.array([(prefix[-1] + 1) % N for prefix in prefixes])
    return Instances.prepared(prefixes, targets, times=np.arange(60) * DAY_MS)


def evaluation(scores: Any = next_item, asked: Instances | None = None) -> Evaluation:
    """What a model answers to the questions."""
    return evaluate(Stub(scores), asked or instances(), popularity=np.arange(N))


def flat(session: NDArray[np.int32]) -> NDArray[np.float64]:
    """The same score for all: of no use."""
    return np.zeros(N)


def answerer(scores: Any = next_item, **details: Any) -> Answerer:
    """The forty items of a shop, of which every tenth is not available."""
    return Answerer(
        Stub(scores),
        Vocabulary(serve_shop.IDS),
        Catalogue.from_table(serve_shop.IDS, serve_shop.items_table()),
        np.arange(1, N + 1, dtype=np.float32),
        **details,
    )


def subject(**changes: Any) -> Subject:
    """A subject that passes every check, with changes."""
    good: dict[str, Any] = {
        "tenant": DEFAULT_TENANT,
        "answerer": answerer(),
        "instances": instances(),
        "counts": np.arange(N),
        "winner": evaluation(),
        "baseline": evaluation(flat),
        "champion": evaluation(),
        "metric": "mrr@20",
        "seed": 1,
        "rules": RULES,
    }
    return Subject(**{**good, **changes})
