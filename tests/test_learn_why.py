"""Why: the explanations of an answer, in ids, names and words."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from serve_shop import IDS, Nearby, answerer, items_table, with_content
from wherry.domain import Why
from wherry.learn.answer import Answer, Answerer, Query
from wherry.learn.catalogue import Catalogue
from wherry.learn.features import FEATURES
from wherry.learn.knn import SessionKNN
from wherry.learn.neural import GRU4Rec
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.learn.twostage import NEURAL
from wherry.learn.why import FEATURE_WORDS, why


def asked(shop: Answerer, *session: str, k: int = 3, **details: object) -> list[Why]:
    query = Query(session=session, k=k, **details)  # type: ignore[arg-type]
    return why(shop, query, shop.answer(query))


def knn_shop() -> Answerer:
    """Fourteen sessions go from i1 over i2 to i3; ten others from i1 back
    to i1; others have nothing to do with these."""
    lists = [[1, 2, 3]] * 14 + [[1, 4, 1]] * 10 + [[6, 7, 8]] * 60
    owner = np.repeat(np.arange(len(lists)), 3)
    sessions = Sessions.from_events(
        owner, np.concatenate(lists), owner * 86_400_000 + np.arange(len(owner)), n_items=40
    )
    return Answerer(
        SessionKNN().fit(sessions, seed=1),
        Vocabulary(IDS),
        Catalogue.from_table(IDS, items_table()),
        np.arange(1, 41, dtype=np.float32),
    )


def test_the_words_name_items_sessions_and_steps_back() -> None:
    told = asked(knn_shop(), "i1", "i2", k=4)
    assert [each.words for each in told] == [
        "because you looked at Item 2 (80%) and Item 1 (20%); "
        "14 sessions like this one went on to it",
        "because you looked at Item 2 (63%) and Item 1 (37%); "
        "10 sessions like this one went on to it",
        "because you looked at Item 2 (10%); 24 sessions like this one went on to it; "
        "seen before in this session, 1 step back",
        "because you looked at it (79%) and Item 1 (21%); "
        "14 sessions like this one went on to it; it is what was just looked at",
    ]
    for each in told:
        assert sum(part.share for part in each.parts) == pytest.approx(1, abs=1e-3)


def test_a_neighbour_is_its_items_and_its_age_and_nobody() -> None:
    (each,) = asked(knn_shop(), "i2", k=1)
    (first, *_) = each.neighbours
    assert first.items == ["i1", "i2", "i3"]
    assert first.age_days is not None
    assert set(msgspec.to_builtins(first)) == {"items", "age_days", "weight"}


def test_what_fills_up_is_popular_here_or_anywhere() -> None:
    shop = answerer(reach=1)
    (told,) = asked(shop, "new", k=1)
    assert told.words == "popular in c2 now"
    assert [part.carrier for part in told.parts] == ["popularity"]
    assert {each.words for each in asked(shop, k=2)} == {"popular now"}
    mixed = asked(shop, "i5", k=20)
    assert mixed[0].words == "because you looked at it (100%)"
    assert mixed[-1].words == "popular now"


def test_popularity_as_the_model_is_popular_whatever_fills_up() -> None:
    shop = Answerer(
        Popularity()._know(np.where(np.arange(40) < 2, 1.0, -np.inf).astype(np.float32)),
        Vocabulary(IDS),
        Catalogue.from_table(IDS, items_table()),
        np.arange(1, 41, dtype=np.float32),
    )
    told = asked(shop, "i2", k=3)
    assert [each.words for each in told] == [
        "popular now",
        "popular in c2 now",
        "popular in c2 now",
    ]


def test_an_item_that_the_model_does_not_score_stands_there_by_a_rule() -> None:
    shop = answerer(reach=1)
    answer = Answer(np.array([30, 6], dtype=np.int32), np.array([9, 8], dtype=np.float32), 2, None)
    told = why(shop, Query(session=["i5"], k=2), answer)
    assert told[0].words == "a rule of the shop puts it here"
    assert told[1].words.startswith("because you looked at Item 5")


def test_items_together_are_told_where_none_alone_carries() -> None:
    class Any(Nearby):
        def score(self, session, *, now=None):  # type: ignore[no-untyped-def]
            return np.arange(40, dtype=np.float32)

    shop = Answerer(
        Any(), Vocabulary(IDS), Catalogue.unknown(40), np.arange(1, 41, dtype=np.float32)
    )
    told = asked(shop, "i1", "i2", k=1)
    assert told[0].words == "the items of this session together speak for it"


def test_every_feature_has_words() -> None:
    assert set(FEATURE_WORDS) == {*FEATURES, *NEURAL}


def test_every_answer_can_be_told_as_json_and_read_back() -> None:
    told = asked(knn_shop(), "i1", "i2", k=10)
    assert msgspec.json.decode(msgspec.json.encode(told), type=list[Why]) == told


@pytest.mark.parametrize("model", [GRU4Rec])
def test_a_neural_model_is_explained_by_leaving_items_out(model: type[GRU4Rec]) -> None:
    pytest.importorskip("jax", reason="wherry[neural] is not installed")
    rng = np.random.default_rng(1)
    starts = rng.integers(0, 40, 300)
    items = (starts[:, None] + np.arange(3)).ravel() % 40
    owner = np.repeat(np.arange(300), 3)
    sessions = Sessions.from_events(owner, items, np.arange(900) * 1000, n_items=40)
    shop = Answerer(
        model(dimensions=16, epochs=2, negatives=32, batch=64).fit(sessions, seed=1),
        Vocabulary(IDS),
        Catalogue.unknown(40),
        np.arange(1, 41, dtype=np.float32),
    )
    query = Query(session=["i1", "i2"], k=2)
    answer = shop.answer(query)
    for each, score in zip(why(shop, query, answer), answer.scores.tolist(), strict=True):
        assert {part.carrier for part in each.parts} <= {"history", "together"}
        assert sum(part.weight for part in each.parts) == pytest.approx(score, rel=1e-5)


def test_an_item_without_a_history_is_explained_by_what_it_is_like() -> None:
    shop = with_content(2.0, 0.5)
    new = asked(shop, "i2", "i1", k=4)[1]
    assert new.words == "it is like Item 1, by its description"
    assert [(part.carrier, part.item, part.back) for part in new.parts] == [("content", "i1", 0)]
    (filled,) = asked(shop, "newer", k=1)
    assert filled.words.startswith("it is like ")
