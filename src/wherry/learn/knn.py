"""Session kNN: what came next in the past sessions that are most like this one.

Of the VS-kNN and VMIS-kNN kind (Ludewig and Jannach, 2018; Kersbergen, Sprangers and
Schelter, "Serenade", 2022), with a fitted account of how visitors come back to an item.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.explanation import Explanation
from wherry.learn.model import ModelFile, as_session
from wherry.learn.neighbours import (
    Index,
    Scratch,
    Weights,
    answer,
    best,
    best_of_each,
    index_postings,
)
from wherry.learn.pairs import count_pairs
from wherry.learn.questions import Questions, Rankings
from wherry.learn.ranking import Ranking, spread_out
from wherry.learn.repeats import LONGEST, count_repeats, repeat_chances
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space
from wherry.learn.tracing import Trace, explained, trace, with_neighbours

_WINDOW, _NEARNESS, _KEEP = 5, 1.5, 100

_DEFAULTS: Params = {
    "neighbours": 500,
    "sample": 1000,
    "decay": 1.0,
    "sharpness": 1.3,
    "spread": 1.0,
    "match_idf": 2.0,
    "item_idf": 1.0,
    "half_life": 180.0,
    "further": 2.0,
    "repeat": 1.0,
}


def _but(**changes: float) -> Params:
    return {**_DEFAULTS, **changes}


_UNORDERED = _but(decay=0.2, spread=0.25, match_idf=1.0, item_idf=0.5, further=0.5)
"""For baskets, whose order says little."""


class SessionKNN:
    """Scores the items of the past sessions most similar to the one that asks.

    1. A past session's similarity is the sum, over the items it shares with this one, of
       ``idf(item) ** match_idf / (1 + events since) ** decay``, to the power of ``sharpness``,
       and halved for every ``half_life`` days of age (0: never). Of each item, the ``sample``
       latest sessions are looked at.
    2. The ``neighbours`` most similar give their similarity to each of their items, divided
       by (its distance from the latest shared item) ** ``spread``, forwards and backwards,
       and times ``idf(item) ** item_idf``; all scores are then scaled to sum to 1.
    3. A second step: the 50 best items give ``further`` times their score to the items that
       stand near them in past sessions, by their share in :class:`wherry.learn.pairs.Near`.
       It reaches items that no session shares with this one. Scores are scaled again.
    4. Coming back: the items of this session together get the odds of a repeat, as counted in
       training, parted by how far back each is and how often it was met, and by its score
       (:func:`wherry.learn.repeats.own_scores`); times ``repeat`` (0: an item of the session
       is never recommended).

    Only the last 50 events of a session are looked at. ``idf`` is ln(sessions / sessions with
    the item). Answers may be asked for from several threads at once.
    """

    name: ClassVar[str] = "knn"
    grid: ClassVar[tuple[Params, ...]] = (
        _DEFAULTS,
        _but(half_life=45.0),
        _UNORDERED,
        _but(decay=0.5),
        _but(spread=0.5),
        _but(further=0.5),
        _but(match_idf=1.0, item_idf=0.5),
    )
    space: ClassVar[Space] = {
        "neighbours": Range(100, 1500, log=True),
        "sample": Range(250, 2500, log=True),
        "decay": Range(0.0, 2.0),
        "sharpness": Range(0.7, 2.5),
        "spread": Range(0.0, 2.0),
        "match_idf": Range(0.0, 3.0),
        "item_idf": Range(0.0, 2.0),
        "half_life": Range(15.0, 365.0, log=True),
        "further": Range(0.0, 4.0),
    }

    def __init__(
        self,
        *,
        neighbours: int = 500,
        sample: int = 1000,
        decay: float = 1.0,
        sharpness: float = 1.3,
        spread: float = 1.0,
        match_idf: float = 2.0,
        item_idf: float = 1.0,
        half_life: float = 180.0,
        further: float = 2.0,
        repeat: float = 1.0,
    ) -> None:
        if neighbours < 1 or sample < 1:
            raise ModelError(
                f"knn was given neighbours={neighbours} and sample={sample}; both must be above 0."
            )
        self.neighbours, self.sample = neighbours, sample
        self.decay, self.sharpness, self.spread = decay, sharpness, spread
        self.match_idf, self.item_idf = match_idf, item_idf
        self.half_life, self.further, self.repeat = half_life, further, repeat
        self.weights = Weights(neighbours, decay, sharpness, spread, further, repeat)
        """The parameters as the kernels of an answer take them."""
        self._index: Index | None = None
        self._local = threading.local()

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {name: getattr(self, name) for name in _DEFAULTS}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Index the sessions by item, newest first; nothing is random."""
        if sessions.n_events >= 2**31:
            raise ModelError(
                f"knn can index up to 2^31 events, not {sessions.n_events}; train on fewer days."
            )
        offsets, items, n_items = sessions.offsets, sessions.items, sessions.n_items
        starts, sampled, events, frequency = index_postings(offsets, items, n_items, self.sample)
        idf = np.log1p(len(sessions)) - np.log(np.maximum(frequency, 1))
        item_weights = (idf**self.item_idf).astype(np.float32)
        session_weights = sessions.recency(self.half_life)
        near = count_pairs(
            offsets,
            items,
            event_weights=np.repeat(session_weights, sessions.lengths),
            item_weights=item_weights,
            window=_WINDOW,
            spread=_NEARNESS,
            backwards=1.0,
            keep=_KEEP,
            latest=self.sample,
        )
        index = Index(
            offsets,
            items,
            starts,
            sampled,
            events,
            match_weights=idf**self.match_idf,
            item_weights=item_weights,
            session_weights=session_weights,
            repeats=count_repeats(offsets, items),
            near_offsets=near.offsets,
            near_items=near.items,
            near_weights=near.weights,
        )
        return self._know(index)

    def _know(self, index: Index) -> Self:
        arrays = zip(Index._fields, Index.dtypes(), strict=True)
        self._index = Index(*(frozen(getattr(index, name), dtype) for name, dtype in arrays))
        self._local = threading.local()
        return self

    @property
    def index(self) -> Index:
        """What it knows; ModelError if it isn't fitted."""
        if self._index is None:
            raise ModelError("This knn is not fitted; call fit or load first.")
        return self._index

    def _scratch(self) -> Scratch:
        """This thread's own room for a question, made on its first."""
        scratch: Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = Scratch.of(self.index)
        return scratch

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The scores, ``-inf`` for items that no neighbour holds; see :class:`Model`."""
        found = answer(as_session(session), self.index, self._scratch(), self.weights)
        return spread_out(*found, len(self.index.item_weights))

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of the items that the neighbours hold; see :class:`Model`."""
        found = best(as_session(session), self.index, self._scratch(), self.weights, k)
        return Ranking(*found)

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """The same for many sessions; see :class:`wherry.learn.questions.RanksMany`."""
        found = Rankings.room(questions.size, k)
        best_of_each(questions.asked(), self.index, self._scratch(), self.weights, k, found)
        return found

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """Which of the session's items, which past sessions and what chance of a repeat."""
        asked = as_session(session)
        found = self.trace(asked)
        own = asked[found.places]
        rows = {int(item): found.by_own(int(item)) for item in (*items, *own)}
        chances = repeat_chances(
            asked, max(0, len(asked) - LONGEST), found.places, self.index.repeats
        )
        others = 1 - sum(float(rows[item].sum()) for item in own.tolist())
        told = explained(asked, found.places, items, rows, chances, others, repeat=self.repeat)
        return [with_neighbours(each, found, self.half_life, rows) for each in told]

    def trace(self, session: NDArray[np.int32]) -> Trace:
        """Put a question and keep who said what; see :class:`wherry.learn.tracing.Trace`."""
        return trace(session, self.index, self._scratch(), self.weights)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the index as ``.npy``."""
        index = self.index
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, **index._asdict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        return model._know(Index(*(load_array(folder, name) for name in Index._fields)))
