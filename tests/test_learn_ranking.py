import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wherry.learn.ranking import rank, spread_out, top, top_of

# Few distinct values, so that ties are common.
SCORES = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
)


@settings(deadline=None)  # the first call compiles
@given(SCORES, st.integers(0, 50))
def test_the_top_is_the_head_of_a_full_sort(scores, k):
    order = sorted(range(len(scores)), key=lambda item: (-scores[item], item))
    expected = [item for item in order if scores[item] > -np.inf][:k]
    best = top(scores, k)
    assert best.items.tolist() == expected
    assert best.scores.tolist() == scores[expected].tolist()
    assert (best.items.dtype, best.scores.dtype) == (np.int32, np.float32)


@settings(deadline=None)  # the first call compiles
@given(SCORES, st.integers(1, 50), st.randoms(use_true_random=False))
def test_the_top_does_not_depend_on_the_order_it_is_given_in(scores, k, random):
    codes = np.arange(len(scores), dtype=np.int32)
    mixed = np.array(random.sample(range(len(scores)), len(scores)), dtype=np.int32)
    assert top_of(codes[mixed], scores[mixed], k).items.tolist() == top(scores, k).items.tolist()


@settings(deadline=None)  # the first call compiles
@given(SCORES)
def test_ties_count_against_the_target(scores):
    for item, score in enumerate(scores):
        expected = 0 if score == -np.inf else sum(other >= score for other in scores)
        assert rank(scores, item) == expected


def test_an_unknown_target_has_no_rank():
    assert rank(np.ones(3, dtype=np.float32), -1) == 0


def test_items_that_are_not_named_are_unscored():
    full = spread_out(np.array([2, 0], dtype=np.int32), np.array([0.5, 1.0], dtype=np.float32), 4)
    assert full.tolist() == [1.0, -np.inf, 0.5, -np.inf]
