"""Co-visitation: what is looked at and bought near an item. The fastest model of a session.

Item-to-item collaborative filtering after Linden, Smith and York, "Amazon.com
recommendations" (2003), with distance, age and the kind of event counted in.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import INTERACTION_TYPES, Params
from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.explanation import Explanation
from wherry.learn.kernel import kernel
from wherry.learn.model import ModelFile, as_session
from wherry.learn.pairs import Near, count_pairs
from wherry.learn.questions import Questions, Rankings, keep
from wherry.learn.ranking import Ranking, spread_out, take_top, top_of
from wherry.learn.repeats import (
    LONGEST,
    count_repeats,
    distinct_from_end,
    own_scores,
    repeat_chances,
)
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space
from wherry.learn.tracing import explained, latest_places

_DEFAULTS: Params = {
    "window": 10,
    "keep": 100,
    "spread": 1.0,
    "backwards": 0.8,
    "decay": 1.0,
    "half_life": 90.0,
    "add": 2.0,
    "purchase": 4.0,
    "repeat": 1.5,
}

_LATEST = 5_000
"""Events of an item that are looked at, the latest: what bounds the time of a fit."""


def _but(**changes: float) -> Params:
    return {**_DEFAULTS, **changes}


class Covisits:
    """Scores the items that stand near those of the session in past sessions.

    1. An event ``d`` ≤ ``window`` events after an item speaks for its own item with
       ``1 / d ** spread``, and ``backwards`` times that if it comes before; ``add`` or
       ``purchase`` times that if it is one; halved for every ``half_life`` days of age
       (0: never). The ``keep`` heaviest neighbours of an item are kept, by their share.
    2. The distinct items of the session give their neighbours those shares, divided by
       (1 + events since) ** ``decay``; the weights of the items sum to 1.
    3. Items of the session itself come back as in :class:`wherry.learn.knn.SessionKNN`,
       ``repeat`` times as much.

    Only the last 50 events of a session are looked at. Lists for every item are all it holds,
    so an answer takes microseconds.
    """

    name: ClassVar[str] = "covisits"
    grid: ClassVar[tuple[Params, ...]] = (
        _DEFAULTS,
        _but(half_life=30.0),
        _but(spread=0.5),
        _but(decay=2.0),
        _but(decay=0.5),
        _but(repeat=1.0),
        _but(add=1.0, purchase=1.0),
    )
    space: ClassVar[Space] = {
        "window": Range(2, 30, log=True),
        "spread": Range(0.0, 2.0),
        "backwards": Range(0.2, 1.2),
        "decay": Range(0.2, 3.0),
        "half_life": Range(10.0, 365.0, log=True),
        "add": Range(1.0, 6.0),
        "purchase": Range(1.0, 10.0),
        "repeat": Range(0.5, 2.0),
    }

    def __init__(
        self,
        *,
        window: int = 10,
        keep: int = 100,
        spread: float = 1.0,
        backwards: float = 0.8,
        decay: float = 1.0,
        half_life: float = 90.0,
        add: float = 2.0,
        purchase: float = 4.0,
        repeat: float = 1.5,
    ) -> None:
        if window < 1 or keep < 1:
            raise ModelError(
                f"covisits was given window={window} and keep={keep}; both must be above 0."
            )
        self.window, self.keep = window, keep
        self.spread, self.backwards, self.decay = spread, backwards, decay
        self.half_life, self.add, self.purchase = half_life, add, purchase
        self.repeat = repeat
        self._near: Near | None = None
        self._local = threading.local()
        self._repeats = np.empty((0, 0, 0), dtype=np.float32)

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {name: getattr(self, name) for name in _DEFAULTS}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Count the pairs of each item; nothing is random."""
        near = count_pairs(
            sessions.offsets,
            sessions.items,
            event_weights=self._event_weights(sessions),
            item_weights=np.ones(sessions.n_items, dtype=np.float32),
            window=self.window,
            spread=self.spread,
            backwards=self.backwards,
            keep=self.keep,
            latest=_LATEST,
        )
        return self._know(near, count_repeats(sessions.offsets, sessions.items))

    def _event_weights(self, sessions: Sessions) -> NDArray[np.float32]:
        by_type = np.ones(len(INTERACTION_TYPES), dtype=np.float32)
        by_type[INTERACTION_TYPES.index("add")] = self.add
        by_type[INTERACTION_TYPES.index("purchase")] = self.purchase
        recency = np.repeat(sessions.recency(self.half_life), sessions.lengths)
        return np.asarray(by_type[sessions.types] * recency, dtype=np.float32)

    def _know(self, near: Near, repeats: NDArray[np.generic]) -> Self:
        arrays = zip(Near._fields, Near.dtypes(), strict=True)
        self._near = Near(*(frozen(getattr(near, name), dtype) for name, dtype in arrays))
        self._repeats = frozen(repeats, np.float32)
        self._local = threading.local()
        return self

    @property
    def _fitted(self) -> Near:
        if self._near is None:
            raise ModelError("This covisits is not fitted; call fit or load first.")
        return self._near

    def _scored(self, session: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The items near those of the session, and those themselves, once each."""
        near, asked = self._fitted, as_session(session)
        return _answer(asked, near, self._repeats, self._room(), self.decay, self.repeat)

    def _room(self) -> NDArray[np.float32]:
        """This thread's own row of zeros, made on its first question."""
        room: NDArray[np.float32] | None = getattr(self._local, "room", None)
        if room is None:
            n_items = len(self._fitted.offsets) - 1
            room = self._local.room = np.zeros(n_items, dtype=np.float32)
        return room

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The summed shares, ``-inf`` where nothing of the session is near; see :class:`Model`."""
        return spread_out(*self._scored(session), len(self._fitted.offsets) - 1)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of the items near those of the session; see :class:`Model`."""
        return top_of(*self._scored(session), k)

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """The same for many sessions; see :class:`wherry.learn.questions.RanksMany`."""
        found, near = Rankings.room(questions.size, k), self._fitted
        weights = self.decay, self.repeat
        _answer_each(questions.asked(), near, self._repeats, self._room(), *weights, k, found)
        return found

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """Which of the session's items it stands near, and what chance of a repeat."""
        near, asked = self._fitted, as_session(session)
        places = latest_places(asked)
        strengths = 1 / (len(asked) - places).astype(np.float64) ** self.decay
        strengths /= strengths.sum()
        own = asked[places]
        wanted = {*map(int, items), *own.tolist()}
        rows = near.rows(own.tolist(), wanted, strengths)
        total = sum(
            strength * near.weights[near.offsets[item] : near.offsets[item + 1]].sum()
            for item, strength in zip(own.tolist(), strengths, strict=True)
        )
        others = total - sum(rows[item].sum() for item in own.tolist())
        chances = repeat_chances(asked, max(0, len(asked) - LONGEST), places, self._repeats)
        return explained(asked, places, items, rows, chances, others, repeat=self.repeat)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the lists as ``.npy``."""
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, repeats=self._repeats, **self._fitted._asdict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        near = Near(*(load_array(folder, name) for name in Near._fields))
        return model._know(near, load_array(folder, "repeats"))


@kernel
def _answer(
    session: NDArray[np.int32],
    near: Near,
    repeats: NDArray[np.float32],
    room: NDArray[np.float32],
    decay: float,
    repeat: float,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Add up the lists of the session's items in a row of zeros, ``room``, left as it was."""
    places = np.empty(min(len(session), LONGEST), dtype=np.int32)
    start = max(0, len(session) - LONGEST)
    places = places[: distinct_from_end(session, start, len(session), places)]
    own = session[places]
    strengths = 1 / (len(session) - places).astype(np.float32) ** decay
    strengths /= strengths.sum()
    size = len(own)
    for item in own:
        size += near.offsets[item + 1] - near.offsets[item]
    reached = np.empty(size, dtype=np.int32)
    size = 0
    total = np.float32(0)
    for back in range(len(own)):
        for place in range(near.offsets[own[back]], near.offsets[own[back] + 1]):
            other = near.items[place]
            if room[other] == 0:
                reached[size] = other
                size += 1
            gain = np.float32(strengths[back] * near.weights[place])
            room[other] += gain
            total += gain
    found = room[own]
    chances = repeat_chances(session, start, places, repeats)
    came = own_scores(found, chances, total - found.sum())
    for back in range(len(own)):
        if found[back] == 0:
            reached[size] = own[back]
            size += 1
        room[own[back]] = repeat * came[back]
    scores = room[reached[:size]]
    room[reached[:size]] = 0
    is_scored = scores > 0
    return reached[:size][is_scored], scores[is_scored]


@kernel
def _answer_each(
    questions: Questions,
    near: Near,
    repeats: NDArray[np.float32],
    room: NDArray[np.float32],
    decay: float,
    repeat: float,
    k: int,
    found: Rankings,
) -> None:
    """The k best of :func:`_answer` for many sessions."""
    for row in range(len(questions.offsets) - 1):
        session = questions.items[questions.offsets[row] : questions.offsets[row + 1]]
        items, scores = _answer(session, near, repeats, room, decay, repeat)
        keep(found, row, *take_top(items, scores, min(k, len(items))))
