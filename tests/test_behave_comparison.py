"""The winner beside the baseline and the champion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from behave_subject import N, evaluation, flat, next_item, subject
from wherry.behave.comparison import beats_baseline, holds_against_champion
from wherry.config import Behave
from wherry.domain import Severity


def forgets_high_items(session: NDArray[np.int32]) -> NDArray[np.float64]:
    """Right for sessions that end on low items, at a loss for the others."""
    return next_item(session) if session[-1] < 30 else flat(session)


def test_a_winner_that_is_better_beats_the_baseline() -> None:
    (check,) = beats_baseline(subject())
    assert check.passed
    assert check.figure is not None
    assert 0.9 < check.figure <= 1.0


def test_a_winner_that_is_no_better_does_not() -> None:
    (check,) = beats_baseline(subject(baseline=evaluation()))
    assert not check.passed
    assert check.is_blocking
    assert "'popularity'" in check.message


def test_a_baseline_that_could_not_be_fitted_blocks() -> None:
    (check,) = beats_baseline(subject(baseline=None))
    assert check.is_blocking
    assert "could not be fitted" in check.message


def test_before_the_first_release_there_is_nothing_to_hold_against() -> None:
    assert list(holds_against_champion(subject(champion=None))) == []


def test_a_champion_that_can_not_be_fitted_any_more_is_told() -> None:
    lost = subject(champion=None, champion_fault="its recipe can't be fitted: no model 'mine'.")
    (check,) = holds_against_champion(lost)
    assert not check.passed
    assert check.severity is Severity.WARN
    assert check.message.endswith("with the champion: its recipe can't be fitted: no model 'mine'.")


def test_an_equal_holds_on_the_whole_and_on_every_slice() -> None:
    checks = list(holds_against_champion(subject()))
    assert all(check.passed for check in checks)
    assert checks[0].slice == "all"
    assert {check.slice.partition(":")[0] for check in checks[1:]} == {
        "session",
        "item",
        "category",
        "brand",
        "price",
        "hour",
        "weekday",
    }


def test_one_that_is_worse_everywhere_fails_on_the_whole() -> None:
    whole, *_ = holds_against_champion(subject(winner=evaluation(flat)))
    assert whole.is_blocking
    assert "champion's 1.0000" in whole.message


def test_one_that_is_worse_on_a_slice_alone_fails_there() -> None:
    rules = Behave(margin=0.5, slice_margin=0.1, min_slice_sessions=5)
    worse = subject(winner=evaluation(forgets_high_items), rules=rules)
    failed = {check.slice for check in holds_against_champion(worse) if not check.passed}
    assert "item: frequent" in failed
    assert "all" not in failed
    assert "item: rare" not in failed


def test_a_small_slice_is_shown_and_does_not_block() -> None:
    rules = Behave(margin=1.0, slice_margin=0.1, min_slice_sessions=1_000)
    checks = list(holds_against_champion(subject(winner=evaluation(flat), rules=rules)))
    failed = [check for check in checks if not check.passed]
    assert failed
    assert all(check.severity is Severity.WARN for check in failed)


def test_a_loss_within_the_margin_is_forgiven() -> None:
    def slightly_worse(session: NDArray[np.int32]) -> NDArray[np.float64]:
        return flat(session) if session[-1] == 0 and len(session) > 5 else next_item(session)

    rules = Behave(margin=0.1, slice_margin=1.0, min_slice_sessions=1)
    checks = holds_against_champion(subject(winner=evaluation(slightly_worse), rules=rules))
    assert all(check.passed for check in checks)


def test_there_are_as_many_items_as_the_tests_take_for_granted() -> None:
    assert len(subject().answerer.vocabulary) == N


def allowed_on_the_whole(min_slice_sessions: int) -> float:
    def uneven(session: NDArray[np.int32]) -> NDArray[np.float64]:
        return flat(session) if session[-1] % 7 == 0 else next_item(session)

    rules = Behave(min_slice_sessions=min_slice_sessions)
    whole, *_ = holds_against_champion(subject(winner=evaluation(uneven), rules=rules))
    return float(str(whole.sample[0]["allowed"]))


def test_slices_that_are_only_shown_do_not_widen_the_bound_of_the_whole() -> None:
    assert allowed_on_the_whole(1_000) < 0.8 * allowed_on_the_whole(1)
