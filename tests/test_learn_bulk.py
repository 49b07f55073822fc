"""Answers in bulk are those of one session after the other, whatever the shop has set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_shop import answerer, with_content
from wherry.domain.rule import Pin
from wherry.learn.answer import Answerer, Query
from wherry.learn.bulk import answers, heads
from wherry.learn.questions import Questions

PINNED = Pin(name="pinned", items=("i7",), position=2)
SHOPS = {
    "plain": answerer(),
    "few items a session": answerer(reach=2),
    "all items ranked": answerer(reach=40),
    "purchases hidden": answerer(hide_purchased=True),
    "a rule": answerer(rules=[PINNED]),
    "items without a history": with_content(),
}
places = st.lists(st.tuples(st.integers(0, 39), st.booleans()), min_size=1, max_size=4)


@pytest.mark.parametrize("shop", SHOPS.values(), ids=SHOPS)
@settings(max_examples=60, deadline=None)
@given(sessions=st.lists(places, max_size=5), k=st.integers(1, 45))
def test_each_answer_is_what_the_answerer_says_of_the_session_alone(
    shop: Answerer, sessions: list[list[tuple[int, bool]]], k: int
) -> None:
    flat = [pair for session in sessions for pair in session]
    offsets = np.cumsum([0, *map(len, sessions)])
    questions = Questions(np.array([code for code, _ in flat], dtype=np.int32), offsets)
    bought = np.array([is_bought for _, is_bought in flat], dtype=np.bool_)
    given = answers(shop, questions, bought, heads(shop, questions, k), k)
    ids = shop.vocabulary.ids
    for row, session in enumerate(sessions):
        alone = shop.answer(
            Query(
                session=[ids[code] for code, _ in session],
                k=k,
                purchased=[ids[code] for code, is_bought in session if is_bought],
            )
        )
        size = len(alone.items)
        assert given.items[row].tolist() == [*alone.items.tolist(), *[-1] * (k - size)]
        assert given.scores[row].tolist() == [*alone.scores.tolist(), *[0] * (k - size)]
        assert given.from_model[row] == alone.from_model
        assert given.fallbacks[row] == alone.fallback


def test_a_session_that_the_model_knows_nothing_of_has_an_empty_head() -> None:
    shop = SHOPS["items without a history"]
    codes = [0, shop.n_learned, 1]
    questions = Questions(np.array(codes, dtype=np.int32), np.array([0, 1, 2, 3]))
    found = heads(shop, questions, 3)
    assert (found.items[1] == -1).all()
    assert found.items[2].tolist() == heads(shop, questions.part(2, 3), 3).items[0].tolist()
