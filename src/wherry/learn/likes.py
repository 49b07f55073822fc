"""Likes: for each item, the items whose texts are most like its own, as a short list."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel
from wherry.learn.pairs import Near
from wherry.learn.ranking import take_top
from wherry.learn.texts import Terms

BUDGET = 50_000
"""Comparisons an item, the rarest terms first: a bound on the cost of common words."""


def find_likes(
    terms: Terms, sources: NDArray[np.bool_], among: NDArray[np.bool_], keep: int
) -> Near:
    """The ``keep`` items of ``among`` most like each of ``sources``, of equals the lower number.

    Both masks are (n_items,). The weight of a likeness is the squared cosine of the two texts, in
    (0, 1]. An item is not like itself. Words so common that they would take an item's comparisons
    beyond ``BUDGET`` don't count, and an item that shares no others is not found.
    """
    return _find(terms.offsets, terms.terms, terms.weights, terms.n_terms, sources, among, keep)


@kernel
def _find(
    offsets: NDArray[np.int64],
    terms: NDArray[np.int32],
    weights: NDArray[np.float32],
    n_terms: int,
    sources: NDArray[np.bool_],
    among: NDArray[np.bool_],
    keep: int,
) -> Near:
    n_items = len(sources)
    starts, owners, shares = _postings(offsets, terms, weights, n_terms, among)
    row = np.zeros(n_items, dtype=np.float32)
    touched = np.empty(n_items, dtype=np.int32)
    like_offsets = np.zeros(n_items + 1, dtype=np.int64)
    likes = np.empty(np.count_nonzero(sources) * min(keep, n_items), dtype=np.int32)
    values = np.empty(len(likes), dtype=np.float32)
    size = 0
    for item in range(n_items):
        n_touched = 0
        left = BUDGET
        for place in range(offsets[item], offsets[item + 1] if sources[item] else offsets[item]):
            term = terms[place]
            left -= starts[term + 1] - starts[term]
            if left < 0:
                break
            for posting in range(starts[term], starts[term + 1]):
                other = owners[posting]
                gain = weights[place] * shares[posting]
                if other == item or gain <= 0:
                    continue
                if row[other] == 0:
                    touched[n_touched] = other
                    n_touched += 1
                row[other] += gain
        found = touched[:n_touched]
        best, cosines = take_top(found, row[found], min(keep, n_touched))
        likes[size : size + len(best)] = best
        values[size : size + len(best)] = np.minimum(cosines * cosines, np.float32(1))
        size += len(best)
        for other in found:
            row[other] = 0
        like_offsets[item + 1] = size
    return Near(like_offsets, likes[:size].copy(), values[:size].copy())


@kernel
def _postings(
    offsets: NDArray[np.int64],
    terms: NDArray[np.int32],
    weights: NDArray[np.float32],
    n_terms: int,
    among: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Which items of ``among`` have each term, and with what weight (a counting sort)."""
    starts = np.zeros(n_terms + 1, dtype=np.int64)
    for item in range(len(among)):
        if among[item]:
            for place in range(offsets[item], offsets[item + 1]):
                starts[terms[place] + 1] += 1
    starts = np.cumsum(starts)
    free = starts[:-1].copy()
    owners = np.empty(starts[-1], dtype=np.int32)
    shares = np.empty(starts[-1], dtype=np.float32)
    for item in range(len(among)):
        if among[item]:
            for place in range(offsets[item], offsets[item + 1]):
                spot = free[terms[place]]
                owners[spot], shares[spot] = item, weights[place]
                free[terms[place]] += 1
    return starts, owners, shares
