from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_shop import IDS, N, Nearby, answerer, with_content
from wherry.domain import Range
from wherry.errors import ModelError, UsageError
from wherry.learn.answer import Answer, Answerer, Fallback, Query
from wherry.learn.catalogue import Catalogue
from wherry.learn.ranking import UNSCORED
from wherry.learn.sessions import Vocabulary

SHOP = answerer(hide_purchased=True)
UNCHECKED = Answerer(
    Nearby(), Vocabulary(IDS), Catalogue.unknown(N), np.arange(1, N + 1, dtype=np.float32)
)

items = st.lists(st.sampled_from([*IDS, "new", "unheard of"]), max_size=6)
filters = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from(["c0", "c1", ["c2", "c3"], "c9"]),
        "brand": st.sampled_from(["b0", ["b1", "b2"]]),
        "price": st.sampled_from([Range(10, 20), Range(None, 5), Range(30, None)]),
    },
)
queries = st.builds(
    Query,
    session=items,
    k=st.integers(1, 45),
    filter=filters,
    exclude=items,
    purchased=items,
)


def naive(shop: Answerer, query: Query) -> tuple[list[int], int]:
    """The same answer in the plainest words: sort everything, then leave out."""
    catalogue = shop.catalogue
    hidden = [*query.exclude, *(query.purchased if shop.hide_purchased else ())]
    allowed = [
        code
        for code in np.flatnonzero(catalogue.matching(query.filter)).tolist()
        if IDS[code] not in hidden
    ]
    session = shop.vocabulary.codes(query.session)
    scores = shop.model.score(session) if len(session) else np.full(N, UNSCORED)
    ranked = sorted((c for c in allowed if scores[c] > UNSCORED), key=lambda c: (-scores[c], c))
    ranked = ranked[: query.k]
    wanted = query.filter.get("category")
    if wanted is None:
        known = [i for i in query.session if i in IDS] or [i for i in query.session if i == "new"]
        wanted = None if not known else "c2" if known[-1] == "new" else f"c{int(known[-1][1:]) % 4}"
    near = [c for c in allowed if f"c{c % 4}" == wanted] if isinstance(wanted, str) else []
    popular = sorted(near, reverse=True) + sorted(set(allowed) - set(near), reverse=True)
    fill = [c for c in popular if c not in ranked]
    return [*ranked, *fill][: query.k], len(ranked)


@given(queries)
@settings(max_examples=300, deadline=None)
def test_the_answer_is_that_of_sorting_everything_and_leaving_out(query: Query) -> None:
    expected, from_model = naive(SHOP, query)
    answer = SHOP.answer(query)
    assert answer.items.tolist() == expected
    assert answer.from_model == from_model
    assert (answer.fallback is None) == (from_model == len(expected) > 0)


@given(queries)
@settings(max_examples=100, deadline=None)
def test_what_may_not_be_shown_never_is(query: Query) -> None:
    shown = [IDS[code] for code in SHOP.answer(query).items]
    assert not set(shown) & {*query.exclude, *query.purchased}
    assert not set(shown) & {f"i{code}" for code in range(0, N, 10)}
    assert len(set(shown)) == len(shown) <= query.k


@given(queries, st.lists(st.just("unheard of"), max_size=3))
@settings(max_examples=100, deadline=None)
def test_ids_that_nobody_knows_change_nothing(query: Query, unknown: list[str]) -> None:
    more = Query(
        [*unknown, *query.session, *unknown], query.k, query.filter, query.exclude, query.purchased
    )
    assert same(SHOP.answer(query), SHOP.answer(more))


def same(one: Answer, other: Answer) -> bool:
    return (
        one.items.tolist() == other.items.tolist()
        and one.scores.tolist() == other.scores.tolist()
        and one[2:] == other[2:]
    )


def test_an_empty_session_gets_what_is_popular_and_is_told() -> None:
    answer = SHOP.answer(Query([], 3))
    assert answer.items.tolist() == [39, 38, 37]
    assert answer.scores.tolist() == [40, 39, 38]
    assert (answer.from_model, answer.fallback) == (0, Fallback.POPULAR)


def test_an_item_that_only_the_catalogue_knows_gets_what_is_popular_in_its_category() -> None:
    answer = SHOP.answer(Query(["unheard of", "new"], 3))
    assert answer.items.tolist() == [38, 34, 26]  # 30 is not available
    assert answer.fallback is Fallback.POPULAR_IN_CATEGORY


def test_the_fallback_names_the_category_only_if_it_filled_every_place() -> None:
    answer = SHOP.answer(Query(["new"], 9))
    assert answer.items.tolist() == [38, 34, 26, 22, 18, 14, 6, 2, 39]
    assert answer.fallback is Fallback.POPULAR


def test_places_that_the_model_leaves_are_filled_from_the_sessions_category() -> None:
    answer = answerer(reach=1).answer(Query(["i21"], 5))
    assert answer.items.tolist() == [21, 22, 37, 33, 29]
    assert (answer.from_model, answer.fallback) == (2, Fallback.POPULAR_IN_CATEGORY)


def test_an_item_just_bought_is_hidden_only_where_that_is_so_set() -> None:
    query = Query(["i21"], 1, purchased=["i21"])
    assert SHOP.answer(query).items.tolist() == [22]
    assert answerer().answer(query).items.tolist() == [21]


def test_a_filter_that_nothing_matches_gives_an_empty_answer() -> None:
    answer = SHOP.answer(Query(["i1"], 5, {"brand": "nobody"}))
    assert answer.items.tolist() == []
    assert answer.scores.dtype == np.float32


def test_a_filter_by_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        SHOP.answer(Query(["i1"], 5, {"colour": "red"}))


def test_without_a_catalogue_the_models_own_ranking_is_the_answer() -> None:
    answer = UNCHECKED.answer(Query(["i20"], 4))
    assert answer.items.tolist() == [20, 19, 21, 18]
    assert answer.fallback is None
    assert UNCHECKED.answer(Query(["i20"], 3, exclude=["i19"])).items.tolist() == [20, 21, 18]


def test_a_shop_without_items_answers_with_nothing() -> None:
    empty = Answerer(Nearby(), Vocabulary([]), Catalogue.unknown(0), np.empty(0, np.float32))
    assert empty.answer(Query(["i1"], 5)).items.tolist() == []


def test_a_saved_answerer_answers_the_same(tmp_path: Path) -> None:
    SHOP.save(tmp_path)
    loaded = Answerer.load(tmp_path, Nearby.load)
    for query in (Query(["i5"]), Query(["new"], 3), Query(["i5"], 3, purchased=["i5", "i6"])):
        assert same(loaded.answer(query), SHOP.answer(query))
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".npy", ".json"}


def test_an_answerer_that_lacks_a_file_names_it(tmp_path: Path) -> None:
    SHOP.save(tmp_path)
    (tmp_path / "answer.json").unlink()
    with pytest.raises(ModelError, match=r"answer\.json"):
        Answerer.load(tmp_path, Nearby.load)


def test_parts_of_different_vocabularies_are_refused() -> None:
    with pytest.raises(ModelError, match="40 items, the catalogue 3"):
        Answerer(Nearby(), Vocabulary(IDS), Catalogue.unknown(3), np.empty(3, np.float32))


def test_an_item_that_no_model_knows_stands_where_its_likeness_puts_it() -> None:
    answer = with_content(2.0, 0.5).answer(Query(["i1"], 4))
    assert answer.items.tolist() == [1, 40, 2, 3]
    assert answer.scores.tolist() == [100, 99, 99, 98]
    assert (answer.from_model, answer.fallback) == (4, None)
    plain = with_content(2.0, 2.0).answer(Query(["i1"], 4))
    assert same(plain, SHOP.answer(Query(["i1"], 4)))


def test_what_is_excluded_or_filtered_out_is_not_put_in_by_its_texts() -> None:
    shop = with_content(0.1)
    assert shop.answer(Query(["i1"], 3)).items.tolist() == [40, 1, 2]
    assert 40 not in shop.answer(Query(["i1"], 3, exclude=["new"])).items
    assert 40 not in shop.answer(Query(["i1"], 3, {"category": "c1"})).items
    assert 40 in shop.answer(Query(["i1"], 3, {"category": "c2"})).items


def test_a_session_of_items_that_no_model_knows_gets_what_is_like_them() -> None:
    answer = with_content().answer(Query(["newer"], 3))
    assert answer.items.tolist() == [22, 2, 39]
    assert (answer.from_model, answer.fallback) == (0, Fallback.POPULAR)
    assert with_content().answer(Query(["newer"], 2)).fallback is Fallback.SIMILAR


def test_the_model_is_asked_about_the_items_that_it_knows() -> None:
    assert with_content().answer(Query(["i20", "new"], 3)).items.tolist() == [19, 21, 18]


def test_an_answerer_with_content_comes_back_the_same(tmp_path: Path) -> None:
    shop = with_content(2.0, 0.5, places=1)
    shop.save(tmp_path)
    loaded = Answerer.load(tmp_path, Nearby.load)
    for session in (["i1"], ["newer"], ["i1", "new"], []):
        assert same(loaded.answer(Query(session, 12)), shop.answer(Query(session, 12)))
    assert loaded.n_learned == N
