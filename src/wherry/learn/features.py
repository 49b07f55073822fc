"""Candidates of a session and their features: one piece of code for training and for serving."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import INTERACTION_TYPES
from wherry.learn.arrays import frozen
from wherry.learn.kernel import kernel
from wherry.learn.neighbours import Index, Scratch, Weights, match, scale, score_further, spread
from wherry.learn.pairs import count_pairs
from wherry.learn.ranking import take_top
from wherry.learn.repeats import LONGEST, distinct_from_end, own_scores, repeat_chances
from wherry.learn.sessions import DAY_MS, Sessions

FEATURES = (
    # what the retrievers say of an item
    "knn",  # its share of the scores of the neighbours
    "knn_of_best",  # the same, as a share of the best item's
    "further",  # the same after the second step
    "near",  # its share among what stands near the session's items
    "near_last",  # the same for the last item alone
    "near_before",  # the same for the distinct item before it
    "follows_last",  # how often it came just after the last item
    "lists",  # of how many of the session's items it stands in the list
    "place",  # its place when ordered by the first stage
    "first",  # what the first stage scores it
    # repeats
    "back",  # distinct items since it was met in the session, -1 if it was not
    "since",  # events since then, -1
    "times",  # how often it was met
    "chance",  # of a repeat, as counted
    "followed",  # how often it came just after the last item in this very session
    # the item
    "seen",  # log of its events
    "seen_lately",  # log of its events of late, halved for every week
    "age",  # days between its first event and the end of training
    "repeated",  # share of its events that are repeats
    "bought",  # share of its events that are adds or purchases
    # the session, the same for all its candidates
    "length",
    "distinct",
    "alike",  # the last two events are of one item
    "again",  # the chance of any repeat
    "neighbours",  # log of how many sessions share an item
    "best",  # the best item's share of the scores
    "last_seen",  # log of the last item's events
)
"""The columns of a matrix of features, in order."""

_WEEK = 7.0


class Facts(NamedTuple):
    """What is known of items beside the index: columns of features, (n_items,), and pairs.

    The items that came just after item ``i`` are those of ``next_items`` from
    ``next_offsets[i]`` to ``next_offsets[i + 1]``, with their shares.
    """

    seen: NDArray[np.float32]
    seen_lately: NDArray[np.float32]
    age: NDArray[np.float32]
    repeated: NDArray[np.float32]
    bought: NDArray[np.float32]
    next_offsets: NDArray[np.int64]
    next_items: NDArray[np.int32]
    next_weights: NDArray[np.float32]

    @classmethod
    def of(cls, sessions: Sessions) -> Self:
        """Count what sessions tell of each item."""
        n_items, items = sessions.n_items, sessions.items
        counts = sessions.item_counts()
        end = sessions.times[-1] if sessions.n_events else 0
        ages = (sessions.times.max(initial=end) - sessions.times) / DAY_MS
        first = np.zeros(n_items)
        np.maximum.at(first, items, ages)
        lately = np.bincount(items, np.exp2(-np.minimum(ages / _WEEK, 60)), n_items)
        acted = sessions.types >= INTERACTION_TYPES.index("add")
        following = count_pairs(
            sessions.offsets,
            items,
            np.ones(sessions.n_events, dtype=np.float32),
            np.ones(n_items, dtype=np.float32),
            window=1,
            spread=1.0,
            backwards=0.0,
            keep=100,
            latest=5_000,
        )
        return cls.frozen(
            np.log1p(counts),
            np.log1p(lately),
            first,
            np.bincount(items, _is_repeat(sessions.offsets, items, n_items), n_items)
            / (counts + 5),
            np.bincount(items, acted, n_items) / (counts + 5),
            *following,
        )

    @classmethod
    def frozen(cls, *arrays: NDArray[np.generic]) -> Self:
        """Facts of read-only arrays, in the order of the fields, of the types that kernels take."""
        types = (*(np.float32,) * 5, np.int64, np.int32, np.float32)
        return cls(*(frozen(array, dtype) for array, dtype in zip(arrays, types, strict=True)))


class Room(NamedTuple):
    """Room for one question at a time; the rows are 0 between two questions."""

    knn: NDArray[np.float32]
    near: NDArray[np.float32]
    near_last: NDArray[np.float32]
    near_before: NDArray[np.float32]
    follows: NDArray[np.float32]
    lists: NDArray[np.float32]
    is_head: NDArray[np.float32]

    @classmethod
    def of(cls, n_items: int) -> Self:
        """Room for questions about so many items."""
        return cls(*(np.zeros(n_items, dtype=np.float32) for _ in cls._fields))


@kernel
def _is_repeat(
    offsets: NDArray[np.int64], items: NDArray[np.int32], n_items: int
) -> NDArray[np.float64]:
    """1 for the events on an item that was met earlier in the same session."""
    latest = np.full(n_items, -1, dtype=np.int64)
    found = np.zeros(len(items), dtype=np.float64)
    for session in range(len(offsets) - 1):
        for event in range(offsets[session], offsets[session + 1]):
            found[event] = latest[items[event]] == session
            latest[items[event]] = session
    return found


@kernel
def describe(
    session: NDArray[np.int32],
    index: Index,
    facts: Facts,
    scratch: Scratch,
    room: Room,
    weights: Weights,
    near: float,
    n_candidates: int,
    shares: NDArray[np.float32],
    further: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """What the first stage retrieves for a session: items and scores, and the
    features, (n, F), of the best ``n_candidates``, which come first.

    The scores blend those of the kNN's second step with the shares among what stands near,
    which weigh ``near`` of the whole; the session's own items come back as repeats do. Where
    another retriever gives each item a share, (n_items,) or none, it is added, and the items
    that it retrieves, ``further``, are as well.
    """
    start = max(0, len(session) - LONGEST)
    session = session[start:]
    places = np.empty(len(session), dtype=np.int32)
    places = places[: distinct_from_end(session, 0, len(session), places)]
    own = session[places]
    chances = repeat_chances(session, 0, places, index.repeats)

    n_touched = match(session, places, index, scratch, weights.decay)
    size = spread(n_touched, index, scratch, weights)
    scale(size, scratch)
    best = np.float32(0)
    for item in scratch.scored[:size]:
        room.knn[item] = scratch.scores[item]
        best = max(best, scratch.scores[item])
    size = score_further(size, index, scratch, weights.further)
    scale(size, scratch)
    size = _look_near(session, places, size, index, facts, scratch, room, weights.decay)
    for item in own:
        if scratch.scores[item] == 0 and room.near[item] == 0 and room.follows[item] == 0:
            scratch.scored[size] = item
            size += 1
    found = scratch.scored[:size].copy()
    scores = _first_stage(found, own, chances, scratch, room, near)
    if len(shares) > 0:
        found, scores = _add_shares(found, scores, own, shares, further, scratch, room)
        size = len(found)
    found, scores = _head_first(found, scores, n_candidates, room)
    n = min(n_candidates, size)
    rows = np.zeros((n, len(FEATURES)), dtype=np.float32)
    for place in range(n):
        item, row = found[place], rows[place]
        row[0], row[1] = room.knn[item], room.knn[item] / best if best > 0 else 0.0
        row[2], row[3] = scratch.scores[item], room.near[item]
        row[4], row[5] = room.near_last[item], room.near_before[item]
        row[6], row[7] = room.follows[item], room.lists[item]
        row[8], row[9] = place, scores[place]
        row[10] = row[11] = -1
        row[15], row[16] = facts.seen[item], facts.seen_lately[item]
        row[17], row[18], row[19] = facts.age[item], facts.repeated[item], facts.bought[item]
    _describe_repeats(rows, found, session, places, chances)
    alike = len(session) > 1 and session[-1] == session[-2]
    rows[:, 20], rows[:, 21], rows[:, 22] = len(session), len(own), alike
    rows[:, 23], rows[:, 24], rows[:, 25] = chances.sum(), np.log1p(n_touched), best
    rows[:, 26] = facts.seen[session[-1]]
    for item in found:
        scratch.scores[item] = 0
        room.knn[item] = room.near[item] = room.lists[item] = 0
        room.near_last[item] = room.near_before[item] = room.follows[item] = 0
    return found, scores, rows


@kernel
def _look_near(
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    size: int,
    index: Index,
    facts: Facts,
    scratch: Scratch,
    room: Room,
    decay: float,
) -> int:
    """Fill the room with what stands near the session's items; returns how many are reached."""
    strengths = 1 / (len(session) - places).astype(np.float32) ** decay
    strengths /= strengths.sum()
    for back in range(len(places)):
        item = session[places[back]]
        for place in range(index.near_offsets[item], index.near_offsets[item + 1]):
            other = index.near_items[place]
            if scratch.scores[other] == 0 and room.near[other] == 0:
                scratch.scored[size] = other
                size += 1
            share = index.near_weights[place]
            room.near[other] += np.float32(strengths[back] * share)
            room.lists[other] += 1
            if back == 0:
                room.near_last[other] = share
            elif back == 1:
                room.near_before[other] = share
    last = session[-1]
    for place in range(facts.next_offsets[last], facts.next_offsets[last + 1]):
        other = facts.next_items[place]
        if scratch.scores[other] == 0 and room.near[other] == 0:
            scratch.scored[size] = other
            size += 1
        room.follows[other] = facts.next_weights[place]
    return size


@kernel
def _first_stage(
    found: NDArray[np.int32],
    own: NDArray[np.int32],
    chances: NDArray[np.float32],
    scratch: Scratch,
    room: Room,
    near: float,
) -> NDArray[np.float32]:
    """The scores by which candidates are taken, in the order of ``found``."""
    mixed = np.empty(len(own), dtype=np.float32)
    for back in range(len(own)):
        item = own[back]
        mixed[back] = (1 - near) * scratch.scores[item] + near * room.near[item]
    came = own_scores(mixed, chances, max(np.float32(1) - mixed.sum(), np.float32(0.05)))
    scores = np.empty(len(found), dtype=np.float32)
    for place in range(len(found)):
        item = found[place]
        scores[place] = (1 - near) * scratch.scores[item] + near * room.near[item]
        for back in range(len(own)):
            if own[back] == item:
                scores[place] = came[back]
    return scores


@kernel
def _add_shares(
    found: NDArray[np.int32],
    scores: NDArray[np.float32],
    own: NDArray[np.int32],
    shares: NDArray[np.float32],
    further: NDArray[np.int32],
    scratch: Scratch,
    room: Room,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Add another retriever's shares to the scores, and its items to those found."""
    items = np.empty(len(found) + len(further), dtype=np.int32)
    items[: len(found)] = found
    size = len(found)
    for item in further:
        is_known = scratch.scores[item] != 0 or room.near[item] != 0 or room.follows[item] != 0
        for other in own:
            is_known = is_known or other == item
        if not is_known:
            items[size] = item
            size += 1
    added = np.zeros(size, dtype=np.float32)
    added[: len(found)] = scores
    for place in range(size):
        added[place] += shares[items[place]]
    return items[:size].copy(), added


@kernel
def _head_first(
    found: NDArray[np.int32], scores: NDArray[np.float32], n: int, room: Room
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Move the ``n`` best to the front, the best first; the others follow in no order."""
    head, values = take_top(found, scores, min(n, len(found)))
    for item in head:
        room.is_head[item] = 1
    items, ordered = np.empty_like(found), np.empty_like(scores)
    items[: len(head)], ordered[: len(head)] = head, values
    size = len(head)
    for place in range(len(found)):
        if room.is_head[found[place]] == 0:
            items[size], ordered[size] = found[place], scores[place]
            size += 1
    for item in head:
        room.is_head[item] = 0
    return items, ordered


@kernel
def _describe_repeats(
    rows: NDArray[np.float32],
    found: NDArray[np.int32],
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    chances: NDArray[np.float32],
) -> None:
    """Fill the features of the candidates that the session holds already."""
    for place in range(len(rows)):
        for back in range(len(places)):
            if session[places[back]] != found[place]:
                continue
            row = rows[place]
            row[10], row[11] = back, len(session) - 1 - places[back]
            row[13] = chances[back]
            for event in range(len(session)):
                if session[event] == found[place]:
                    row[12] += 1
                    if event and session[event - 1] == session[-1]:
                        row[14] += 1
