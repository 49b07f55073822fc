"""An arrangement: what the rules in force make of a ranking, step by step.

Hard rules first (block, only), then boosts, then caps, then pins. An item that a hard rule keeps
out is not shown, boosted or pinned; pinned items take their share of a cap before the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherry.domain.rule import LARGEST_FACTOR, LEAST_FACTOR
from wherry.learn.ranking import Ranking

Tally = Counter[str]
"""How many places of an answer each rule changed, by the rule's name."""

_SPARE = 16
_DEEP = 1_000


class Values:
    """The values that each item has of one attribute, as rows of the catalogue's facets."""

    def __init__(
        self,
        rows: Mapping[str, int],
        offsets: NDArray[np.int64],
        members: NDArray[np.int32],
        n: int,
    ) -> None:
        counts = np.zeros(n, dtype=np.int64)
        for row in rows.values():
            counts[members[offsets[row] : offsets[row + 1]]] += 1
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._rows = np.empty(self._starts[-1], dtype=np.int32)
        filled = self._starts[:-1].copy()
        for row in rows.values():
            having = members[offsets[row] : offsets[row + 1]]
            self._rows[filled[having]] = row
            filled[having] += 1

    def of(self, codes: Sequence[int]) -> list[list[int]]:
        """The rows of each item, none if it lacks the attribute."""
        places = np.asarray(codes, dtype=np.int64)
        starts, ends = self._starts[places].tolist(), self._starts[places + 1].tolist()
        if not starts:
            return []
        if all(end - start == 1 for start, end in zip(starts, ends, strict=True)):
            return [[row] for row in self._rows[starts].tolist()]
        return [self._rows[a:b].tolist() for a, b in zip(starts, ends, strict=True)]


class Gate(NamedTuple):
    """A hard rule: the items that it lets pass, bool (n_items,)."""

    name: str
    passing: NDArray[np.bool_]


class Lift(NamedTuple):
    """A boost: the items that it is about, bool (n_items,), and its factor."""

    name: str
    items: NDArray[np.bool_]
    factor: float


class Room(NamedTuple):
    """A cap: at most so many items with one of the values."""

    name: str
    values: Values
    at_most: int


class Seat(NamedTuple):
    """A pin: an item's number and its place, from 0."""

    name: str
    code: int
    place: int


class Arrangement:
    """The rules in force for one question. Nothing changes after construction."""

    def __init__(
        self,
        gates: Sequence[Gate] = (),
        lifts: Sequence[Lift] = (),
        rooms: Sequence[Room] = (),
        seats: Sequence[Seat] = (),
    ) -> None:
        self._gates = gates
        self._lifts = lifts
        self._rooms = rooms
        self._seats = seats
        up, down = (math.prod(x(1.0, each.factor) for each in lifts) for x in (max, min))
        self._up, self._down = min(up, LARGEST_FACTOR), max(down, LEAST_FACTOR)

    def first_look(self, k: int) -> int:
        """How deep to look into a ranking at first: mostly enough for k items."""
        spare = (_SPARE if self._gates else 0) + (3 * k if self._rooms else 0)
        return math.ceil((k + spare) * self._up)

    def last_look(self, k: int) -> int:
        """How deep to look at all: enough for every boost, and for caps that can be kept."""
        return max(_DEEP, self.first_look(k), math.ceil(k * self._up / self._down))

    def within(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of the items allowed, those that the hard rules let pass, bool (n_items,)."""
        for gate in self._gates:
            allowed = allowed & gate.passing
        return allowed

    def passing(self, ranking: Ranking, k: int, tally: Tally) -> Ranking:
        """What the hard rules let pass; each counts whom it takes out of the first k."""
        if not self._gates:
            return ranking
        keep = np.ones(len(ranking.items), dtype=np.bool_)
        for gate in self._gates:
            before = np.count_nonzero(keep[:k])
            keep &= gate.passing[ranking.items]
            tally[gate.name] += int(before - np.count_nonzero(keep[:k]))
        return Ranking(ranking.items[keep], ranking.scores[keep])

    def ordered(
        self, ranking: Ranking, k: int, taken: Sequence[int], tally: Tally, *, is_whole: bool
    ) -> Ranking:
        """The k best once boosts and caps have had their say, in their new order.

        ``taken`` are items placed before, which count for the caps. Fewer than k come back where
        a ranking that is not whole can't say more: what lies beyond it might belong before.
        """
        places = self._lifted(ranking.items, k, tally, is_whole) if self._lifts else None
        if self._rooms:
            order = ranking.items if places is None else ranking.items[places]
            kept = self._roomed(order.tolist(), k, taken, tally)
            places = np.array(kept, dtype=np.int64) if places is None else places[kept]
        if places is None:
            return Ranking(ranking.items[:k], ranking.scores[:k])
        return Ranking(ranking.items[places[:k]], ranking.scores[places[:k]])

    def _lifted(
        self, codes: NDArray[np.int32], k: int, tally: Tally, is_whole: bool
    ) -> NDArray[np.int64]:
        """The places of a ranking in their boosted order, as far as that is certain."""
        factors = np.ones(len(codes))
        selected = [lift.items[codes] for lift in self._lifts]
        for lift, its in zip(self._lifts, selected, strict=True):
            factors[its] *= lift.factor
        worth = np.arange(1, len(codes) + 1) / np.clip(factors, LEAST_FACTOR, LARGEST_FACTOR)
        order = np.argsort(worth, kind="stable")
        if not is_whole:
            beyond = (len(codes) + 1) / self._up
            order = order[: np.searchsorted(worth[order], beyond, side="right")]
        head = order[:k].tolist()
        moved = [place for place, before in enumerate(head) if place != before]
        if moved:
            changed = list({head[place] for place in moved} | ({*range(k)} - {*head}))
            changed = [place for place in changed if place < len(codes)]
            for lift, its in zip(self._lifts, selected, strict=True):
                tally[lift.name] += int(np.count_nonzero(its[changed]))
        return order

    def _roomed(self, codes: list[int], k: int, taken: Sequence[int], tally: Tally) -> list[int]:
        """The places of the first k items of a list that keep to every cap."""
        held: list[dict[int, int]] = [{} for _ in self._rooms]
        for room, count in zip(self._rooms, held, strict=True):
            for own in room.values.of(taken):
                _sit(own, count)
        by_room = [room.values.of(codes) for room in self._rooms]
        kept: list[int] = []
        for place in range(len(codes)):
            for room, of_all, count in zip(self._rooms, by_room, held, strict=True):
                if any(count.get(row, 0) >= room.at_most for row in of_all[place]):
                    tally[room.name] += 1
                    break
            else:
                for of_all, count in zip(by_room, held, strict=True):
                    _sit(of_all[place], count)
                kept.append(place)
                if len(kept) == k:
                    break
        return kept

    def seated(
        self, k: int, allowed: NDArray[np.bool_], hidden: Set[int], tally: Tally
    ) -> dict[int, int]:
        """The places of the pinned items that may be shown: place, from 0 → item.

        Of two pins to one place the later goes to the next that is free; places from k on are
        none.
        """
        found: dict[int, int] = {}
        for seat in self._seats:
            place = seat.place
            while place in found:
                place += 1
            is_free = seat.code not in hidden and seat.code not in found.values()
            if place < k and is_free and self._may_show(seat.code, allowed):
                found[place] = seat.code
                tally[seat.name] += 1
        return found

    def _may_show(self, code: int, allowed: NDArray[np.bool_]) -> bool:
        return bool(allowed[code]) and all(gate.passing[code] for gate in self._gates)


def _sit(rows: list[int], held: dict[int, int]) -> None:
    for row in rows:
        held[row] = held.get(row, 0) + 1


Look = Callable[[int, NDArray[np.bool_] | None], tuple[Ranking, bool]]
"""The best of a list, so many, within a mask of all items if one is given; and whether that is
all there is."""


def chosen(
    arrangement: Arrangement,
    look: Look,
    k: int,
    taken: list[int],
    may_show: NDArray[np.bool_],
    tally: Tally,
) -> Ranking:
    """The k best of a list under rules: from its head if that is enough, else from deep in it."""
    if k <= 0:
        return Ranking(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
    found, is_whole = look(arrangement.first_look(k), None)
    counts: Tally = Tally()
    passing = arrangement.passing(found, k, tally)
    best = arrangement.ordered(passing, k, taken, counts, is_whole=is_whole)
    if len(best.items) < k and not is_whole:
        counts = Tally()
        found, is_whole = look(arrangement.last_look(k), arrangement.within(may_show))
        best = arrangement.ordered(found, k, taken, counts, is_whole=is_whole)
    tally.update(counts)
    return best


def with_pins(
    ranked: list[int], popular: list[int], pinned: Mapping[int, int]
) -> tuple[list[int], int]:
    """A list with the pinned items at their places, and how many stand before what is popular."""
    items = [*ranked, *popular]
    for place in sorted(pinned):
        items.insert(place, pinned[place])
    if not popular:
        return items, len(items) if ranked else 0
    return items, items.index(popular[0]) if ranked else 0
