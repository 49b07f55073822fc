import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.report.axis import linear_ticks, log_ticks, place, tick_label

PAIRS = st.tuples(st.floats(0.001, 1e6), st.floats(0.001, 1e6)).map(sorted)


@given(PAIRS)
def test_ticks_hold_what_lies_between_them(pair):
    low, high = pair
    for ticks in (linear_ticks(low, high, target=5), log_ticks(low, high)):
        assert len(ticks) >= 2
        assert ticks == sorted(ticks)
        assert ticks[0] <= low * (1 + 1e-6)
        assert ticks[-1] >= high * (1 - 1e-6)


def test_logarithmic_ticks_are_powers_of_ten():
    assert [math.log10(tick) for tick in log_ticks(3, 2500)] == pytest.approx([0, 1, 2, 3, 4])


def test_a_place_is_a_share_of_the_way():
    assert place(3, 1, 5) == 0.5


def test_labels_have_the_decimals_that_tell_ticks_apart():
    assert tick_label(0.3, [0.2, 0.3]) == ".30"
    assert tick_label(0.302, [0.3, 0.302]) == ".302"
