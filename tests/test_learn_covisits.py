import numpy as np
import pytest

from wherry.domain import INTERACTION_TYPES
from wherry.errors import ModelError
from wherry.learn.covisits import Covisits
from wherry.learn.sessions import DAY_MS, Sessions
from wherry.testing import check_model

VIEW, PURCHASE = (INTERACTION_TYPES.index(word) for word in ("view", "purchase"))


def make(lists, types=None) -> Sessions:
    """One session a day."""
    owner = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    times = owner * DAY_MS + np.arange(len(owner))
    kinds = None if types is None else np.concatenate(types)
    return Sessions.from_events(owner, np.concatenate(lists), times, kinds, n_items=8)


def best(model, *session):
    return model.recommend(np.array(session, dtype=np.int32), 8).items.tolist()


def test_the_packaged_grid_keeps_the_contract():
    for params in Covisits.grid:
        check_model(Covisits, **params)
    check_model(Covisits, window=1, keep=1, half_life=0.0, repeat=0.0)


def test_the_defaults_are_the_first_of_the_grid():
    assert Covisits().params == Covisits.grid[0]


def test_what_stands_nearer_comes_first():
    model = Covisits().fit(make([[0, 1, 2, 3]]), seed=1)
    assert best(model, 0) == [1, 2, 3]


def test_what_comes_after_goes_before_what_came_before():
    model = Covisits().fit(make([[1, 0, 2]]), seed=1)
    assert best(model, 0) == [2, 1]
    assert best(Covisits(backwards=0.0).fit(make([[1, 0, 2]]), seed=1), 0) == [2]


def test_a_purchase_says_more_than_a_view():
    lists, types = [[0, 1], [0, 1], [0, 2]], [[VIEW, VIEW], [VIEW, VIEW], [VIEW, PURCHASE]]
    assert best(Covisits().fit(make(lists, types), seed=1), 0) == [2, 1]
    assert best(Covisits(purchase=1.0).fit(make(lists, types), seed=1), 0) == [1, 2]


def test_what_is_recent_weighs_more():
    lists = [[0, 1], [0, 1], [4, 5], [4, 5], [0, 2]]
    assert best(Covisits(half_life=1.0).fit(make(lists), seed=1), 0) == [2, 1]
    assert best(Covisits(half_life=0.0).fit(make(lists), seed=1), 0) == [1, 2]


def test_the_last_item_of_a_session_is_heard_most():
    model = Covisits().fit(make([[0, 1], [2, 3]]), seed=1)
    assert best(model, 0, 2) == [3, 1]


def test_items_of_the_session_come_back_where_visitors_do():
    assert best(Covisits().fit(make([[0, 1, 2], [3, 1, 4]]), seed=1), 1) == [4, 2, 3, 0]
    assert best(Covisits().fit(make([[0, 1, 0, 1], [2, 3, 2, 3]]), seed=1), 2, 3)[0] == 2


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ModelError, match="window=0"):
        Covisits(window=0)
