import numpy as np
import pytest

from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions
from wherry.learn.split import DAY_MS
from wherry.testing import check_model

ASKED = np.array([0], dtype=np.int32)


def make(items, days) -> Sessions:
    owner = np.arange(len(items))
    return Sessions.from_events(owner, np.array(items), np.array(days) * DAY_MS, n_items=4)


def test_the_packaged_grid_keeps_the_contract():
    for params in Popularity.grid:
        check_model(Popularity, **params)


def test_an_event_loses_half_its_weight_in_a_half_life():
    model = Popularity(half_life=2.0).fit(make([0, 1, 2], [0, 2, 6]), seed=1)
    assert model.score(ASKED).tolist() == pytest.approx([1 / 8, 1 / 4, 1.0, -np.inf])


def test_without_a_half_life_all_events_count_alike():
    model = Popularity(half_life=0.0).fit(make([1, 1, 2], [0, 1, 100]), seed=1)
    assert model.recommend(ASKED, 9).items.tolist() == [1, 2]
    assert model.recommend(ASKED, 9).scores.tolist() == [2.0, 1.0]


def test_what_is_old_and_frequent_yields_to_what_is_new():
    sessions = make([1, 1, 1, 2, 2], [0, 0, 0, 30, 30])
    assert Popularity(half_life=7.0).fit(sessions, seed=1).recommend(ASKED, 1).items == [2]
    assert Popularity(half_life=0.0).fit(sessions, seed=1).recommend(ASKED, 1).items == [1]
