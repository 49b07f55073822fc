"""The items' vectors while they are trained: rows that a batch holds are read and moved, no others.

They lie in the machine's own memory and not with JAX: writing single rows is what its compiler
does slowly, and so a table may be larger than a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel

MOMENTS = (0.9, 0.98)
"""How much of Adam's two moments is left after a step."""

TINY = 1e-8
"""What keeps Adam's division finite."""


class Table(NamedTuple):
    """Numbers of each item, float32 (n_items, d + 1): its vector, then its bias; with Adam's
    moments of each."""

    values: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]


@kernel
def gather(table: Table, items: NDArray[np.int32]) -> NDArray[np.float32]:
    """The rows of some items, (len(items), d + 1); zeros for -1."""
    found = np.zeros((len(items), table.values.shape[1]), dtype=np.float32)
    for place in range(len(items)):
        if items[place] >= 0:
            found[place] = table.values[items[place]]
    return found


@kernel
def move(
    table: Table,
    room: NDArray[np.int32],
    items: NDArray[np.int32],
    slopes: NDArray[np.float32],
    rate: float,
    count: int,
) -> None:
    """Add up the slopes of each item, and take one step of Adam (Kingma and Ba, 2015) with those.

    ``items`` may hold an item several times, and -1, which is left out. ``room``, (n_items,), is
    -1 everywhere, and left so. ``count`` is the number of the step, from 1.
    """
    d = slopes.shape[1]
    own = np.empty(len(items), dtype=np.int32)
    summed = np.zeros((len(items), d), dtype=np.float32)
    size = 0
    for place in range(len(items)):
        item = items[place]
        if item < 0:
            continue
        if room[item] < 0:
            room[item] = size
            own[size] = item
            size += 1
        row = summed[room[item]]
        for column in range(d):
            row[column] += slopes[place, column]
    a, b = np.float32(MOMENTS[0]), np.float32(MOMENTS[1])
    one, tiny = np.float32(1), np.float32(TINY)
    scale = np.float32(rate * np.sqrt(1 - MOMENTS[1] ** count) / (1 - MOMENTS[0] ** count))
    for place in range(size):
        item = own[place]
        room[item] = -1
        for column in range(d):
            slope = summed[place, column]
            first = a * table.first[item, column] + (one - a) * slope
            second = b * table.second[item, column] + (one - b) * slope * slope
            table.first[item, column], table.second[item, column] = first, second
            table.values[item, column] -= scale * first / (np.sqrt(second) + tiny)
