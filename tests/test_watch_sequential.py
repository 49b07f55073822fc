from __future__ import annotations

from math import inf, isinf

import numpy as np
import pytest
from benchmarks.sequential import World, run

from wherry.watch.sequential import Tally, compare, evidence_above, radius

# Small worlds and few runs: benchmarks/sequential.py makes the whole figure.
EQUAL = World(click=0.1, share=0.5, visitors=6_000)


def tally(visitors: int, answers: int, marks: float) -> Tally:
    """Visitors of one answer each, of which so many are marked."""
    return Tally(visitors, answers, marks, answers, marks, marks)


def test_an_equal_release_is_hardly_ever_stopped_however_often_it_is_looked_at() -> None:
    found = [run(EQUAL, seed, looks=100) for seed in range(60)]
    assert sum(bool(each.stopped) for each in found) <= 3  # 60 · 5%
    assert sum(bool(each.naive) for each in found) >= 12  # what looking again and again does


def test_a_release_that_is_much_worse_is_stopped_and_one_much_better_found_so() -> None:
    worse = World(click=0.1, share=0.5, lift=-0.4, visitors=6_000)
    better = World(click=0.1, share=0.5, lift=0.4, visitors=6_000)
    for seed in range(5):
        found = run(worse, seed, looks=100)
        assert found.stopped
        assert not found.better
        found = run(better, seed, looks=100)
        assert found.better
        assert not found.stopped


def test_visitors_that_answer_alike_count_as_less_than_independent_answers() -> None:
    apart = tally(1_000, 1_000, 100)
    # The same shares from a hundred visitors, each of whom clicks ten answers or none.
    alike = Tally(100, 1_000, 100, 100 * 100, 10 * 100, 10 * 100)
    loose = compare(alike, alike, alpha=0.05, effect=0.2)
    tight = compare(apart, apart, alpha=0.05, effect=0.2)
    assert loose.challenger == tight.challenger
    assert loose.high > 2 * tight.high


def test_before_there_are_clicks_enough_nothing_is_said() -> None:
    few = compare(tally(100, 100, 0), tally(100, 100, 10), alpha=0.05, effect=0.2)
    assert not few.says_anything
    assert isinf(few.high)
    assert not compare(Tally(), Tally(), alpha=0.05, effect=0.2).says_anything


def test_a_release_that_nobody_clicks_is_found_worse() -> None:
    found = compare(tally(2_000, 2_000, 0), tally(2_000, 2_000, 200), alpha=0.02, effect=0.2)
    assert found.difference == -1.0
    assert found.high < 0


def test_the_radius_is_that_of_a_brownian_path_and_not_of_one_look() -> None:
    rng = np.random.default_rng(1)
    steps = rng.standard_normal((2_000, 2_000)).cumsum(axis=1)
    times = np.arange(1, 2_001)
    reach = np.array([radius(time**-0.5, 0.1, 0.1) for time in times])
    crossed = ((steps / times) > reach).any(axis=1).mean()
    assert crossed <= 0.1
    assert crossed > 0.02  # and it is no boundary that is never reached
    assert radius(0.0, 0.1, 0.05) == 0.0


def test_evidence_against_a_true_bound_rarely_grows_and_against_a_false_one_soon_does() -> None:
    rng = np.random.default_rng(1)
    ever = 0
    for _ in range(300):
        marked = (rng.random(2_000) < 0.01).cumsum()
        ever += any(evidence_above(int(marked[n - 1]), n, 0.01) >= 20 for n in range(10, 2_001, 40))
    assert ever / 300 <= 0.05
    assert evidence_above(10, 100, 0.01) > 1_000
    assert evidence_above(100, 100, 0.01) > 1e100
    assert evidence_above(100_000, 100_000, 0.01) == inf


@pytest.mark.parametrize("marked", [0, 5, 40])
def test_more_marks_are_more_evidence(marked: int) -> None:
    assert evidence_above(marked + 1, 500, 0.01) > evidence_above(marked, 500, 0.01)
