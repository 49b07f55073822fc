"""Pairs: which items stand near which in the same sessions, as a short list for each item."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wherry.learn.kernel import kernel
from wherry.learn.ranking import take_top


class Near(NamedTuple):
    """The items near item ``i``, heaviest first, are ``items[offsets[i]:offsets[i + 1]]``.

    ``weights`` (P,) are their shares of the weight of all its pairs, kept or not.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    weights: NDArray[np.float32]

    def rows(
        self, own: Sequence[int], wanted: Collection[int], strengths: NDArray[np.float64]
    ) -> dict[int, NDArray[np.float64]]:
        """What each of some items, ``own`` (D,), gives to each wanted one: its share times the
        strength of the item, (D,) for each."""
        found = {item: np.zeros(len(own)) for item in wanted}
        for place, item in enumerate(own):
            run = slice(self.offsets[item], self.offsets[item + 1])
            for other, share in zip(
                self.items[run].tolist(), self.weights[run].tolist(), strict=True
            ):
                if other in found:
                    found[other][place] += strengths[place] * share
        return found

    @staticmethod
    def dtypes() -> tuple[DTypeLike, ...]:
        """The type of each array, in order."""
        return (np.int64, np.int32, np.float32)


@kernel
def count_pairs(
    offsets: NDArray[np.int64],
    items: NDArray[np.int32],
    event_weights: NDArray[np.float32],
    item_weights: NDArray[np.float32],
    window: int,
    spread: float,
    backwards: float,
    keep: int,
    latest: int,
) -> Near:
    """List the ``keep`` heaviest neighbours of each item, of equals the lower number.

    A pair of an event with another of its session, ``d`` ≤ ``window`` events later, weighs
    ``event_weights[other] * item_weights[other's item] / d ** spread``; ``backwards`` times that
    if the other is earlier. Of each item its ``latest`` events are looked at. An item is no pair
    with itself. One row of weights is all that is held.
    """
    n_items = len(item_weights)
    starts, events, sessions = events_by_item(offsets, items, n_items)
    by_distance = 1 / np.maximum(np.arange(window + 1), 1).astype(np.float32) ** spread
    row = np.zeros(n_items, dtype=np.float32)
    touched = np.empty(n_items, dtype=np.int32)
    near_offsets = np.zeros(n_items + 1, dtype=np.int64)
    near = np.empty(min(len(items) * 2 * window, n_items * keep), dtype=np.int32)
    weights = np.empty(len(near), dtype=np.float32)
    size = 0
    for item in range(n_items):
        n_touched = 0
        total = 0.0
        for place in range(max(starts[item], starts[item + 1] - latest), starts[item + 1]):
            event, session = events[place], sessions[place]
            first = max(offsets[session], event - window)
            for other in range(first, min(offsets[session + 1], event + window + 1)):
                direction = backwards if other < event else 1.0
                gain = event_weights[other] * item_weights[items[other]] * direction
                gain *= by_distance[abs(other - event)]
                if items[other] == item or gain <= 0:
                    continue
                if row[items[other]] == 0:
                    touched[n_touched] = items[other]
                    n_touched += 1
                row[items[other]] += gain
                total += gain
        found = touched[:n_touched]
        best, values = take_top(found, row[found], min(keep, n_touched))
        near[size : size + len(best)] = best
        weights[size : size + len(best)] = values / np.float32(total)
        size += len(best)
        for other_item in found:
            row[other_item] = 0
        near_offsets[item + 1] = size
    return Near(near_offsets, near[:size].copy(), weights[:size].copy())


@kernel
def events_by_item(
    offsets: NDArray[np.int64], items: NDArray[np.int32], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The events of each item (a counting sort), and the session of each of them.

    The events of item ``i`` are those from ``starts[i]`` to ``starts[i + 1]``, the oldest first.
    """
    starts = np.zeros(n_items + 1, dtype=np.int64)
    for item in items:
        starts[item + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    events = np.empty(len(items), dtype=np.int64)
    sessions = np.empty(len(items), dtype=np.int32)
    for session in range(len(offsets) - 1):
        for event in range(offsets[session], offsets[session + 1]):
            place = free[items[event]]
            events[place], sessions[place] = event, session
            free[items[event]] += 1
    return starts, events, sessions
