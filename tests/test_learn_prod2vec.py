"""prod2vec: items that stand near the same items are close, and answers come from the closest."""

from __future__ import annotations

import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.embedding import embed
from wherry.learn.prod2vec import Prod2Vec
from wherry.learn.sessions import Sessions
from wherry.learn.skipgram import train
from wherry.testing import check_model

SMALL = {"dimensions": 16, "epochs": 3}


def halves(n: int = 1000, seed: int = 1) -> Sessions:
    """Items 0–9 stand together, and 10–19; item 20 is in no session."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(10, 4, replace=False) + 10 * (session % 2) for session in range(n)]
    owner = np.repeat(np.arange(n), 4)
    return Sessions.from_events(owner, np.concatenate(rows), owner * 60_000, n_items=21)


def vectors(**changes: object) -> np.ndarray:
    settings = {"window": 3, "negatives": 5, "alpha": 0.75, "rate": 0.05, "seed": 1, **SMALL}
    return train(halves(), **{**settings, **changes})


def test_it_keeps_the_contract():
    check_model(Prod2Vec, **SMALL)
    check_model(Prod2Vec, dimensions=8, epochs=0, repeat=0.0)


def test_the_best_items_are_of_the_session_s_half():
    model = Prod2Vec(**SMALL).fit(halves(), seed=1)
    for session in ([3], [1, 4, 2]):
        assert set(model.recommend(np.array(session), 5).items.tolist()) <= set(range(10))
        assert np.isneginf(model.score(np.array(session))[20])


def test_training_draws_items_of_one_half_together():
    found = vectors(epochs=10, rate=0.1)
    unit = found[:20] / np.linalg.norm(found[:20], axis=1, keepdims=True)
    likeness = unit @ unit.T
    assert likeness[:10, :10].mean() > likeness[:10, 10:].mean() + 0.5
    assert not found[20].any()


def test_the_seed_decides_the_vectors():
    assert np.array_equal(vectors(), vectors())
    assert not np.array_equal(vectors(), vectors(seed=2))


def test_without_an_epoch_the_vectors_are_the_spectral_ones():
    sessions = halves()
    centred = embed(sessions, seed=1, dimensions=16)
    centred[:20] -= centred[:20].mean(axis=0)
    assert vectors(epochs=0) == pytest.approx(centred, abs=1e-6)


def test_more_epochs_move_the_vectors_on():
    assert not np.allclose(vectors(epochs=1), vectors(epochs=4), atol=1e-3)


def test_later_items_weigh_more():
    model = Prod2Vec(**SMALL, decay=2.0).fit(halves(), seed=1)
    assert set(model.recommend(np.array([12, 11, 3]), 3).items.tolist()) & set(range(10))
    even = Prod2Vec(**SMALL, decay=0.0).fit(halves(), seed=1)
    one, other = np.array([12, 3], dtype=np.int32), np.array([3, 12], dtype=np.int32)
    unseen_by_order = [i for i in range(20) if i not in (3, 12)]
    shares = [even.score(each)[unseen_by_order] for each in (one, other)]
    assert np.argsort(shares[0]).tolist() == np.argsort(shares[1]).tolist()


def test_a_session_of_an_item_never_seen_is_answered():
    model = Prod2Vec(**SMALL).fit(halves(), seed=1)
    assert len(model.recommend(np.array([20]), 5).items) == 5


def test_nonsense_is_refused():
    with pytest.raises(ModelError, match="window=0"):
        Prod2Vec(window=0)
    with pytest.raises(ModelError, match="not fitted"):
        Prod2Vec().score(np.array([1]))
