from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.learn import likes
from wherry.learn.likes import find_likes
from wherry.learn.texts import weigh

WORDS = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.just(1.0), max_size=4), min_size=1, max_size=9
)


@given(WORDS, st.data())
@settings(max_examples=100, deadline=None)
def test_likes_agree_with_the_squared_cosines_of_all_pairs(
    texts: list, data: st.DataObject
) -> None:
    n = len(texts)
    mask = st.lists(st.booleans(), min_size=n, max_size=n)
    sources, among = (np.array(data.draw(mask)) for _ in range(2))
    terms = weigh(texts)
    dense = np.zeros((n, terms.n_terms))
    owner = np.repeat(np.arange(n), np.diff(terms.offsets))
    dense[owner, terms.terms] = terms.weights
    cosines = dense @ dense.T
    found = find_likes(terms, sources, among, 3)
    for item in range(n):
        mine = slice(found.offsets[item], found.offsets[item + 1])
        close = [
            j for j in range(n) if sources[item] and among[j] and j != item and cosines[item, j] > 0
        ]
        expected = sorted(cosines[item, close] ** 2, reverse=True)[:3]
        assert found.weights[mine].tolist() == pytest.approx(expected, abs=1e-5)
        assert set(found.items[mine].tolist()) <= set(close)


def test_words_beyond_the_budget_do_not_count(monkeypatch):
    everywhere = [{"common": 1.0, f"own{i}": 1.0} for i in range(60)]
    rare = [{"rare": 1.0, "common": 1.0}, {"rare": 1.0}, {"other": 1.0}]
    all_of = np.ones(63, dtype=np.bool_)
    terms = weigh([*rare, *everywhere])
    assert len(find_likes(terms, all_of, all_of, 99).items) > 60
    monkeypatch.setattr(likes, "BUDGET", 20)
    bounded = likes._find.py_func(*terms, all_of, all_of, 99)  # compiled, the bound is fixed
    assert bounded.items[: bounded.offsets[1]].tolist() == [1]
