"""Perturbation: sessions that change a little, and how much of the answer stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from behave_subject import N, answerer, next_item, subject
from wherry.behave import Query, Subject
from wherry.behave.perturbation import dropped, overlap, shuffled, stays_itself, swapped
from wherry.config import Behave

ANGLES = np.arange(N) / N * np.pi
VECTORS = np.stack((np.cos(ANGLES), np.sin(ANGLES)), axis=1).astype(np.float32)
RNG = np.random.default_rng(1)


def always_the_same(session: NDArray[np.int32]) -> NDArray[Any]:
    return np.arange(N, dtype=np.float64)


def by_length(session: NDArray[np.int32]) -> NDArray[Any]:
    """An answer that turns over with every event."""
    return np.roll(np.arange(N, dtype=np.float64), 20 * len(session))


def asking(scores: Any, **changes: Any) -> Subject:
    return subject(answerer=answerer(scores), vectors=VECTORS, **changes)


def test_an_answer_that_looks_at_nothing_stays_whole() -> None:
    found = list(stays_itself(asking(always_the_same)))
    assert [check.figure for check in found] == [1.0, 1.0, 1.0]
    assert not any(check.is_blocking for check in found)


def test_an_answer_that_looks_at_the_order_alone_stays_where_an_event_is_swapped() -> None:
    figures = {check.name: check.figure for check in stays_itself(asking(by_length))}
    assert figures["overlap, order shuffled"] == 1.0
    assert figures["overlap, last item swapped for its like"] == 1.0
    dropped_event = figures["overlap, one event dropped"]
    assert dropped_event is not None
    assert dropped_event < 0.2


def test_the_overlap_is_that_of_a_naive_count() -> None:
    asked = asking(next_item)
    shares = []
    rng = np.random.default_rng(asked.seed)
    for prefix in asked.prefixes(200):
        other = dropped(asked, prefix, rng)
        if other is None:
            continue
        one, two = (
            asked.answerer.answer(Query(session=each, k=20)).items.tolist()
            for each in (prefix, other)
        )
        both = [item for item in one if item in two]
        shares.append(len(both) / (len(one) + len(two) - len(both)))
    assert overlap(asked, dropped) == pytest.approx(sum(shares) / len(shares))


def test_a_bound_that_is_not_kept_blocks() -> None:
    rules = Behave(min_overlap_dropped=0.5, min_overlap_shuffled=0.5)
    failed = [check for check in stays_itself(asking(by_length, rules=rules)) if not check.passed]
    assert [check.name for check in failed] == ["overlap, one event dropped"]


def test_the_last_item_gives_way_to_the_closest_of_its_category() -> None:
    assert swapped(asking(next_item), ("i3", "i8"), RNG) in {("i3", "i4"), ("i3", "i12")}
    assert swapped(subject(), ("i3", "i8"), RNG) is None


def test_one_event_less_or_the_same_events_in_another_order() -> None:
    prefix = ("i1", "i2", "i2", "i3")
    for _ in range(20):
        less, other = dropped(subject(), prefix, RNG), shuffled(subject(), prefix, RNG)
        assert less is not None
        assert other is not None
        assert len(less) == 3
        assert sorted(other) == sorted(prefix)
        assert other != prefix
    assert dropped(subject(), ("i1",), RNG) is None
    assert shuffled(subject(), ("i1", "i1"), RNG) is None
