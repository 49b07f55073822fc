from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherry.learn.filling import SPARE, by_category, head_of, kept
from wherry.learn.ranking import Ranking

N = 4 * SPARE


@given(
    st.permutations(range(N)),
    st.integers(0, N),
    st.sets(st.integers(0, N - 1)),
    st.sets(st.integers(0, N - 1), max_size=10),
)
def test_the_head_is_the_first_that_are_allowed_and_not_taken(
    ranked: list[int], need: int, allowed: set[int], taken: set[int]
) -> None:
    mask = np.array([code in allowed for code in range(N)])
    expected = [code for code in ranked if code in allowed and code not in taken][:need]
    assert head_of(np.array(ranked, dtype=np.int32), need, mask, taken) == expected


def test_a_ranking_is_kept_without_what_is_taken_or_not_allowed() -> None:
    ranking = Ranking(np.array([3, 1, 0], np.int32), np.array([9, 8, 7], np.float32))
    found = kept(ranking, np.array([True, True, True, False]), {1})
    assert (found.items.tolist(), found.scores.tolist()) == ([0], [7])


def test_a_list_is_parted_by_category_in_its_order() -> None:
    parts = by_category(np.array([4, 2, 0, 3], np.int32), np.array([7, 0, 7, -1, 5], np.int32))
    assert {row: part.tolist() for row, part in parts.items()} == {5: [4], 7: [2, 0]}
