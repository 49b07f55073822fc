"""Answers in bulk are those of one session after the other, whatever the shop has set."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_shop import IDS, Many, answerer, with_content
from wherry.domain.rule import Block, Pin
from wherry.learn.answer import Answerer, Query
from wherry.learn.bulk import answers, heads, together
from wherry.learn.questions import Questions

PINNED = Pin(name="pinned", items=("i7",), position=2)
SHOPS = {
    "plain": answerer(),
    "all may be shown": answerer(available=[True] * 41),
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


ids = st.sampled_from([*IDS, "new", "nobody knows"])
queries = st.builds(
    Query,
    session=st.lists(ids, max_size=4),
    k=st.integers(1, 45),
    exclude=st.lists(ids, max_size=2),
    purchased=st.lists(ids, max_size=2),
    filter=st.sampled_from([{}, {}, {"category": "c1"}]),
    rules=st.sampled_from([(), (), (Block(name="b", items=("i9",)),)]),
)


@pytest.mark.parametrize("shop", SHOPS.values(), ids=SHOPS)
@settings(max_examples=60, deadline=None)
@given(asked=st.lists(queries, max_size=6))
def test_a_query_with_its_head_is_answered_as_without(shop: Answerer, asked: list[Query]) -> None:
    many = copy.copy(shop)
    many.model = many.ranks_many = Many(reach=getattr(shop.model, "reach", 12))
    for query, ranked in zip(asked, together(many, asked, by="r@1"), strict=True):
        alone, found = shop.answer(query), many.answer(ranked)
        assert found.items.tolist() == alone.items.tolist()
        assert found.scores.tolist() == alone.scores.tolist()
        assert found[2:] == alone[2:]


def test_a_model_that_ranks_one_at_a_time_is_not_asked_together() -> None:
    asked = [Query(["i3"]), Query(["i4"])]
    assert together(SHOPS["plain"], asked, by="r@1") == asked
