"""The figures of character as checks: shown always, in the way only where a bound is set."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from behave_subject import N, evaluation, instances, subject
from wherry.behave import Subject
from wherry.behave.character import bounded, has_character
from wherry.config import Behave
from wherry.domain import Check, Severity
from wherry.learn.catalogue import Catalogue

ANGLES = np.arange(N) / N * np.pi
VECTORS = np.stack((np.cos(ANGLES), np.sin(ANGLES)), axis=1).astype(np.float32)


def narrow(session: NDArray[np.int32]) -> NDArray[Any]:
    return np.where(np.arange(N) < 3, 1.0, -np.inf)


def known(**changes: Any) -> Subject:
    return subject(vectors=VECTORS, **changes)


def by_name(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found if check.slice == "all"}


def test_without_bounds_every_figure_is_shown_beside_the_champion_s_and_none_blocks() -> None:
    found = list(has_character(known(champion=evaluation(narrow))))
    assert all(check.passed for check in found)
    assert not any(check.is_blocking for check in found)
    exposure = by_name(found)["inequality of exposure"]
    assert exposure.figure is not None
    assert exposure.figure < 0.5 < float(str(exposure.sample[0]["champion"]))
    assert {check.slice for check in found if check.name == "uneven misses"} == {
        "category",
        "brand",
        "price",
        "hour",
        "weekday",
    }


@pytest.mark.parametrize(
    ("setting", "bound", "name"),
    [
        ("max_miss_difference", 0.0, "uneven misses"),
        ("min_miss_category", 1.0, "misses in the right category"),
        ("max_miss_distance", 0.001, "distance of misses"),
        ("min_diversity", 1.5, "diversity"),
        ("max_price_ratio", 1.001, "price ratio"),
        ("min_novelty", 30.0, "novelty"),
        ("min_serendipity", 1.0, "serendipity"),
        ("max_gini", 0.01, "inequality of exposure"),
        ("max_miscalibration", 0.0001, "miscalibration"),
    ],
)
def test_a_bound_that_is_not_kept_blocks(setting: str, bound: float, name: str) -> None:
    worse = known(winner=evaluation(half_right), rules=Behave(**{setting: bound}))
    blocking = [check for check in has_character(worse) if check.is_blocking]
    assert {check.name for check in blocking} == {name}
    assert all(f"{bound:g}" in check.bound and check.message for check in blocking)


def half_right(session: NDArray[np.int32]) -> NDArray[Any]:
    """Right from low items; from high ones it shows three items from far away."""
    if session[-1] < 15:
        return 100.0 - (np.arange(N) - session[-1] - 1) % N
    return narrow(session)


def test_a_bound_on_what_nobody_can_tell_blocks_and_says_so() -> None:
    blind = known()
    plain = dataclasses.replace(blind, rules=Behave(max_price_ratio=2.0))
    plain.answerer.catalogue = Catalogue.unknown(N)
    (check,) = [check for check in has_character(plain) if check.is_blocking]
    assert check.name == "price ratio"
    assert check.figure is None
    assert "Nothing is known" in check.message


def test_without_vectors_there_are_no_distances() -> None:
    names = {check.name for check in has_character(subject())}
    assert "diversity" not in names
    assert "distance of misses" not in names


def test_a_figure_between_its_bounds_passes() -> None:
    check = bounded("x", 0.5, least=0.1, most=0.9)
    assert check.passed
    assert check.bound == "≥ 0.1 and ≤ 0.9"
    assert check.severity is Severity.BLOCK


def test_there_are_as_many_instances_as_answers() -> None:
    assert len(instances()) == len(evaluation())
