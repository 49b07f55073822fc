import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions
from wherry.testing import check_model

N_ITEMS = 6
LISTS = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=8), min_size=1, max_size=12
)
QUESTION = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=6)


def make(lists) -> Sessions:
    owner = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sessions.from_events(
        owner, np.concatenate(lists), np.arange(len(owner)), n_items=N_ITEMS
    )


def naive(lists, question, window, memory):
    weights = np.zeros((N_ITEMS, N_ITEMS))
    for items in lists:
        for place, item in enumerate(items):
            for distance, follower in enumerate(items[place + 1 : place + 1 + window], start=1):
                weights[item, follower] += 1 / distance
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    scores = sum(memory**ago * shares[item] for ago, item in enumerate(reversed(question)))
    return np.where(scores > 0, scores, -np.inf)


@settings(deadline=None)
@given(LISTS, QUESTION, st.sampled_from([1, 2, 10]), st.sampled_from([0.0, 0.5, 0.8]))
def test_scores_agree_with_a_naive_reference(lists, question, window, memory):
    model = Rules(window=window, memory=memory).fit(make(lists), seed=1)
    scores = model.score(np.array(question, dtype=np.int32))
    np.testing.assert_allclose(scores, naive(lists, question, window, memory), rtol=1e-4)


def test_the_packaged_grid_keeps_the_contract():
    for params in Rules.grid:
        check_model(Rules, **params)
    check_model(Rules, keep=2)


def test_the_defaults_are_the_first_of_the_grid():
    assert Rules().params == Rules.grid[0]


def test_only_the_heaviest_rules_are_kept():
    model = Rules(keep=1).fit(make([[0, 1], [0, 1], [0, 2]]), seed=1)
    assert model.recommend(np.array([0], dtype=np.int32), 5).items.tolist() == [1]


def test_nothing_follows_across_sessions():
    model = Rules().fit(make([[0, 1], [2, 3]]), seed=1)
    assert len(model.recommend(np.array([1], dtype=np.int32), 5).items) == 0
