from collections import defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.learn.pairs import count_pairs, events_by_item

N = 7
LISTS = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=9), min_size=1, max_size=12)


def flat(lists):
    offsets = np.cumsum([0, *(len(each) for each in lists)]).astype(np.int64)
    return offsets, np.concatenate(lists).astype(np.int32)


def counted(lists, *, window=3, spread=1.0, backwards=0.5, keep=N, latest=10**6):
    offsets, items = flat(lists)
    weights = 1 + np.arange(len(items), dtype=np.float32) % 3
    ones = np.ones(N, dtype=np.float32)
    return count_pairs(offsets, items, weights, ones, window, spread, backwards, keep, latest)


@settings(deadline=None)
@given(LISTS)
def test_shares_agree_with_a_naive_count(lists):
    offsets, items = flat(lists)
    expected = defaultdict(lambda: defaultdict(float))
    for start, stop in pairwise(offsets):
        for event in range(start, stop):
            for other in range(max(start, event - 3), min(stop, event + 4)):
                if items[other] != items[event]:
                    gain = (1 + other % 3) / abs(other - event) * (0.5 if other < event else 1)
                    expected[items[event]][items[other]] += gain
    near = counted(lists)
    for item in range(N):
        mine = slice(near.offsets[item], near.offsets[item + 1])
        found = dict(zip(near.items[mine].tolist(), near.weights[mine].tolist(), strict=True))
        total = sum(expected[item].values())
        naive = {other: weight / total for other, weight in expected[item].items()}
        assert found.keys() == naive.keys()
        assert all(np.isclose(found[other], naive[other], rtol=1e-4) for other in naive)
        assert (np.diff(near.weights[mine]) <= 0).all()


def test_the_heaviest_are_kept_and_of_equals_the_lower_number():
    near = counted([[0, 4], [0, 2], [0, 3]], keep=2)
    assert near.items[near.offsets[0] : near.offsets[1]].tolist() == [3, 4]
    near = count_pairs(
        *flat([[0, 5], [0, 2], [0, 3]]),
        np.ones(6, dtype=np.float32), np.ones(N, dtype=np.float32), 3, 1.0, 1.0, 2, 99,
    )  # fmt: skip
    assert near.items[near.offsets[0] : near.offsets[1]].tolist() == [2, 3]


def test_only_the_latest_events_of_an_item_are_looked_at():
    near = counted([[0, 1], [0, 2], [0, 3]], latest=2)
    assert set(near.items[near.offsets[0] : near.offsets[1]].tolist()) == {2, 3}


def test_the_events_of_an_item_come_oldest_first_with_their_session():
    starts, events, sessions = events_by_item(*flat([[0, 1], [1, 0, 1]]), N)
    assert events[starts[1] : starts[2]].tolist() == [1, 2, 4]
    assert sessions[starts[1] : starts[2]].tolist() == [0, 1, 1]
