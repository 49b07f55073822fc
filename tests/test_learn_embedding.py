"""Vectors of items: those that occur together are close."""

from __future__ import annotations

import numpy as np
import pytest

from wherry.learn import embedding
from wherry.learn.embedding import embed
from wherry.learn.sessions import Sessions


def communities(n_sessions: int = 400, seed: int = 1) -> Sessions:
    """Items 0–9 occur together, so do 10–19; item 20 is in every session, 21 in none."""
    rng = np.random.default_rng(seed)
    rows = [[*rng.choice(10, 4) + 10 * (s % 2), 20] for s in range(n_sessions)]
    owner = np.repeat(np.arange(n_sessions), 5)
    return Sessions.from_events(owner, np.concatenate(rows), owner * 1000, n_items=22)


def test_items_of_one_community_are_close_and_those_of_two_are_not() -> None:
    vectors = embed(communities(), seed=1)
    cosines = vectors @ vectors.T
    assert cosines[:10, :10].min() > 0.2
    assert cosines[:10, 10:20].max() < 0  # the common direction is taken out


def test_vectors_have_length_one_and_an_item_never_seen_has_none() -> None:
    vectors = embed(communities(), seed=1)
    assert np.linalg.norm(vectors[:20], axis=1).round(5).tolist() == [1.0] * 20
    assert not vectors[21].any()


def test_angles_are_those_of_the_dense_matrix() -> None:
    sessions = communities()
    counts = np.zeros((len(sessions), 22))
    np.add.at(counts, (np.repeat(np.arange(len(sessions)), 5), sessions.items), 1)
    per_item = np.sqrt(np.maximum(counts.sum(axis=0), 1))
    b = counts / np.sqrt(counts.sum(axis=1, keepdims=True)) / per_item
    gram = b.T @ b
    common = np.sqrt(counts.sum(axis=0) / counts.sum())
    gram -= np.outer(common, common)
    gram = gram @ gram
    lengths = np.linalg.norm(gram, axis=1)
    exact = (gram @ gram.T)[:20, :20] / np.outer(lengths, lengths)[:20, :20]
    vectors = embed(sessions, seed=1, dimensions=4000, steps=2)[:20]
    assert np.abs(vectors @ vectors.T - exact).max() < 0.1


def test_the_same_seed_gives_the_same_vectors() -> None:
    assert np.array_equal(embed(communities(), seed=3), embed(communities(), seed=3))
    assert not np.array_equal(embed(communities(), seed=3), embed(communities(), seed=4))


def test_no_sessions_give_no_vectors() -> None:
    nothing = communities().take(np.zeros(0, dtype=np.int64))
    assert not embed(nothing, seed=1).any()


def test_of_a_long_history_the_newest_sessions_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions = communities()
    newest = sessions.take(np.arange(300, 400))
    monkeypatch.setattr(embedding, "MAX_EVENTS", 500)
    assert np.array_equal(embed(sessions, seed=1), embed(newest, seed=1))
