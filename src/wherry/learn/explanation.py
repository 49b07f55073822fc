"""Explanations: what carried an item into an answer, in numbers that add up to its score."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.errors import ModelError
from wherry.learn.model import Model

LEFT_OUT = 10
"""Distinct items of a session, the latest, that are left out in turn: each is an answer more."""


class Carrier(StrEnum):
    """What a part of a score comes from."""

    HISTORY = "history"
    """An item of the session."""
    REPEAT = "repeat"
    """That the item itself was met in the session."""
    TOGETHER = "together"
    """What no single item of the session brings: leaving out any one loses none of it."""
    POPULARITY = "popularity"
    """Its events, the recent ones weighing more."""
    NEURAL = "neural"
    """What a neural retriever gives it."""
    FEATURE = "feature"
    """What the trees make of one feature."""
    BASE = "base"
    """What the trees say of a candidate of which nothing is known."""
    CONTENT = "content"
    """That it is like what the session holds, by its texts and its category."""
    RULE = "rule"
    """That a rule of the shop puts it there."""


class Part(msgspec.Struct, frozen=True):
    """A part of a score. ``item`` is HISTORY's or CONTENT's, by its number; ``back`` counts the
    events since it (or, of a REPEAT, the explained item) was met last, 0 for the latest event. A
    FEATURE has its name and its value."""

    carrier: Carrier
    weight: float
    item: int = -1
    back: int = -1
    feature: str = ""
    value: float = 0.0


class Neighbour(msgspec.Struct, frozen=True):
    """A past session that holds the item: its items near the match, by their numbers and in
    order, how many days older than the newest session it is (None: not known), and what of the
    score went through it. It says nothing of who the visitor was."""

    items: tuple[int, ...]
    age_days: float | None
    weight: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one item was ranked where it is.

    The weights of ``parts`` add up to ``score``. That is the model's own score, but of the
    two-stage model's items beyond its candidates, where it is the first stage's. The others tell
    parts of the same sum once more, by other names: ``neighbours`` are the heaviest of the
    ``n_neighbours`` past sessions that hold the item, which brought ``by_neighbours`` of it;
    ``through`` are items that lead on to it from what those sessions hold, with their weights.
    ``retrieved`` explains the first stage's score of an item that trees put in order.
    """

    item: int
    score: float
    parts: tuple[Part, ...]
    neighbours: tuple[Neighbour, ...] = ()
    n_neighbours: int = 0
    by_neighbours: float = 0.0
    through: tuple[tuple[int, float], ...] = ()
    retrieved: Explanation | None = None


@runtime_checkable
class Explains(Protocol):
    """A model that explains itself: the part of :class:`Model` that may be left out."""

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """Explain each of some items that the model scores as the next of a session."""
        ...


def explain(
    model: Model, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
) -> list[Explanation]:
    """Explain items that a model recommends, by its own ``explain`` or by :func:`leave_out`."""
    if len(items) == 0:
        return []
    if isinstance(model, Explains):
        return model.explain(session, items, now=now)
    return leave_out(model, session, items, now=now)


def leave_out(
    model: Model, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
) -> list[Explanation]:
    """Explain by how an item's score falls when an item of the session is left out.

    The latest ten distinct items are left out in turn, all their events at once. What no fall
    accounts for is TOGETHER. An item that is unscored without one counts as 0; among negative
    scores, as the lowest.

    Raises:
        ModelError: the model doesn't score one of the items.
    """
    wanted = np.asarray(items, dtype=np.int64)
    whole = model.score(session, now=now)
    scores = whole[wanted].astype(np.float64)
    if not np.isfinite(scores).all():
        raise ModelError(f"{model.name} doesn't score all of {list(items)}; nothing to explain.")
    lowest = min(0.0, float(whole[np.isfinite(whole)].min()))
    parts: list[list[Part]] = [[] for _ in items]
    falls = np.zeros(len(wanted))
    for back, item in _latest_distinct(session):
        rest = session[session != item]
        left = model.score(rest, now=now)[wanted] if len(rest) else np.full(len(wanted), -np.inf)
        fall = scores - np.maximum(left.astype(np.float64), lowest)
        falls += fall
        for mine, weight in zip(parts, fall.tolist(), strict=True):
            mine.append(Part(Carrier.HISTORY, weight, item=item, back=back))
    for mine, rest_of_it in zip(parts, (scores - falls).tolist(), strict=True):
        mine.append(Part(Carrier.TOGETHER, rest_of_it))
    return [
        Explanation(item=int(item), score=score, parts=heaviest_first(mine))
        for item, score, mine in zip(items, scores.tolist(), parts, strict=True)
    ]


def popular(item: int, score: float) -> Explanation:
    """The explanation of an item that is shown because it is popular."""
    return Explanation(item=item, score=score, parts=(Part(Carrier.POPULARITY, score),))


def heaviest_first(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts in the order of what they weigh, up or down, without those that weigh nothing."""
    return tuple(sorted((p for p in parts if p.weight != 0), key=lambda p: -abs(p.weight)))


def _latest_distinct(session: NDArray[np.int32]) -> list[tuple[int, int]]:
    """The latest distinct items, each with how many events back it was met last."""
    backs: dict[int, int] = {}
    for back, item in enumerate(session[::-1].tolist()):
        backs.setdefault(item, back)
    return [(back, item) for item, back in list(backs.items())[:LEFT_OUT]]
