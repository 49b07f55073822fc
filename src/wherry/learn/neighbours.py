"""The loops of the session kNN: an index of sessions by item, and one question put to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wherry.learn.kernel import kernel
from wherry.learn.questions import Questions, Rankings, keep
from wherry.learn.ranking import take_top
from wherry.learn.repeats import LONGEST, distinct_from_end, own_scores, repeat_chances

REACH = 30
"""Events of a neighbour, on each side of the match, that get a score."""

FANNED = 50
"""Items, the best so far, whose own neighbours are looked at in the second step."""


class Index(NamedTuple):
    """Past sessions, reachable by item. Item ``i`` stands in the sessions
    ``posting_sessions[posting_offsets[i]:posting_offsets[i + 1]]``, newest first, the last
    time at the event ``posting_events[…]``.

    ``repeats`` is the table of :func:`wherry.learn.repeats.count_repeats`, and the ``near_…``
    are the lists of :class:`wherry.learn.pairs.Near`.
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
    near_offsets: NDArray[np.int64]
    near_items: NDArray[np.int32]
    near_weights: NDArray[np.float32]

    @staticmethod
    def dtypes() -> tuple[DTypeLike, ...]:
        """The type of each array, in order."""
        whole, half, real = np.int64, np.int32, np.float32
        return (whole, half, whole, half, half, real, real, real, real, whole, half, real)


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


class Weights(NamedTuple):
    """How an answer weighs what it finds; see :class:`wherry.learn.knn.SessionKNN`."""

    neighbours: int
    decay: float
    sharpness: float
    spread: float
    further: float
    repeat: float


@kernel
def answer(
    session: NDArray[np.int32], index: Index, scratch: Scratch, weights: Weights
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Score what the neighbours of a session hold: the items, once each, and their scores."""
    places = np.empty(min(len(session), LONGEST), dtype=np.int32)
    start = max(0, len(session) - LONGEST)
    n_distinct = distinct_from_end(session, start, len(session), places)
    places = places[:n_distinct]
    n_touched = match(session, places, index, scratch, weights.decay)
    n_scored = spread(n_touched, index, scratch, weights)
    n_scored = score_further(n_scored, index, scratch, weights.further)
    scale(n_scored, scratch)
    n_scored = _come_back(session, start, places, n_scored, index, scratch, weights.repeat)
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
def best(
    session: NDArray[np.int32], index: Index, scratch: Scratch, weights: Weights, k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best of :func:`answer`, the best first: one call, so that nothing is passed twice."""
    items, scores = answer(session, index, scratch, weights)
    return take_top(items, scores, min(k, len(items)))


@kernel
def best_of_each(
    questions: Questions,
    index: Index,
    scratch: Scratch,
    weights: Weights,
    k: int,
    found: Rankings,
) -> None:
    """:func:`best` for many sessions."""
    for row in range(len(questions.offsets) - 1):
        session = questions.items[questions.offsets[row] : questions.offsets[row + 1]]
        keep(found, row, *best(session, index, scratch, weights, k))


@kernel
def match(
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
def spread(n_touched: int, index: Index, scratch: Scratch, weights: Weights) -> int:
    """Let the most similar sessions score their items; returns how many items are scored.

    The scores are in no unit until :func:`scale`. What indexes in the inner loop is unsigned:
    a signed index is asked each time whether it counts from the end.
    """
    similar = powered(n_touched, index, scratch, weights.sharpness)
    bound, at_bound = nth_best(similar, weights.neighbours)
    by_distance = 1 / np.maximum(np.arange(REACH + 1), 1).astype(np.float32) ** weights.spread
    scores, scored = scratch.scores, scratch.scored
    size = 0
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
            item = np.uintp(index.items[np.uintp(event)])
            near = similar[place] * by_distance[np.uintp(abs(event - match))]
            before = scores[item]
            if before == 0:
                scored[np.uintp(size)] = item
                size += 1
            scores[item] = before + near * index.item_weights[item]
    return size


@kernel
def powered(
    n_touched: int, index: Index, scratch: Scratch, sharpness: float
) -> NDArray[np.float32]:
    """The similarities to a power, times the sessions' weights; clears them for the next time."""
    similar = np.empty(n_touched, dtype=np.float32)
    latest, power = np.float32(0), 0.0
    for place in range(n_touched):
        other = scratch.touched[place]
        if scratch.similarity[other] != latest:  # those that share one item alone are alike
            latest = scratch.similarity[other]
            power = latest**sharpness
        similar[place] = power * index.session_weights[other]
        scratch.similarity[other] = 0
    return similar


@kernel
def nth_best(similar: NDArray[np.float32], neighbours: int) -> tuple[np.float32, int]:
    """The similarity of the last of the most similar, and how many of them have just that."""
    if len(similar) <= neighbours:
        return np.float32(0), len(similar)
    bound = np.partition(similar, len(similar) - neighbours)[len(similar) - neighbours]
    return bound, neighbours - np.sum(similar > bound)


@kernel
def score_further(n_scored: int, index: Index, scratch: Scratch, further: float) -> int:
    """Let the best items score the items near them; returns how many items are scored.

    It leaves the unit of the scores as it is, but no longer their sum: see :func:`scale`.
    """
    scores, scored = scratch.scores, scratch.scored
    found = np.empty(n_scored, dtype=np.float32)
    for place in range(n_scored):
        found[place] = further * scores[scored[place]]
    bound, _ = nth_best(found, FANNED)
    size = n_scored
    for place in range(n_scored):
        given = found[place]
        if given < bound or given <= 0:
            continue
        item = scored[place]
        for near in range(index.near_offsets[item], index.near_offsets[item + 1]):
            other = np.uintp(index.near_items[np.uintp(near)])
            before = scores[other]
            if before == 0:
                scored[np.uintp(size)] = other
                size += 1
            scores[other] = before + given * index.near_weights[np.uintp(near)]
    return size


@kernel
def scale(n_scored: int, scratch: Scratch) -> None:
    """Let the scores sum to 1."""
    scores, scored = scratch.scores, scratch.scored
    total = 0.0
    for place in range(n_scored):
        total += scores[scored[place]]
    for place in range(n_scored):
        scores[scored[place]] /= total


@kernel
def _come_back(
    session: NDArray[np.int32],
    start: int,
    places: NDArray[np.int32],
    n_scored: int,
    index: Index,
    scratch: Scratch,
    repeat: float,
) -> int:
    """Weigh the session's own items by the chance of a repeat; returns how many are scored."""
    chances = repeat_chances(session, start, places, index.repeats)
    found = scratch.scores[session[places]]
    own = own_scores(found, chances, 1 - found.sum())
    for back in range(len(places)):
        item = session[places[back]]
        if scratch.scores[item] == 0:
            scratch.scored[n_scored] = item
            n_scored += 1
        scratch.scores[item] = repeat * own[back]
    return n_scored
