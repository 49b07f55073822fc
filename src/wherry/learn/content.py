"""Content: items too new or too rare to have a history, recommended by their texts.

A session's score for such an item is the sum, over its latest items, of how like their texts are
(:mod:`wherry.learn.likes`), each weighed by how long ago it was. Where the item then stands among
those of the model was learned: see :mod:`wherry.learn.places`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import ContentRecipe
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.kernel import kernel
from wherry.learn.likes import find_likes
from wherry.learn.pairs import Near
from wherry.learn.ranking import Ranking, take_top
from wherry.learn.texts import Terms

LATEST, DECAY = 10, 0.7
"""Of a session its latest items count, each this much as the one after it."""

KEEP = 40
"""Items without a history that are kept for each item, and neighbours for each of those."""

SHORT = 10
"""An answer of fewer items has no place to give away."""

LEAST = 0.3
"""A place is given away only to an item of this score or more."""


class Content:
    """Which items are like which by their texts; nothing changes after construction.

    Of the vocabulary's n items the first ``n_learned`` are those that the model knows. ``fresh``
    lists, for every item, items without a history; ``alike``, for an item without one, any items.
    ``thresholds`` float32 (R,), never rising: with which score an item goes before the model's
    first, second, … item. ``places``: at the end of an answer, kept for those that are none of
    these.
    """

    def __init__(
        self,
        n_learned: int,
        fresh: Near,
        alike: Near,
        thresholds: NDArray[np.float32],
        *,
        places: int,
    ) -> None:
        self.n_learned = n_learned
        self.fresh, self.alike = _frozen(fresh), _frozen(alike)
        self.thresholds = frozen(thresholds, np.float32)
        self.places = places
        self._local = threading.local()

    @classmethod
    def build(
        cls,
        terms: Terms,
        counts: NDArray[np.int64],
        showable: NDArray[np.bool_],
        recipe: ContentRecipe,
    ) -> Self:
        """Find what is like what.

        ``counts`` (n_learned,) are the events of each item in what the model was fitted on,
        ``showable`` (n,) which items may be recommended at all.
        """
        is_fresh = np.ones(len(showable), dtype=np.bool_)
        is_fresh[: len(counts)] = counts < recipe.fewer_than
        return cls(
            len(counts),
            find_likes(terms, np.ones_like(is_fresh), is_fresh & showable, KEEP),
            find_likes(terms, is_fresh, showable, KEEP),
            np.array(recipe.thresholds, dtype=np.float32),
            places=recipe.places,
        )

    def __len__(self) -> int:
        return len(self.fresh.offsets) - 1

    def suggest(self, session: NDArray[np.int32], most: int) -> Ranking:
        """Up to ``most`` items without a history that are like those of a session, best first.

        None of them is in the session.
        """
        return self._ranked(session, self.fresh, most)

    def neighbours(self, session: NDArray[np.int32], most: int) -> Ranking:
        """The like for items of any kind, and for those of the session without a history."""
        return self._ranked(session, self.alike, most)

    def _ranked(self, session: NDArray[np.int32], near: Near, most: int) -> Ranking:
        row = getattr(self._local, "row", None)
        if row is None:  # each thread has its own, made on its first question
            row = self._local.row = np.zeros(len(self), dtype=np.float32)
        latest = np.array(session, dtype=np.int32)
        return Ranking(*_score(latest, near.offsets, near.items, near.weights, row, most))

    def merge(self, found: Ranking, suggested: Ranking, k: int) -> Ranking:
        """The k best of a model's ranking, of one item or more, and of items that it lacks.

        Each of these goes before the first item of the model whose threshold it reaches, and
        takes that item's score: so an answer's scores are on one scale, and fall.
        """
        places = self.places if k >= SHORT else 0
        items = np.array(found.items, dtype=np.int32)  # a user's own model may count otherwise
        scores = np.array(found.scores, dtype=np.float32)
        return Ranking(*_merge(items, scores, *suggested, self.thresholds, k, places, LEAST))

    def carriers(self, session: NDArray[np.int32], item: int) -> list[tuple[int, float]]:
        """The items of a session that an item is like, with their parts of its score."""
        parts: dict[int, float] = {}
        for age, code in enumerate(session[::-1][:LATEST].tolist()):
            for near in (self.fresh, self.alike):
                mine = slice(near.offsets[code], near.offsets[code + 1])
                weight = near.weights[mine][near.items[mine] == item]
                if len(weight) and code not in parts:
                    parts[code] = float(weight[0]) * DECAY**age
        return sorted(parts.items(), key=lambda part: -part[1])

    def save(self, folder: Path) -> None:
        """Write the arrays as ``.npy`` into a folder."""
        for name, near in (("fresh", self.fresh), ("alike", self.alike)):
            save_arrays(folder, **{f"{name}_{part}": getattr(near, part) for part in Near._fields})
        numbers = np.array([self.n_learned, self.places], dtype=np.int64)
        save_arrays(folder, thresholds=self.thresholds, numbers=numbers)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ModelError where it can't be."""
        fresh, alike = (
            Near(*(load_array(folder, f"{name}_{part}") for part in Near._fields))
            for name in ("fresh", "alike")
        )
        n_learned, places = load_array(folder, "numbers").tolist()
        return cls(n_learned, fresh, alike, load_array(folder, "thresholds"), places=places)


def _frozen(near: Near) -> Near:
    arrays = zip(Near._fields, Near.dtypes(), strict=True)
    return Near(*(frozen(getattr(near, name), dtype) for name, dtype in arrays))


@kernel
def _score(
    session: NDArray[np.int32],
    offsets: NDArray[np.int64],
    items: NDArray[np.int32],
    weights: NDArray[np.float32],
    row: NDArray[np.float32],
    most: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The sums of the likes of a session's latest items; ``row`` is zeros, and is left so."""
    first = max(len(session) - LATEST, 0)
    size = 0
    for place in range(first, len(session)):
        size += offsets[session[place] + 1] - offsets[session[place]]
    touched = np.empty(size, dtype=np.int32)
    n_touched = 0
    weight = np.float32(1)
    for place in range(len(session) - 1, first - 1, -1):
        item = session[place]
        is_met = False
        for later in range(place + 1, len(session)):
            is_met |= session[later] == item
        for spot in range(offsets[item], offsets[item] if is_met else offsets[item + 1]):
            other = items[spot]
            if row[other] == 0:
                touched[n_touched] = other
                n_touched += 1
            row[other] += weight * weights[spot]
        weight *= np.float32(DECAY)
    for item in session:
        row[item] = 0
    found = touched[:n_touched]
    scores = row[found]
    for place in range(n_touched):
        row[found[place]] = 0
        if scores[place] == 0:  # it is in the session
            scores[place] = -np.inf
    return take_top(found, scores, min(most, n_touched))


@kernel
def _merge(
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    others: NDArray[np.int32],
    likes: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    k: int,
    places: int,
    least: float,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    merged = np.empty(k, dtype=np.int32)
    values = np.empty(k, dtype=np.float32)
    size, entered = 0, 0
    for rank in range(len(items)):
        while (
            size < k
            and entered < len(others)
            and rank < len(thresholds)
            and likes[entered] >= thresholds[rank]
        ):
            merged[size], values[size] = others[entered], scores[rank]
            size, entered = size + 1, entered + 1
        if size < k:
            merged[size], values[size] = items[rank], scores[rank]
            size += 1
    worst = values[size - 1]
    given = 0
    while entered + given < min(places, len(others)) and likes[entered + given] >= least:
        given += 1
    start = min(size, k - given)
    for place in range(given):
        merged[start + place], values[start + place] = others[entered + place], worst
    size = max(size, start + given)
    return merged[:size], values[:size]
