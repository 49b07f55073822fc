"""Slices: parts of the test window that cover it, each instance where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behave_subject import N, evaluation, subject
from wherry.behave import slices
from wherry.config import Behave
from wherry.learn.instances import Instances

QUESTIONS = st.lists(
    st.tuples(
        st.lists(st.integers(0, N - 1), min_size=1, max_size=8),
        st.integers(-1, N - 1),
        st.integers(0, 4_000_000_000_000),
    ),
    min_size=1,
    max_size=12,
)


def asked(questions: list[tuple[list[int], int, int]]) -> Instances:
    prefixes, targets, times = zip(*questions, strict=True)
    return Instances.prepared(prefixes, np.array(targets), times=np.array(times))


@given(QUESTIONS)
def test_lengths_popularity_and_weekdays_part_the_window(
    questions: list[tuple[list[int], int, int]],
) -> None:
    instances = asked(questions)
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    for dimension in ("session", "item", "weekday"):
        parts = [mask for name, mask in found.items() if name.startswith(f"{dimension}: ")]
        assert (np.sum(parts, axis=0) == 1).all()


@given(QUESTIONS)
def test_an_instance_is_in_no_more_than_one_category(
    questions: list[tuple[list[int], int, int]],
) -> None:
    instances = asked(questions)
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    for name, mask in found.items():
        if name.startswith("category: c"):
            targets = instances.targets[mask]
            assert (targets % 4 == int(name.removeprefix("category: c"))).all()


@given(st.integers(0, 4_000_000_000_000))
def test_weekdays_are_those_of_the_calendar(time: int) -> None:
    instances = asked([([1], 2, time)])
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    name = datetime.fromtimestamp(time / 1000, UTC).strftime("%a")
    assert found[f"weekday: {name}"].all()


@pytest.mark.parametrize(
    ("target", "part"), [(-1, "rare"), (0, "rare"), (25, "common"), (39, "frequent")]
)
def test_items_are_rare_common_or_frequent_by_their_place_in_training(
    target: int, part: str
) -> None:
    instances = asked([([1], target, 0)])
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    assert found[f"item: {part}"].all()


def test_prices_part_what_has_one_into_the_quarters_of_the_catalogue() -> None:
    """Item i costs i; half of the questions are about the dearest quarter."""
    instances = asked([([1], target, 0) for target in (0, 12, 22, 35, 36, 37, -1)])
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    parts = {name: mask.nonzero()[0].tolist() for name, mask in found.items() if "price" in name}
    assert parts == {
        "price: lowest": [0],
        "price: low": [1],
        "price: high": [2],
        "price: highest": [3, 4, 5],
    }


def test_attributes_of_items_and_properties_of_sessions_are_slices_where_they_are_named() -> None:
    instances = asked([([1], 3, 0), ([1], 4, 0), ([1], 5, 0)])
    traits = {"country": ("DE", None, "FR"), "device": ("phone",) * 3}
    rules = Behave(item_attributes=("brand", "colour"))
    sliced = subject(
        instances=instances, winner=evaluation(asked=instances), traits=traits, rules=rules
    )
    found = {name: mask.nonzero()[0].tolist() for name, mask in slices(sliced).items()}
    assert {name: found[name] for name in found if "brand" in name} == {
        "brand: b0": [0],
        "brand: b1": [1],
        "brand: b2": [2],
    }
    assert found["country: DE"] == [0]
    assert found["country: FR"] == [2]
    assert found["device: phone"] == [0, 1, 2]
    assert not any(name.startswith("colour") for name in found)


@given(st.integers(0, 4_000_000_000_000))
def test_hours_are_those_of_the_clock(time: int) -> None:
    instances = asked([([1], 2, time)])
    found = slices(subject(instances=instances, winner=evaluation(asked=instances)))
    first = datetime.fromtimestamp(time / 1000, UTC).hour // 6 * 6
    assert found[f"hour: {first:02}–{first + 6:02}"].all()
