"""Places for the names of dots, so that a name covers no dot and no other name.

Positions along x are shares of the drawing's width, which nobody knows beforehand, and lengths
are points: what must not touch is held apart at every width from a phone's to a wide page's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

PHONE, DESK, PAGE = 280.0, 500.0, 1140.0
"""Widths of a drawing, in points: the least, that beside another plot, and the most."""

GAP = 11.0
"""From the middle of a dot to its name."""

_RADIUS, _HALF_LINE, _STEP, _CLOSE = 6.5, 7.0, 3.5, 45.0


class Mark(msgspec.Struct, frozen=True):
    """A dot at the share ``x`` of the width and at ``y`` from the top, its whisker from ``high``
    down to ``low``, and the ``length`` of its name."""

    x: float
    y: float
    low: float
    high: float
    length: float


class Label(msgspec.Struct, frozen=True):
    """Where a name goes: the middle of its line, on the right of the dot or on its left."""

    y: float
    is_right: bool


class _Box(msgspec.Struct, frozen=True):
    """From ``x * width + left`` to ``x * width + right`` across, at every width."""

    x: float
    left: float
    right: float
    top: float
    bottom: float

    def touches(self, other: _Box, least: float) -> bool:
        """Whether the two meet at any width from ``least`` to a page's."""
        if self.bottom <= other.top or other.bottom <= self.top:
            return False
        apart = sorted((other.x - self.x) * width for width in (least, PAGE))
        return apart[0] < self.right - other.left and apart[1] > self.left - other.right

    def lies_within(self, width: float) -> bool:
        """Whether nothing of it is cut off by the drawing's sides."""
        return self.x * width + self.left >= 0 and self.x * width + self.right <= width


def place_labels(marks: Sequence[Mark], *, top: float, bottom: float) -> list[Label | None]:
    """Find a place for each mark's name, those of the first marks first; None where it is crowded.

    The nearest to the dot is taken that covers no whisker either; where there is none close by, one
    that does, then one further away, and then one that is free on a wide page alone.
    """
    dots = [_Box(m.x, -_RADIUS, _RADIUS, m.y - _RADIUS, m.y + _RADIUS) for m in marks]
    whiskers = [_Box(m.x, -1.0, 1.0, m.high, m.low) for m in marks]
    taken: list[_Box] = []
    placed: list[Label | None] = []
    for mark in marks:
        found = _first_free(mark, top, bottom, [*dots, *taken], whiskers)
        if found is not None:
            taken.append(_box(mark, found))
        placed.append(found)
    return placed


def _first_free(
    mark: Mark, top: float, bottom: float, taken: list[_Box], whiskers: list[_Box]
) -> Label | None:
    free = [*taken, *whiskers]
    tries = (
        (free, PHONE, _CLOSE),
        (taken, PHONE, _CLOSE),
        (taken, PHONE, PAGE),
        (taken, DESK, PAGE),
    )
    for obstacles, least, away in tries:
        for label in _around(mark, max(top, mark.y - away), min(bottom, mark.y + away)):
            box = _box(mark, label)
            if box.lies_within(least) and not any(box.touches(each, least) for each in obstacles):
                return label
    return None


def _around(mark: Mark, top: float, bottom: float) -> Iterator[Label]:
    """The places for a name, the nearest first; of two as near, that towards the middle."""
    is_right = mark.x <= 0.5
    for n in range(int((bottom - top) / _STEP) + 1):
        for y in (mark.y + n * _STEP, mark.y - n * _STEP)[: 2 if n else 1]:
            if top <= y - _HALF_LINE and y + _HALF_LINE <= bottom:
                yield Label(y, is_right)
                yield Label(y, not is_right)


def _box(mark: Mark, label: Label) -> _Box:
    left, right = (GAP, GAP + mark.length) if label.is_right else (-GAP - mark.length, -GAP)
    return _Box(mark.x, left, right, label.y - _HALF_LINE, label.y + _HALF_LINE)
