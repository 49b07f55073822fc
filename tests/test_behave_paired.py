"""The gate's comparison: against a naive reference, and in a small world that is simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.behave.paired import Paired, compare

QUESTIONS = st.lists(
    st.tuples(st.integers(0, 5), *[st.floats(0, 1, width=16)] * 2, *[st.booleans()] * 2),
    min_size=2,
    max_size=25,
)


def naive(rows: list[tuple[int, float, float]], n_sessions: int) -> tuple[float, float, float]:
    """Champion, difference and its error, one question after the other."""
    champion = sum(before for _, before, _ in rows) / len(rows)
    difference = sum(after - before for _, before, after in rows) / len(rows)
    squares = 0.0
    for session in {session for session, *_ in rows}:
        mine = [after - before - difference for of, before, after in rows if of == session]
        squares += (sum(mine) / len(rows)) ** 2
    return champion, difference, math.sqrt(squares * n_sessions / max(n_sessions - 1, 1))


@given(QUESTIONS)
def test_figures_and_errors_agree_with_a_naive_reference(
    questions: list[tuple[int, float, float, bool, bool]],
) -> None:
    masks = np.array([[True, *q[3:]] for q in questions]).T
    masks = masks[masks.any(axis=1)]
    columns = [np.array(column) for column in zip(*questions, strict=True)]
    found = compare(*columns[:3], masks, seed=1, resamples=10)
    for s, mask in enumerate(masks):
        rows = [q[:3] for q, inside in zip(questions, mask, strict=True) if inside]
        champion, difference, error = naive(rows, len(set(columns[0].tolist())))
        assert found.champion[s] == pytest.approx(champion)
        assert found.difference[s] == pytest.approx(difference)
        assert found.errors[s] == pytest.approx(error, abs=1e-8)
        assert found.sessions[s] == len({session for session, *_ in rows})


def window(rng: np.random.Generator, n: int = 900, agreement: float = 0.8) -> list[np.ndarray]:
    """Two equal models that disagree on a share of their answers."""
    sessions = np.sort(rng.integers(0, n, 3 * n))
    one, other = rng.choice([0.0, 0.2, 0.5, 1.0], (2, 3 * n))
    return [sessions, one, np.where(rng.random(3 * n) < agreement, one, other)]


def parts(rng: np.random.Generator, sessions: np.ndarray, of: int = 20) -> np.ndarray:
    owner = rng.integers(0, of, sessions.max() + 1)[sessions]
    return np.stack([np.ones(len(sessions), bool), *(owner == part for part in range(of))])


def blocks(paired: Paired, margin: float = 0.03) -> np.ndarray:
    return paired.difference < -paired.allowed(np.full(len(paired.errors), margin))


def test_equal_models_are_seldom_told_apart_on_any_of_many_slices() -> None:
    rng = np.random.default_rng(7)
    blocked = 0
    for run in range(150):
        sessions, one, other = window(rng)
        paired = compare(sessions, one, other, parts(rng, sessions), seed=run, resamples=400)
        blocked += blocks(paired, margin=0.0).any()
    assert blocked <= 15  # 7.5 are expected; more than 15 come once in 200 worlds


def test_a_loss_as_large_as_what_is_called_detectable_is_caught_nine_times_in_ten() -> None:
    rng = np.random.default_rng(8)
    caught = []
    for run in range(60):
        sessions, one, other = window(rng)
        masks = parts(rng, sessions, of=4)
        before = compare(sessions, one, other, masks, seed=run, resamples=400)
        loss = before.detectable(np.full(len(masks), 0.03))[3]
        # Spread evenly, so that the loss adds no noise of its own.
        worse = np.where(masks[3], other - loss * before.champion[3], other)
        caught.append(blocks(compare(sessions, one, worse, masks, seed=run, resamples=400))[3])
    assert 0.8 <= np.mean(caught) <= 0.98


def test_many_slices_ask_for_more_than_one() -> None:
    sessions, one, other = window(np.random.default_rng(9))
    masks = parts(np.random.default_rng(9), sessions)
    alone = compare(sessions, one, other, masks[:1], seed=1)
    among = compare(sessions, one, other, masks, seed=1)
    assert alone.noise == pytest.approx(1.645, abs=0.15)  # one-sided, of the normal distribution
    assert 2.5 < among.noise < 3.2
    assert among.errors[0] == pytest.approx(alone.errors[0])


def test_slices_that_are_the_same_ask_for_no_more_than_one() -> None:
    sessions, one, other = window(np.random.default_rng(10))
    same = np.ones((30, len(sessions)), dtype=bool)
    alone = compare(sessions, one, other, same[:1], seed=1)
    assert compare(sessions, one, other, same, seed=1).noise == pytest.approx(alone.noise, rel=1e-3)


def test_a_slice_that_hardly_differs_does_not_make_the_others_blind() -> None:
    """One session that gains, in a slice of many: resamples without it must not count as noise."""
    sessions = np.arange(2000)
    champion = np.full(2000, 0.5)
    challenger = champion.copy()
    challenger[0] = 1.0
    challenger[1000:1100] = 0.0
    halves = np.stack([sessions < 1000, sessions >= 1000])
    paired = compare(sessions, champion, challenger, halves, seed=1)
    assert paired.noise < 4
    assert blocks(paired).tolist() == [False, True]


def test_identical_models_have_no_noise_and_lose_nothing() -> None:
    sessions, one, _ = window(np.random.default_rng(11))
    paired = compare(sessions, one, one, parts(np.random.default_rng(1), sessions), seed=1)
    assert paired.noise == 0
    assert not blocks(paired).any()
    assert paired.detectable(np.full(21, 0.03)) == pytest.approx(0.03)


def test_a_loss_that_is_the_same_everywhere_is_no_noise() -> None:
    sessions = np.arange(300)
    paired = compare(
        sessions, np.full(300, 0.5), np.full(300, 0.4), np.ones((1, 300), bool), seed=1
    )
    assert paired.errors.tolist() == [0.0]
    assert blocks(paired, margin=0.1).all()
    assert not blocks(paired, margin=0.3).any()


def test_the_same_seed_gives_the_same_noise() -> None:
    sessions, one, other = window(np.random.default_rng(12))
    masks = parts(np.random.default_rng(1), sessions)
    first, second, third = (
        compare(sessions, one, other, masks, seed=seed).noise for seed in (1, 1, 2)
    )
    assert first == second != third
