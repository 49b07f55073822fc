"""The ramp: how the highest rate is looked for."""

from __future__ import annotations

import pytest

from wherry.simulate.ramp import FIRST_RATE, MOST_STEPS, Ramp


def tried(limit: float) -> tuple[list[float], float | None]:
    """The rates that are tried where up to ``limit`` passes, and the best."""
    ramp, rates = Ramp(), []
    while (rate := ramp.next()) is not None:
        rates.append(rate)
        ramp.tell(rate, passed=rate <= limit)
    return rates, ramp.best


@pytest.mark.parametrize("limit", [100, 150, 777, 1_000, 23_456, 51_200])
def test_the_best_is_within_an_eighth_of_a_doubling_and_the_steps_are_bounded(
    limit: float,
) -> None:
    rates, best = tried(limit)
    assert best is not None
    assert best <= limit < best * 1.125 + FIRST_RATE / 8
    assert len(rates) <= MOST_STEPS


def test_a_server_that_passes_everything_ends_the_ramp_at_its_top() -> None:
    rates, best = tried(float("inf"))
    assert best == rates[-1] == FIRST_RATE * 2**9
    assert len(rates) == 10


def test_where_not_even_the_first_rate_passes_nothing_below_is_tried() -> None:
    assert tried(0) == ([FIRST_RATE], None)
