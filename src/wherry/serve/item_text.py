"""The items of an answer as JSON, written by one compiled loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel

_DECIMALS = 6
_UNIT = 10**_DECIMALS
_LARGEST = 1e9
"""Scores are written below this; times a million they are whole numbers of a double then."""

_LONGEST = 1 + 9 + 1 + _DECIMALS + 2  # a sign, digits, a point, digits, "},"


class ItemTexts:
    """Writes items with their scores, given how each begins: all of its JSON up to its score.

    The beginnings stand in one piece of memory, as text is in a file: twenty objects from all
    over the memory cost more than the numbers behind them.
    """

    def __init__(self, heads: Sequence[bytes]) -> None:
        self._text = np.frombuffer(bytearray(b"".join(heads)), dtype=np.uint8)
        self._offsets = np.array([0, *accumulate(map(len, heads))], dtype=np.int64)

    def write(self, items: NDArray[np.int32], scores: NDArray[np.float32]) -> bytes | None:
        """Items by number with their scores, six decimals each, the objects parted by commas.

        None where a score is none that this can write (no float32, a billion or more, not
        finite), or a number is no item's.
        """
        if scores.dtype != np.float32 or items.dtype != np.int32:
            return None
        if not _is_own(items) or not _is_own(scores):
            items, scores = np.array(items), np.array(scores)
        written = _write(items, scores, self._text, self._offsets)
        return written.tobytes() if len(written) or not len(items) else None


def _is_own(array: NDArray[Any]) -> bool:
    """Whether the loop takes an array as it is: it would be compiled anew for one that is
    read-only or has strides."""
    flags = array.flags
    return flags.c_contiguous and flags.writeable


@kernel
def _write(
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    text: NDArray[np.uint8],
    offsets: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """The bytes of the list without its brackets; none where it can't be written.

    A float32 has 24 digits of two and a million 14 beside its power of two, so their product is
    exact in a double, and rounding it to the even one is what ``%.6f`` does.
    """
    size = 0
    for item in items:
        if item < 0 or item >= len(offsets) - 1:
            return text[:0]
        size += offsets[item + 1] - offsets[item] + _LONGEST
    out = np.empty(size, dtype=np.uint8)
    at = 0
    for place in range(len(items)):
        score = np.float64(scores[place])
        item = items[place]
        if not abs(score) < _LARGEST:
            return out[:0]
        for source in range(offsets[item], offsets[item + 1]):
            out[at] = text[source]
            at += 1
        at = _write_number(score, out, at)
        out[at], out[at + 1] = 125, 44  # "},"
        at += 2
    return out[: max(at - 1, 0)]


@kernel
def _write_number(score: float, out: NDArray[np.uint8], at: int) -> int:
    """Write a number with six decimals from a place on; returns the place behind it."""
    if np.signbit(score):
        out[at] = 45  # "-"
        at += 1
    rest = np.uint64(np.rint(abs(score) * _UNIT))
    digits, bound = _DECIMALS + 1, np.uint64(10 * _UNIT)
    while rest >= bound:
        digits += 1
        bound *= np.uint64(10)
    end = at + digits + 1
    point = end - _DECIMALS - 1
    for place in range(end - 1, at - 1, -1):
        if place == point:
            out[place] = 46  # "."
            continue
        out[place] = 48 + rest % np.uint64(10)
        rest //= np.uint64(10)
    return end
