"""Rankings: the answer of a model, and the two questions asked of a full list of scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel

UNSCORED = np.float32(-np.inf)
"""The score of an item that a model has nothing to say about; it is never recommended."""


class Ranking(NamedTuple):
    """Items, best first, with their scores: int32 and float32, both (up to k,)."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]


@kernel
def take_top(
    codes: NDArray[np.int32], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What :func:`top_of` does, for kernels; k is at most the number of items.

    Keep the k best in a heap whose root is the worst kept; then empty it from the back.
    """
    heap = np.empty(k, dtype=np.int32)  # places in codes
    size = 0
    bound = np.float32(-np.inf)  # what a score has to reach; most of a full list does not
    for place in range(len(codes) if k > 0 else 0):
        score = scores[place]
        if score < bound or score == -np.inf:
            continue
        code = codes[place]
        if size < k:
            child = size
            size += 1
            while child > 0:  # sift up
                parent = (child - 1) >> 1
                p = heap[parent]
                if scores[p] < score or (scores[p] == score and codes[p] > code):
                    break
                heap[child] = p
                child = parent
            heap[child] = place
            if size == k:
                bound = scores[heap[0]]
            continue
        root = heap[0]
        if score > scores[root] or (score == scores[root] and code < codes[root]):
            _sift_down(heap, size, place, codes, scores)
            bound = scores[heap[0]]
    items = np.empty(size, dtype=np.int32)
    values = np.empty(size, dtype=np.float32)
    while size > 0:
        worst = heap[0]
        size -= 1
        items[size], values[size] = codes[worst], scores[worst]
        _sift_down(heap, size, heap[size], codes, scores)
    return items, values


@kernel
def _sift_down(
    heap: NDArray[np.int32],
    size: int,
    place: int,
    codes: NDArray[np.int32],
    scores: NDArray[np.float32],
) -> None:
    """Put a place at the root and let it sink to where nothing below is worse than it."""
    score, code = scores[place], codes[place]
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        c = heap[child]
        if child + 1 < size:
            o = heap[child + 1]
            if scores[o] < scores[c] or (scores[o] == scores[c] and codes[o] > codes[c]):
                child, c = child + 1, o
        if scores[c] > score or (scores[c] == score and codes[c] < code):
            break
        heap[parent] = c
        parent = child
    heap[parent] = place


def top(scores: NDArray[np.float32], k: int) -> Ranking:
    """The k best of a full list of scores; equal scores go by the item's number, lower first.

    >>> top(np.array([0.5, -np.inf, 2.0, 0.5], dtype=np.float32), 3).items.tolist()
    [2, 0, 3]
    """
    return top_of(np.arange(len(scores), dtype=np.int32), scores, k)


def top_of(codes: NDArray[np.int32], scores: NDArray[np.float32], k: int) -> Ranking:
    """The k best of some items, given with their scores; the same order as :func:`top`."""
    return Ranking(*take_top(codes, scores, min(k, len(codes))))


@kernel
def spread_out(
    codes: NDArray[np.int32], scores: NDArray[np.float32], n_items: int
) -> NDArray[np.float32]:
    """The full list of scores, (n_items,), of some items; all others are unscored."""
    full = np.full(n_items, np.float32(-np.inf), dtype=np.float32)
    for place in range(len(codes)):
        full[codes[place]] = scores[place]
    return full


@kernel
def rank(scores: NDArray[np.float32], target: int) -> int:
    """The rank of an item, from 1: how many items score at least as high, itself included.

    Ties count against it. 0 means that it is not ranked at all: unscored, or unknown (-1).
    """
    if target < 0 or scores[target] == -np.inf:
        return 0
    bound = scores[target]
    count = 0
    for score in scores:
        count += score >= bound
    return count
