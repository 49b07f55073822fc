import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import ModelError
from wherry.learn.knn import SessionKNN
from wherry.learn.sessions import Sessions
from wherry.learn.split import DAY_MS
from wherry.testing import check_model, example_sessions

N_ITEMS = 12
LISTS = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=7), min_size=1, max_size=25
)
QUESTION = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=8)


def make(lists) -> Sessions:
    """One session a day."""
    lengths = [len(each) for each in lists]
    owner = np.repeat(np.arange(len(lists)), lengths)
    times = owner * DAY_MS + np.concatenate([np.arange(n) - n for n in lengths])
    return Sessions.from_events(owner, np.concatenate(lists), times, n_items=N_ITEMS)


def latest_first(session):
    """The distinct items of a session with how many events ago each was, 1 for the last."""
    found = {}
    for ago, item in enumerate(reversed(session), start=1):
        found.setdefault(item, ago)
    return found


def row_of(session):
    """The row of a session in the table of repeats: distinct items, the last two alike."""
    return min(len(set(session)), 8), len(session) > 1 and session[-1] == session[-2]


def chances(lists):
    """For each row, rank and number of times: the chance that this item comes again."""
    hits, asked = defaultdict(int), defaultdict(int)
    for session in lists:
        for stop in range(1, len(session)):
            prefix = session[:stop]
            for rank, item in enumerate(list(latest_first(prefix))[:8]):
                cell = row_of(prefix), rank, min(prefix.count(item), 3)
                asked[cell] += 1
                hits[cell] += session[stop] == item

    def chance(session, rank, item):
        row, times = row_of(session), min(session.count(item), 3)
        cells = [(row, rank, each) for each in (1, 2, 3)]
        mean = sum(hits[c] for c in cells) / (sum(asked[c] for c in cells) + 1)
        return (hits[row, rank, times] + 20 * mean) / (asked[row, rank, times] + 20)

    return chance


def shares(lists, idf, params):
    """What an item's pairs weigh, by the item near it, as shares of the whole."""
    weights = defaultdict(lambda: defaultdict(float))
    for day, session in enumerate(lists):
        age = len(lists) - 1 - day
        recency = 0.5 ** (age / params["half_life"]) if params["half_life"] else 1
        for place, item in enumerate(session):
            for other in range(max(0, place - 5), min(len(session), place + 6)):
                if session[other] != item:
                    gain = recency * idf[session[other]] ** params["item_idf"]
                    weights[item][session[other]] += gain / abs(other - place) ** 1.5
    return {
        item: {other: weight / sum(near.values()) for other, weight in near.items() if weight}
        for item, near in weights.items()
    }


def naive(lists, question, params):
    """The four steps of the docstring in plain Python; every neighbour is taken."""
    days = len(lists) - 1
    usable = {s: items for s, items in enumerate(lists) if len(items) > 1}
    holders = {i: [s for s, items in usable.items() if i in items] for i in range(N_ITEMS)}
    idf = {i: math.log(len(lists) + 1) - math.log(max(len(holders[i]), 1)) for i in range(N_ITEMS)}
    asked = latest_first(question)
    scores = dict.fromkeys(range(N_ITEMS), 0.0)
    for s, items in usable.items():
        shared = [item for item in asked if item in items]
        similarity = sum(
            idf[i] ** params["match_idf"] / asked[i] ** params["decay"] for i in shared
        )
        if not shared:
            continue
        similarity **= params["sharpness"]
        if params["half_life"]:
            similarity *= 0.5 ** ((days - s) / params["half_life"])
        match = max(place for place, item in enumerate(items) if item == shared[0])
        for place, item in enumerate(items):
            near = max(abs(place - match), 1) ** params["spread"]
            scores[item] += similarity / near * idf[item] ** params["item_idf"]
    total = sum(scores.values()) or 1.0
    scores = {item: score / total for item, score in scores.items()}
    further = dict(scores)
    for item, near in shares(lists, idf, params).items():
        for other, share in near.items():
            further[other] += params["further"] * scores[item] * share
    total = sum(further.values()) or 1.0
    further = {item: score / total for item, score in further.items()}
    chance = chances(lists)
    back = [chance(question, r, item) if r < 8 else 0.0 for r, item in enumerate(asked)]
    own = sum(further[item] for item in asked)
    again, others = sum(back), 1 - own
    for r, item in enumerate(asked):
        came = back[r]
        if again > 0 and others > 1e-5:  # less is the rounding of the sum
            by_score = further[item] / own if own else back[r] / again
            share = 0.3 * by_score + 0.7 * back[r] / again
            came = min(again, 0.95) / (1 - min(again, 0.95)) * others * share
        further[item] = params["repeat"] * came
    return np.array([score if score > 0 else -np.inf for score in further.values()])


PARAMS = st.fixed_dictionaries(
    {
        "decay": st.sampled_from([0.5, 1.0, 2.0]),
        "sharpness": st.sampled_from([1.0, 1.5]),
        "further": st.sampled_from([0.0, 2.0]),
        "spread": st.sampled_from([0.0, 0.5, 1.0]),
        "match_idf": st.sampled_from([1.0, 2.0]),
        "item_idf": st.sampled_from([0.0, 1.0]),
        "half_life": st.sampled_from([0.0, 7.0]),
        "repeat": st.sampled_from([0.0, 1.0, 2.0]),
    }
)


@settings(deadline=None)
@given(LISTS, QUESTION, PARAMS)
def test_scores_agree_with_a_naive_reference(lists, question, params):
    model = SessionKNN(**params).fit(make(lists), seed=1)
    scores = model.score(np.array(question, dtype=np.int32))
    np.testing.assert_allclose(scores, naive(lists, question, params), rtol=1e-3)


def test_the_packaged_grid_keeps_the_contract():
    for params in SessionKNN.grid:
        check_model(SessionKNN, **params)
    check_model(SessionKNN, neighbours=2, sample=3)


def test_the_defaults_are_the_first_of_the_grid():
    assert SessionKNN().params == SessionKNN.grid[0]


def test_only_the_most_similar_neighbours_are_heard():
    lists = [[0, 1], [0, 2], [0, 5, 3]]
    question = np.array([5, 0], dtype=np.int32)
    one = SessionKNN(neighbours=1, further=0.0, repeat=0.0).fit(make(lists), seed=1)
    assert one.recommend(question, 5).items.tolist() == [3]
    every = SessionKNN(neighbours=3, repeat=0.0).fit(make(lists), seed=1)
    assert sorted(every.recommend(question, 5).items.tolist()) == [1, 2, 3]


def test_of_equal_neighbours_the_newest_are_heard():
    lists = [[0, 1], [0, 2], [0, 3]]
    model = SessionKNN(neighbours=2, further=0.0, repeat=0.0, half_life=0.0).fit(
        make(lists), seed=1
    )
    assert model.recommend(np.array([0], dtype=np.int32), 5).items.tolist() == [2, 3]


def test_a_second_step_reaches_items_that_no_session_shares():
    lists = [[0, 1], [1, 2], [3, 4]]
    asked = np.array([0], dtype=np.int32)
    near = SessionKNN(further=0.0, repeat=0.0).fit(make(lists), seed=1)
    assert near.recommend(asked, 5).items.tolist() == [1]
    far = SessionKNN(repeat=0.0).fit(make(lists), seed=1)
    assert far.recommend(asked, 5).items.tolist() == [1, 2]


def test_only_the_latest_sessions_of_an_item_are_sampled():
    lists = [[0, 1], [0, 2], [0, 3]]
    model = SessionKNN(sample=1, further=0.0, repeat=0.0).fit(make(lists), seed=1)
    assert model.recommend(np.array([0], dtype=np.int32), 5).items.tolist() == [3]


def test_items_of_the_session_come_back_only_where_visitors_do():
    baskets = SessionKNN().fit(make([[0, 1, 2], [1, 2, 3], [2, 3, 0]]), seed=1)
    asked = np.array([0, 1], dtype=np.int32)
    assert not set(baskets.recommend(asked, 9).items.tolist()) & {0, 1}
    returning = SessionKNN().fit(make([[0, 1, 0, 1, 0], [1, 2, 1, 2, 1]]), seed=1)
    assert returning.recommend(asked, 1).items.tolist() == [0]


def test_events_further_back_than_fifty_are_not_looked_at():
    model = SessionKNN().fit(example_sessions(), seed=1)
    long = np.array([*range(38), *([3, 4, 5] * 20)], dtype=np.int32)
    assert np.array_equal(model.score(long), model.score(long[-50:]))


def test_threads_may_ask_at_once():
    sessions = example_sessions(2000, 200)
    model = SessionKNN().fit(sessions, seed=1)
    asked = [sessions.items[i : i + 5] for i in range(0, 3000, 5)]
    alone = [model.recommend(each, 20).items.tolist() for each in asked]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: model.recommend(each, 20).items.tolist(), asked))
    assert together == alone


def test_an_empty_session_is_refused():
    model = SessionKNN().fit(example_sessions(), seed=1)
    with pytest.raises(ModelError, match="empty session"):
        model.recommend(np.empty(0, dtype=np.int32), 5)


def test_a_model_that_is_not_fitted_says_so(tmp_path):
    with pytest.raises(ModelError, match="not fitted"):
        SessionKNN().score(np.array([1], dtype=np.int32))
    with pytest.raises(ModelError, match="not fitted"):
        SessionKNN().save(tmp_path)


@pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"sample": 0}])
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ModelError, match="=0"):
        SessionKNN(**wrong)
