"""Figures of character, each against a naive reference in plain Python."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.behave import figures
from wherry.learn.instances import Instances

N = 12
CATEGORIES = np.array([0, 0, 0, 1, 1, 2, 2, 2, -1, -1, 5, 5])
PRICES = np.array([1.0, 2, 4, 8, 16, 0.5, np.nan, 3, 5, 7, np.nan, 0])
COUNTS = np.array([50, 40, 30, 20, 10, 9, 8, 7, 3, 1, 0, 0])
VECTORS = np.random.default_rng(1).standard_normal((N, 4))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
VECTORS[[9, 11]] = 0
VECTORS = VECTORS.astype(np.float32)

ANSWERS = st.lists(
    st.tuples(
        st.lists(st.integers(0, N - 1), min_size=1, max_size=4),
        st.integers(-1, N - 1),
        st.lists(st.integers(0, N - 1), max_size=5, unique=True),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=10,
)
Answers = list[tuple[list[int], int, list[int], int]]


def shown(answers: Answers) -> np.ndarray:
    return np.array([[*row, *[-1] * (5 - len(row))] for _, _, row, _ in answers], dtype=np.int32)


def asked(answers: Answers) -> Instances:
    return Instances.prepared([a[0] for a in answers], np.array([a[1] for a in answers]))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-5, abs=1e-6, nan_ok=True)


def cosine(a: int, b: int) -> float:
    return sum(float(x) * float(y) for x, y in zip(VECTORS[a], VECTORS[b], strict=True))


def has_vector(item: int) -> bool:
    return any(VECTORS[item].tolist())


@given(ANSWERS)
def test_uneven_misses(answers: Answers) -> None:
    missed = [target not in row for _, target, row, _ in answers]
    groups = [g for *_, g in answers]
    apart = [
        abs(mean([m for m, g in zip(missed, groups, strict=True) if g == part]) - mean(missed))
        for part in set(groups)
    ]
    masks = [np.array(groups) == part for part in range(3)]
    found = figures.found(shown(answers), asked(answers).targets)
    assert figures.miss_difference(found, masks) == near(mean(apart))


@given(ANSWERS, st.sampled_from([1, 3]))
def test_misses_in_the_right_category(answers: Answers, k: int) -> None:
    right = [
        float(CATEGORIES[item] == CATEGORIES[target])
        for _, target, row, _ in answers
        if target >= 0 and target not in row and CATEGORIES[target] >= 0
        for item in row[:k]
    ]
    found = figures.miss_category(shown(answers), asked(answers).targets, CATEGORIES, k)
    assert found == near(mean(right))


@given(ANSWERS, st.sampled_from([1, 3]))
def test_distance_of_misses(answers: Answers, k: int) -> None:
    apart = [
        1 - cosine(item, target)
        for _, target, row, _ in answers
        if target >= 0 and target not in row and has_vector(target)
        for item in row[:k]
        if has_vector(item)
    ]
    found = figures.miss_distance(shown(answers), asked(answers).targets, VECTORS, k)
    assert found == near(mean(apart))


@given(ANSWERS)
def test_diversity(answers: Answers) -> None:
    each = []
    for _, _, row, _ in answers:
        apart = [1 - cosine(a, b) for a, b in permutations(filter(has_vector, row), 2)]
        if apart:
            each.append(mean(apart))
    assert figures.diversity(shown(answers), VECTORS) == near(mean(each))


@given(ANSWERS)
def test_price_ratio(answers: Answers) -> None:
    def level(items: list[int]) -> float:
        return mean([math.log(PRICES[i]) for i in items if PRICES[i] > 0])

    gaps = [abs(level(row) - level(prefix)) for prefix, _, row, _ in answers]
    expected = math.exp(mean([gap for gap in gaps if not math.isnan(gap)]))
    assert figures.price_ratio(shown(answers), asked(answers), PRICES) == near(expected)


@given(ANSWERS)
def test_novelty(answers: Answers) -> None:
    bits = [-math.log2((count + 1) / (sum(COUNTS) + N)) for count in COUNTS.tolist()]
    expected = mean([mean([bits[item] for item in row]) for _, _, row, _ in answers if row])
    assert figures.novelty(shown(answers), COUNTS) == near(expected)


@given(ANSWERS)
def test_serendipity(answers: Answers) -> None:
    expected = mean(
        [
            float(target in row and target not in (0, 1, 2, 3, 4) and target not in prefix)
            for prefix, target, row, _ in answers
        ]
    )
    assert figures.serendipity(shown(answers), asked(answers), COUNTS) == near(expected)


@given(ANSWERS)
def test_inequality_of_exposure(answers: Answers) -> None:
    times = [sum(item in row for _, _, row, _ in answers) for item in range(N)]
    apart = sum(abs(a - b) for a in times for b in times)
    expected = apart / (2 * N * sum(times)) if sum(times) else math.nan
    assert figures.gini(shown(answers), N) == near(expected)


@given(ANSWERS)
def test_miscalibration(answers: Answers) -> None:
    def shares(items: list[int]) -> dict[int, float]:
        known = [int(CATEGORIES[i]) for i in items if CATEGORIES[i] >= 0]
        return {c: known.count(c) / len(known) for c in set(known)}

    each = []
    for prefix, _, row, _ in answers:
        p, q = shares(prefix), shares(row)
        if p and q:
            each.append(
                sum(s * math.log(s / (0.99 * q.get(c, 0) + 0.01 * s)) for c, s in p.items())
            )
    assert figures.miscalibration(shown(answers), asked(answers), CATEGORIES) == near(mean(each))


def test_the_ends_of_the_scales() -> None:
    one = np.zeros((4, 1), dtype=np.int32)
    each = np.arange(4, dtype=np.int32)[:, None]
    assert figures.gini(one, 4) == pytest.approx(0.75)  # 1 − 1/n
    assert figures.gini(each, 4) == 0
    same = Instances.prepared([[0], [3]], np.array([0, 0]))
    alike = np.array([[1, 2], [4, -1]], dtype=np.int32)
    assert figures.miscalibration(alike, same, CATEGORIES) == pytest.approx(0)
    assert figures.price_ratio(np.array([[3], [0]]), same, PRICES) == pytest.approx(8)
