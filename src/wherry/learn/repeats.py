"""Coming back: how likely the next event of a session is of an item that it holds already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel

LONGEST = 50
"""Events of a session, counted from its end, that a question looks at."""

RANKS = 8
"""Distinct items, counted from a session's end, whose chance of a repeat is told apart."""

_ROUNDING = 1e-5
_BY_SCORE = 0.3
"""The part of the chance of a repeat that goes by a model's scores, not by counted chances."""

_ENOUGH = 1_000_000
"""Events, the newest, that chances are counted over: they fill a table of 432 many times."""

_TIMES = 3
_PRIOR = 20.0
"""Questions' worth of trust in the chance over all numbers of times."""


@kernel
def distinct_from_end(
    items: NDArray[np.int32], start: int, stop: int, found: NDArray[np.int32]
) -> int:
    """Fill ``found`` with the places of the latest event of each distinct item, latest first."""
    size = 0
    place = stop - 1
    while place >= start and size < len(found):
        is_new = True
        for other in range(size):
            if items[found[other]] == items[place]:
                is_new = False
                break
        if is_new:
            found[size] = place
            size += 1
        place -= 1
    return size


@kernel
def _row(items: NDArray[np.int32], start: int, stop: int, n_distinct: int) -> int:
    """The row of a table: distinct items so far, and whether the last two events are alike."""
    alike = stop - start > 1 and items[stop - 1] == items[stop - 2]
    return 2 * min(n_distinct, RANKS) + (1 if alike else 0)


@kernel
def _times(items: NDArray[np.int32], start: int, stop: int, item: int) -> int:
    """The column of a table: how often the item was met, from 0 for once."""
    count = 0
    for place in range(start, stop):
        count += items[place] == item
    return min(count, _TIMES) - 1


@kernel
def count_repeats(offsets: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray[np.float32]:
    """The chances of a repeat, (2 · 9, 8, 3): ``table[2 d + a, r, t]`` is the chance that the next
    event is of the ``r``-th latest of ``d`` distinct items, met ``t + 1`` times, where ``a`` is 1
    if the last two events are of one item.

    Counted over every prefix of the newest sessions, a million events of them. Rows and ranks
    are smoothed by one more event without a repeat; the numbers of times, towards what they
    come to together.
    """
    hits = np.zeros((2 * (RANKS + 1), RANKS, _TIMES), dtype=np.float64)
    asked = np.zeros(hits.shape, dtype=np.float64)
    places = np.empty(RANKS, dtype=np.int32)
    oldest = np.searchsorted(offsets, offsets[-1] - _ENOUGH)
    for session in range(oldest, len(offsets) - 1):
        for event in range(offsets[session] + 1, offsets[session + 1]):
            start = max(offsets[session], event - LONGEST)
            size = distinct_from_end(items, start, event, places)
            row = _row(items, start, event, size)
            for rank in range(size):
                item = items[places[rank]]
                times = _times(items, start, event, item)
                asked[row, rank, times] += 1
                hits[row, rank, times] += item == items[event]
    table = np.zeros(hits.shape, dtype=np.float32)
    for row in range(len(table)):
        for rank in range(RANKS):
            mean = hits[row, rank].sum() / (asked[row, rank].sum() + 1)
            for times in range(_TIMES):
                gained = hits[row, rank, times] + _PRIOR * mean
                table[row, rank, times] = gained / (asked[row, rank, times] + _PRIOR)
    return table


@kernel
def repeat_chances(
    session: NDArray[np.int32],
    start: int,
    places: NDArray[np.int32],
    table: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The chance that each distinct item, as :func:`distinct_from_end` found them, comes next.

    Only ``session[start:]`` is looked at. Items further back than the table reaches get 0.
    """
    chances = np.zeros(len(places), dtype=np.float32)
    row = _row(session, start, len(session), len(places))
    for rank in range(min(len(places), RANKS)):
        times = _times(session, start, len(session), session[places[rank]])
        chances[rank] = table[row, rank, times]
    return chances


@kernel
def own_scores(
    scores: NDArray[np.float32], chances: NDArray[np.float32], others: float
) -> NDArray[np.float32]:
    """The scores of a session's own items, so that they take as much as repeats do.

    ``others`` is what all other items score together; next to nothing is none, being but the
    rounding of a sum. All own items together get the odds of a
    repeat times that: 30% parted by their ``scores``, the rest by their ``chances``.
    """
    came = chances.copy()
    again, own = chances.sum(), scores.sum()
    if again <= 0 or others <= _ROUNDING * (own + others):
        return came
    likely = min(again, np.float32(0.95))
    whole = likely / (1 - likely) * others
    by_score = _BY_SCORE if own > 0 else 0.0
    for place in range(len(came)):
        share = (1 - by_score) * chances[place] / again
        if own > 0:
            share += by_score * scores[place] / own
        came[place] = whole * share
    return came


def own_parts(
    scores: NDArray[np.floating], chances: NDArray[np.float32], others: float
) -> tuple[NDArray[np.float64], float]:
    """What :func:`own_scores` is made of: the part that goes by counted chances, (n,), and by how
    much ``scores`` are multiplied to give the other part."""
    came = own_scores(scores.astype(np.float32), chances, others).astype(np.float64)
    own = float(scores.sum())
    if own <= 0 or np.array_equal(came, chances):  # then it is chances alone
        return came, 0.0
    factor = _BY_SCORE * float(came.sum()) / own
    return came - factor * scores, factor


@kernel
def share_out(
    scores: NDArray[np.float32],
    session: NDArray[np.int32],
    repeats: NDArray[np.float32],
    repeat: float,
) -> None:
    """Turn logits into shares, with the session's own items weighed by the chance of a repeat.

    Changes ``scores`` (n_items,) in place: the softmax of what is not ``-inf``, the own items
    as :func:`own_scores` has them, times ``repeat``.
    """
    highest = scores.max()
    if highest == -np.inf:
        return
    total = 0.0
    for item in range(len(scores)):
        if scores[item] > -np.inf:
            scores[item] = np.exp(scores[item] - highest)
            total += scores[item]
    for item in range(len(scores)):
        if scores[item] > -np.inf:
            scores[item] /= total
    session = session[max(0, len(session) - LONGEST) :]
    places = np.empty(len(session), dtype=np.int32)
    places = places[: distinct_from_end(session, 0, len(session), places)]
    own = session[places]
    chances = repeat_chances(session, 0, places, repeats)
    found = np.maximum(scores[own], np.float32(0))
    others = max(np.float32(1) - found.sum(), np.float32(0))
    weighed = own_scores(found, chances, others)
    for back in range(len(own)):
        scores[own[back]] = repeat * weighed[back]
