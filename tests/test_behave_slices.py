"""Slices: parts of the test window that cover it, each instance where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behave_subject import N, evaluation, subject
from wherry.behave import slices
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
