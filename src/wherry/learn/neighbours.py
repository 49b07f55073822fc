"""The loops of the session kNN: an index of sessions by item, and one question put to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wherry.learn.kernel import kernel

LONGEST = 50
"""Events of a session, counted from its end, that a question looks at."""

REACH = 30
"""Events of a neighbour, on each side of the match, that get a score."""

_RANKS = 8
"""Distinct items, counted from a session's end, whose chance of a repeat is told apart."""


class Index(NamedTuple):
    """Past sessions, reachable by item. Item ``i`` stands in the sessions
    ``posting_sessions[posting_offsets[i]:posting_offsets[i + 1]]``, newest first, the last
    time at the event ``posting_events[…]``.

    ``repeats[d, r]`` is the chance that, after ``d`` distinct items, the next event is of the
    ``r``-th latest of them.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    posting_offsets: NDArray[np.int64]
    posting_sessions: NDArray[np.int32]
    posting_events: NDArray[np.int32]
    match_weights: NDArray[np.float32]
    item_weights: NDArray[np.float32]
    session_weights: NDArray[np.float32]
    repeats: NDArray[np.float32]

    @staticmethod
    def dtypes() -> tuple[DTypeLike, ...]:
        """The type of each array, in order."""
        whole, half, real = np.int64, np.int32, np.float32
        return (whole, half, whole, half, half, real, real, real, real)


class Scratch(NamedTuple):
    """Room for one question at a time; the sums are 0 between two questions."""

    similarity: NDArray[np.float32]
    touched: NDArray[np.int32]
    matches: NDArray[np.int32]
    scores: NDArray[np.float32]
    scored: NDArray[np.int32]

    @classmethod
    def of(cls, index: Index) -> Scratch:
        """Room for questions to this index."""
        n_sessions, n_items = len(index.session_weights), len(index.item_weights)
        return cls(
            similarity=np.zeros(n_sessions, dtype=np.float32),
            touched=np.empty(n_sessions, dtype=np.int32),
            matches=np.empty(n_sessions, dtype=np.int32),
            scores=np.zeros(n_items, dtype=np.float32),
            scored=np.empty(n_items, dtype=np.int32),
        )


@kernel
def index_postings(
    offsets: NDArray[np.int64], items: NDArray[np.int32], n_items: int, sample: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """List the ``sample`` latest sessions of each item, and count all that hold it.

    A counting sort. Sessions of one event tell nothing about what comes next: they are left
    out. Returns offsets, sessions, events and counts, as in :class:`Index`.
    """
    latest = np.full(n_items, -1, dtype=np.int64)  # the session an item was last met in
    frequency = np.zeros(n_items, dtype=np.int64)
    for session in range(len(offsets) - 1):
        if offsets[session + 1] - offsets[session] > 1:
            for event in range(offsets[session], offsets[session + 1]):
                if latest[items[event]] != session:
                    latest[items[event]] = session
                    frequency[items[event]] += 1
    starts = np.zeros(n_items + 1, dtype=np.int64)
    for item in range(n_items):
        starts[item + 1] = starts[item] + min(frequency[item], sample)
    free = starts[:-1].copy()
    sessions = np.empty(starts[-1], dtype=np.int32)
    events = np.empty(starts[-1], dtype=np.int32)
    latest[:] = -1
    for session in range(len(offsets) - 2, -1, -1):
        if offsets[session + 1] - offsets[session] > 1:
            for event in range(offsets[session + 1] - 1, offsets[session] - 1, -1):
                item = items[event]
                if latest[item] != session and free[item] < starts[item + 1]:
                    latest[item] = session
                    sessions[free[item]], events[free[item]] = session, event
                    free[item] += 1
    return starts, sessions, events, frequency


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
def count_repeats(offsets: NDArray[np.int64], items: NDArray[np.int32]) -> NDArray[np.float32]:
    """The chances of a repeat, as in :class:`Index`; each row is smoothed by one more event."""
    hits = np.zeros((_RANKS + 1, _RANKS), dtype=np.float64)
    asked = np.ones(_RANKS + 1, dtype=np.float64)
    places = np.empty(_RANKS, dtype=np.int32)
    for session in range(len(offsets) - 1):
        for event in range(offsets[session] + 1, offsets[session + 1]):
            start = max(offsets[session], event - LONGEST)
            size = distinct_from_end(items, start, event, places)
            asked[size] += 1
            for back in range(size):
                if items[places[back]] == items[event]:
                    hits[size, back] += 1
                    break
    return (hits / asked.reshape(-1, 1)).astype(np.float32)


@kernel
def answer(
    session: NDArray[np.int32],
    index: Index,
    scratch: Scratch,
    neighbours: int,
    decay: float,
    spread: float,
    repeat: float,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Score what the neighbours of a session hold: the items, once each, and their scores."""
    places = np.empty(min(len(session), LONGEST), dtype=np.int32)
    start = max(0, len(session) - LONGEST)
    n_distinct = distinct_from_end(session, start, len(session), places)
    places = places[:n_distinct]
    n_touched = _match(session, places, index, scratch, decay)
    n_scored = _spread(n_touched, index, scratch, neighbours, spread)
    n_scored = _come_back(session, places, n_scored, index, scratch, repeat)
    items = np.empty(n_scored, dtype=np.int32)
    scores = np.empty(n_scored, dtype=np.float32)
    size = 0
    for item in scratch.scored[:n_scored]:
        if scratch.scores[item] > 0:
            items[size], scores[size] = item, scratch.scores[item]
            size += 1
        scratch.scores[item] = 0
    return items[:size], scores[:size]


@kernel
def _match(
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    index: Index,
    scratch: Scratch,
    decay: float,
) -> int:
    """Sum up the similarity of every session that shares an item; returns how many do."""
    similarity, touched, matches = scratch.similarity, scratch.touched, scratch.matches
    size = 0
    for place in places:
        item = session[place]
        weight = np.float32(index.match_weights[item] / (len(session) - place) ** decay)
        for posting in range(index.posting_offsets[item], index.posting_offsets[item + 1]):
            other = index.posting_sessions[posting]
            if similarity[other] == 0:
                touched[size], matches[size] = other, index.posting_events[posting]
                size += 1
            similarity[other] += weight
    return size


@kernel
def _spread(n_touched: int, index: Index, scratch: Scratch, neighbours: int, spread: float) -> int:
    """Let the most similar sessions score their items; returns how many items are scored."""
    similar = np.empty(n_touched, dtype=np.float32)
    for place in range(n_touched):
        other = scratch.touched[place]
        similar[place] = scratch.similarity[other] * index.session_weights[other]
        scratch.similarity[other] = 0
    bound, at_bound = _bound(similar, neighbours)
    by_distance = 1 / np.maximum(np.arange(REACH + 1), 1).astype(np.float32) ** spread
    scores, scored = scratch.scores, scratch.scored
    size = 0
    total = 0.0
    for place in range(n_touched):
        if similar[place] < bound:
            continue
        if similar[place] == bound:  # of equals, those met first: by the latest items, newest
            if at_bound == 0:
                continue
            at_bound -= 1
        other, match = scratch.touched[place], scratch.matches[place]
        first = max(index.offsets[other], match - REACH)
        last = min(index.offsets[other + 1], match + REACH + 1)
        for event in range(first, last):
            item = index.items[event]
            gain = similar[place] * by_distance[abs(event - match)] * index.item_weights[item]
            if scores[item] == 0:
                scored[size] = item
                size += 1
            scores[item] += gain
            total += gain
    for item in scored[:size]:
        scores[item] /= total
    return size


@kernel
def _bound(similar: NDArray[np.float32], neighbours: int) -> tuple[np.float32, int]:
    """The similarity of the last neighbour, and how many neighbours have just that."""
    if len(similar) <= neighbours:
        return np.float32(0), len(similar)
    bound = np.partition(similar, len(similar) - neighbours)[len(similar) - neighbours]
    return bound, neighbours - np.sum(similar > bound)


@kernel
def _come_back(
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    n_scored: int,
    index: Index,
    scratch: Scratch,
    repeat: float,
) -> int:
    """Weigh the session's own items by the chance of a repeat; returns how many are scored."""
    chances = index.repeats[min(len(places), len(index.repeats) - 1)]
    again = min(chances.sum(), np.float32(0.95))
    odds = again / (1 - again)
    for back in range(len(places)):
        item = session[places[back]]
        if scratch.scores[item] == 0:
            scratch.scored[n_scored] = item
            n_scored += 1
        chance = chances[back] if back < len(chances) else np.float32(0)
        scratch.scores[item] = repeat * (scratch.scores[item] * odds + chance)
    return n_scored
