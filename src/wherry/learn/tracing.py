"""Tracing: a question put to the session kNN once more, keeping who said what.

The answer's own loops only add up. This goes over the same sums in float64 and keeps them apart:
by the items of the session that asks, by the neighbours, and by the items in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.learn.explanation import Carrier, Explanation, Neighbour, Part, heaviest_first
from wherry.learn.neighbours import (
    FANNED,
    REACH,
    Index,
    Scratch,
    Weights,
    match,
    nth_best,
    powered,
    spread,
)
from wherry.learn.repeats import LONGEST, distinct_from_end, own_parts

SHOWN = 5
"""Neighbours, and items in between, that an explanation names."""

_NEAR_MATCH = 5
"""Events of a neighbour, on each side of the match, that are shown of it."""

Real = NDArray[np.float64]
Whole = NDArray[np.int64]


def latest_places(session: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where each distinct item of a session's last 50 events was met last, the latest first."""
    places = np.empty(min(len(session), LONGEST), dtype=np.int32)
    start = max(0, len(session) - LONGEST)
    return places[: distinct_from_end(session, start, len(session), places)]


@dataclass(frozen=True, eq=False)
class Trace:
    """What became of one question; ``places`` are those of the session's distinct items.

    The chosen neighbours are ``sessions`` (N,), matched at the events ``matches``; their shares
    ``shares`` (N, D) tell by which of the session's items. Row ``r`` of what they say gives
    ``gains[r]`` from neighbour ``speakers[r]`` to item ``heard[r]``. In the second step item
    ``fanned[j]`` gives ``near_gains[r]`` to ``near_heard[r]`` where ``near_speakers[r]`` is j.
    """

    index: Index
    places: NDArray[np.int32]
    sessions: Whole
    matches: Whole
    shares: Real
    speakers: Whole
    heard: Whole
    gains: Real
    fanned: Whole
    near_speakers: Whole
    near_heard: Whole
    near_gains: Real

    def by_own(self, item: int) -> Real:
        """The item's score, after the second step, by the session's distinct items, (D,)."""
        row = self._direct(item)
        for place in np.flatnonzero(self.near_heard == item).tolist():
            through = int(self.fanned[self.near_speakers[place]])
            row = row + self._direct(through) / self._direct(through).sum() * self.near_gains[place]
        return row

    def _direct(self, item: int) -> Real:
        rows = np.flatnonzero(self.heard == item)
        found: Real = self.gains[rows] @ self.shares[self.speakers[rows]]
        return found

    def by_neighbours(self, item: int) -> tuple[Whole, Real]:
        """The neighbours that hold the item, the heaviest first, and what each gives it."""
        rows = self.heard == item
        given = np.bincount(self.speakers[rows], self.gains[rows], len(self.sessions))
        order: Whole = np.argsort(-given, kind="stable")[: np.count_nonzero(given)]
        return order, np.asarray(given[order], dtype=np.float64)

    def through(self, item: int) -> list[tuple[int, float]]:
        """The items that lead on to this one in the second step, the heaviest first."""
        rows = self.near_heard == item
        leads = self.fanned[self.near_speakers[rows]].tolist()
        pairs = zip(leads, self.near_gains[rows].tolist(), strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])

    def neighbour(self, place: int, weight: float, half_life: float) -> Neighbour:
        """A neighbour to show: a window of its items around the match, and its age."""
        session, at = self.sessions[place], self.matches[place]
        first = max(int(self.index.offsets[session]), int(at) - _NEAR_MATCH)
        last = min(int(self.index.offsets[session + 1]), int(at) + _NEAR_MATCH + 1)
        recency = float(self.index.session_weights[session])
        age = round(-log2(recency) * half_life, 1) + 0.0 if half_life > 0 else None
        return Neighbour(tuple(self.index.items[first:last].tolist()), age, weight)


def trace(session: NDArray[np.int32], index: Index, scratch: Scratch, weights: Weights) -> Trace:
    """Put a question to the kNN and keep who said what; the scratch is left as it was."""
    places = latest_places(session)
    n = match(session, places, index, scratch, weights.decay)
    touched = scratch.touched[:n].astype(np.int64)
    matches = scratch.matches[:n].astype(np.int64)
    similarity = scratch.similarity[touched]
    similar = powered(n, index, scratch, weights.sharpness)
    scratch.similarity[touched] = similarity
    chosen = _most_similar(similar, weights.neighbours)
    scored = scratch.scored[: spread(n, index, scratch, weights)].astype(np.int64)
    first = scratch.scores[scored].copy()
    scratch.scores[scored] = 0

    touched, matches, similar = touched[chosen], matches[chosen], similar[chosen]
    speakers, heard, gains = _say(touched, matches, similar, index, weights.spread)
    bound = nth_best(weights.further * first, FANNED)[0] if len(first) else np.float32(0)
    is_fanned = (weights.further * first >= bound) & (weights.further * first > 0)
    fanned, strengths = scored[is_fanned], weights.further * first[is_fanned].astype(np.float64)
    near_speakers, near_events = _runs(index.near_offsets[fanned], index.near_offsets[fanned + 1])
    near_gains = strengths[near_speakers] * index.near_weights[near_events]
    whole = gains.sum() + near_gains.sum()
    return Trace(
        index=index,
        places=places,
        sessions=touched,
        matches=matches,
        shares=_shares(session, places, touched, index, weights.decay),
        speakers=speakers,
        heard=heard,
        gains=gains / whole if len(gains) else gains,
        fanned=fanned,
        near_speakers=near_speakers,
        near_heard=index.near_items[near_events].astype(np.int64),
        near_gains=near_gains / whole,
    )


def _most_similar(similar: NDArray[np.float32], neighbours: int) -> Whole:
    """The places of the neighbours, as :func:`wherry.learn.neighbours.spread` chooses them."""
    bound, at_bound = nth_best(similar, neighbours)
    at = np.flatnonzero(similar == bound)[:at_bound]
    return np.sort(np.concatenate((np.flatnonzero(similar > bound), at)))


def _say(
    sessions: Whole, matches: Whole, similar: NDArray[np.float32], index: Index, spread: float
) -> tuple[Whole, Whole, Real]:
    """What each neighbour gives to each of its events' items: speaker, item and gain."""
    first = np.maximum(index.offsets[sessions], matches - REACH)
    last = np.minimum(index.offsets[sessions + 1], matches + REACH + 1)
    speakers, events = _runs(first, last)
    heard = index.items[events].astype(np.int64)
    distance = np.maximum(np.abs(events - matches[speakers]), 1).astype(np.float64)
    return speakers, heard, similar[speakers] / distance**spread * index.item_weights[heard]


def _runs(starts: Whole, stops: Whole) -> tuple[Whole, Whole]:
    """All numbers from each start to its stop, and which pair each is of."""
    lengths = stops - starts
    owner = np.repeat(np.arange(len(starts)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, starts[owner] + within


def _shares(
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    sessions: Whole,
    index: Index,
    decay: float,
) -> Real:
    """What part of each neighbour's similarity each distinct item brings, (N, D), rows of 1."""
    found = np.zeros((len(sessions), len(places)))
    order = np.argsort(sessions)
    for back, place in enumerate(places.tolist()):
        item = session[place]
        postings = index.posting_sessions[
            index.posting_offsets[item] : index.posting_offsets[item + 1]
        ]
        at = np.minimum(np.searchsorted(sessions[order], postings), len(sessions) - 1)
        rows = order[at[sessions[order][at] == postings]] if len(sessions) else order
        found[rows, back] = index.match_weights[item] / (len(session) - place) ** decay
    return found / found.sum(axis=1, keepdims=True) if len(found) else found


def explained(
    session: NDArray[np.int32],
    places: NDArray[np.int32],
    items: Sequence[int],
    rows: dict[int, Real],
    chances: NDArray[np.float32],
    others: float,
    *,
    repeat: float = 1.0,
) -> list[Explanation]:
    """Explanations of scores that come from the session's distinct items and from repeats.

    ``rows`` has, by item, the score that each distinct item gives it, (D,), for the wanted items
    and for the session's own; the latter come back as in :func:`.repeats.own_scores`.
    """
    own = session[places].tolist()
    backs = (len(session) - 1 - places).tolist()
    by_chance, factor = own_parts(np.array([rows[o].sum() for o in own]), chances, others)
    found = []
    for item in map(int, items):
        row, parts = rows[item], []
        if item in own:
            back = own.index(item)
            parts.append(Part(Carrier.REPEAT, repeat * float(by_chance[back]), back=backs[back]))
            row = row * (repeat * factor)
        parts += [
            Part(Carrier.HISTORY, weight, item=o, back=back)
            for o, back, weight in zip(own, backs, row.tolist(), strict=True)
        ]
        score = sum(part.weight for part in parts)
        found.append(Explanation(item=item, score=score, parts=heaviest_first(parts)))
    return found


def with_neighbours(
    explanation: Explanation,
    found: Trace,
    half_life: float,
    rows: dict[int, Real],
    *,
    share: float = 1.0,
) -> Explanation:
    """An explanation that names the neighbours and the items in between.

    ``share`` is how much of the kNN's score went into ``rows``. What those of the session's own
    items became, as they came back, the neighbours' weights become as well.
    """
    item = explanation.item
    told = sum(p.weight for p in explanation.parts if p.carrier is Carrier.HISTORY)
    whole = float(rows[item].sum())
    scale = share * told / whole if whole > 0 else 0.0
    speakers, given = found.by_neighbours(item)
    given = given * scale
    return msgspec.structs.replace(
        explanation,
        neighbours=tuple(
            found.neighbour(place, weight, half_life)
            for place, weight in zip(speakers[:SHOWN].tolist(), given.tolist(), strict=False)
        ),
        n_neighbours=len(speakers),
        by_neighbours=float(given.sum()),
        through=tuple((lead, weight * scale) for lead, weight in found.through(item)[:SHOWN]),
    )
