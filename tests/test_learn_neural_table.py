"""The table of items' vectors: sums of slopes, and Adam on the rows of a batch alone."""

from __future__ import annotations

import numpy as np
import pytest

from wherry.learn.neural.table import MOMENTS, TINY, Table, gather, move


def table(n: int = 6, d: int = 3) -> Table:
    values = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    return Table(values, np.zeros_like(values), np.zeros_like(values))


def test_rows_are_read_and_minus_one_is_nothing():
    given = table()
    found = gather(given, np.array([4, -1, 4], dtype=np.int32))
    assert np.array_equal(found[[0, 2]], given.values[[4, 4]])
    assert not found[1].any()


def test_the_slopes_of_an_item_are_added_up_and_only_rows_of_the_batch_move():
    given, before = table(), table().values
    room = np.full(6, -1, dtype=np.int32)
    items = np.array([2, -1, 5, 2], dtype=np.int32)
    slopes = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    for count in (1, 2):
        move(given, room, items, slopes, 0.1, count)
    wanted, a, b = before.copy(), *MOMENTS
    for item, slope in ((2, slopes[0] + slopes[3]), (5, slopes[2])):
        first = second = np.zeros(3)
        for count in (1, 2):
            first = a * first + (1 - a) * slope
            second = b * second + (1 - b) * slope**2
            step = 0.1 * (1 - b**count) ** 0.5 / (1 - a**count)
            wanted[item] -= step * first / (second**0.5 + TINY)
    assert given.values == pytest.approx(wanted, abs=1e-5)
    assert np.array_equal(given.values[[0, 1, 3, 4]], before[[0, 1, 3, 4]])
    assert (room == -1).all()
