"""Sequential rules: which items follow which, soon after counting more.

After Ludewig and Jannach, "Evaluation of session-based recommendation algorithms" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.explanation import Carrier, Explanation, Part, heaviest_first
from wherry.learn.kernel import kernel
from wherry.learn.model import ModelFile, as_session
from wherry.learn.pairs import Near, events_by_item
from wherry.learn.questions import Questions, Rankings, keep
from wherry.learn.ranking import Ranking, spread_out, take_top, top_of
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space

_DTYPES = {"offsets": np.int64, "consequents": np.int32, "weights": np.float32}

_FADED = 1e-3
"""Items that count for less than this are not looked at."""


class Rules:
    """Scores an item by the rules that lead to it from the items of the session.

    A rule a → b weighs the sum, over the sessions where b comes ``d`` ≤ ``window`` events after
    a, of ``1 / d``; the ``keep`` heaviest rules of each item are kept, with their share of the
    weight of all its rules. The last item of the session counts whole, the one before it
    ``memory`` times that, and so on (0: the last alone).
    """

    name: ClassVar[str] = "rules"
    grid: ClassVar[tuple[Params, ...]] = (
        {"window": 10, "keep": 100, "memory": 0.5},
        {"window": 10, "keep": 100, "memory": 0.0},
        {"window": 3, "keep": 100, "memory": 0.5},
        {"window": 10, "keep": 100, "memory": 0.8},
        {"window": 30, "keep": 100, "memory": 0.8},
    )
    space: ClassVar[Space] = {"window": Range(1, 30, log=True), "memory": Range(0.0, 0.95)}

    def __init__(self, *, window: int = 10, keep: int = 100, memory: float = 0.5) -> None:
        self.window = window
        self.keep = keep
        self.memory = memory
        self._know(np.zeros(1), np.empty(0), np.empty(0))

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {"window": self.window, "keep": self.keep, "memory": self.memory}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Count the rules of one item after the other; nothing is random."""
        return self._know(
            *_count(sessions.offsets, sessions.items, sessions.n_items, self.window, self.keep)
        )

    def _know(self, *arrays: NDArray[np.generic]) -> Self:
        self._offsets, self._consequents, self._weights = (
            frozen(array, dtype) for array, dtype in zip(arrays, _DTYPES.values(), strict=True)
        )
        return self

    def _scored(self, session: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The items that the session's rules lead to, once each, with their scores."""
        return _apply(
            as_session(session), self._offsets, self._consequents, self._weights, self.memory
        )

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The summed weights of rules, ``-inf`` where none leads; see :class:`Model`."""
        return spread_out(*self._scored(session), len(self._offsets) - 1)

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of the items that rules lead to; see :class:`Model`."""
        return top_of(*self._scored(session), k)

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        """The same for many sessions; see :class:`wherry.learn.questions.RanksMany`."""
        found = Rankings.room(questions.size, k)
        rules = self._offsets, self._consequents, self._weights
        _apply_to_each(questions.asked(), *rules, self.memory, k, found)
        return found

    def explain(
        self, session: NDArray[np.int32], items: Sequence[int], *, now: int | None = None
    ) -> list[Explanation]:
        """Which of the session's items have a rule that leads to it, and how heavy."""
        asked = as_session(session)
        rules = Near(self._offsets, self._consequents, self._weights)
        strengths: dict[int, float] = {}
        backs: dict[int, int] = {}
        for back, item in enumerate(asked[::-1].tolist()):
            if self.memory**back <= _FADED:
                break
            strengths[item] = strengths.get(item, 0.0) + self.memory**back
            backs.setdefault(item, back)
        rows = rules.rows([*strengths], {*map(int, items)}, np.array([*strengths.values()]))
        return [_led_to(int(item), backs, rows[int(item)]) for item in items]

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the rules as ``.npy``."""
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, **{name: getattr(self, f"_{name}") for name in _DTYPES})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        return model._know(*(load_array(folder, name) for name in _DTYPES))


def _led_to(item: int, backs: Mapping[int, int], weights: NDArray[np.float64]) -> Explanation:
    """An item's rules, one from each of the session's items."""
    parts = [
        Part(Carrier.HISTORY, weight, item=cause, back=back)
        for (cause, back), weight in zip(backs.items(), weights.tolist(), strict=True)
    ]
    return Explanation(item=item, score=float(weights.sum()), parts=heaviest_first(parts))


@kernel
def _count(
    offsets: NDArray[np.int64], items: NDArray[np.int32], n_items: int, window: int, keep: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Walk over each item's events in turn, so that one row of weights is all that is held."""
    starts, events, sessions = events_by_item(offsets, items, n_items)
    row = np.zeros(n_items, dtype=np.float32)
    touched = np.empty(n_items, dtype=np.int32)
    rule_offsets = np.zeros(n_items + 1, dtype=np.int64)
    consequents = np.empty(min(len(items) * window, n_items * keep), dtype=np.int32)
    weights = np.empty(len(consequents), dtype=np.float32)
    size = 0
    for item in range(n_items):
        n_touched = 0
        total = np.float32(0.0)
        for place in range(starts[item], starts[item + 1]):
            event = events[place]
            end = offsets[sessions[place] + 1]
            for distance in range(1, min(window, end - event - 1) + 1):
                follower = items[event + distance]
                if row[follower] == 0:
                    touched[n_touched] = follower
                    n_touched += 1
                row[follower] += np.float32(1.0 / distance)
                total += np.float32(1.0 / distance)
        by_item = np.sort(touched[:n_touched])  # so that equal rules are kept by their number
        best = by_item[np.argsort(-row[by_item], kind="mergesort")[:keep]]
        for follower in best:
            consequents[size] = follower
            weights[size] = row[follower] / total
            size += 1
        row[by_item] = 0
        rule_offsets[item + 1] = size
    return rule_offsets, consequents[:size].copy(), weights[:size].copy()


@kernel
def _apply(
    session: NDArray[np.int32],
    offsets: NDArray[np.int64],
    consequents: NDArray[np.int32],
    weights: NDArray[np.float32],
    memory: float,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Sum the rules of the session's items one item after the other."""
    size = 0
    steps = 0
    strength = 1.0
    while steps < len(session) and strength > _FADED:
        item = session[len(session) - 1 - steps]
        size += offsets[item + 1] - offsets[item]
        strength *= memory
        steps += 1
    reached = np.empty(size, dtype=np.int32)
    gained = np.empty(size, dtype=np.float32)
    size = 0
    strength = 1.0
    for step in range(steps):
        item = session[len(session) - 1 - step]
        for rule in range(offsets[item], offsets[item + 1]):
            reached[size], gained[size] = consequents[rule], strength * weights[rule]
            size += 1
        strength *= memory
    return _sum_runs(reached, gained)


@kernel
def _apply_to_each(
    questions: Questions,
    offsets: NDArray[np.int64],
    consequents: NDArray[np.int32],
    weights: NDArray[np.float32],
    memory: float,
    k: int,
    found: Rankings,
) -> None:
    """The k best of :func:`_apply` for many sessions."""
    for row in range(len(questions.offsets) - 1):
        session = questions.items[questions.offsets[row] : questions.offsets[row + 1]]
        items, scores = _apply(session, offsets, consequents, weights, memory)
        keep(found, row, *take_top(items, scores, min(k, len(items))))


@kernel
def _sum_runs(
    reached: NDArray[np.int32], gained: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Add up what was gained by the same item; the items come out once each, in order."""
    order = np.argsort(reached, kind="mergesort")
    items = np.empty(len(order), dtype=np.int32)
    scores = np.empty(len(order), dtype=np.float32)
    size = 0
    for place in order:
        if size and items[size - 1] == reached[place]:
            scores[size - 1] += gained[place]
        else:
            items[size], scores[size] = reached[place], gained[place]
            size += 1
    return items[:size], scores[:size]
