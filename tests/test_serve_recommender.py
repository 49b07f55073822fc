from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from serve_shop import Nearby, answerer, load, release, write_release
from wherry.errors import ModelError, UsageError
from wherry.learn.answer import Made
from wherry.serve import Fallback, Query, Recommendation, Recommender, load_recommender


def test_an_answer_carries_item_score_name_and_release() -> None:
    recommender = Recommender(answerer(), name="recommender", version=3)
    answer = recommender.recommend(Query(["i21"], 2), request_id="r1")
    assert msgspec.to_builtins(answer) == {
        "items": [
            {"item": "i21", "name": "Item 21", "score": 100.0},
            {"item": "i22", "name": "Item 22", "score": 99.0},
        ],
        "model": "recommender@3",
        "tenant": "default",
        "from_model": 2,
        "fallback": None,
        "source": "model",
        "request_id": "r1",
    }


@pytest.mark.parametrize(
    "query",
    [Query(["i21"], 3), Query(["new"], 1), Query([], 40), Query(["i1"], 3, {"brand": "nobody"})],
)
def test_the_json_says_what_the_answer_says(query: Query) -> None:
    recommender = Recommender(answerer(), name='re"commender', version=3)
    answer = recommender.recommend(query, request_id="r1")
    body, told = recommender.recommend_json(query, request_id="r1")
    assert msgspec.json.decode(body, type=Recommendation) == answer
    assert msgspec.json.decode(body) == msgspec.json.decode(msgspec.json.encode(answer))
    assert (told.from_model, told.fallback) == (answer.from_model, answer.fallback)


def test_a_filter_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        Recommender(answerer()).recommend(Query(filter={"colour": "red"}))


def test_a_release_is_read_back_with_its_name_and_version(tmp_path: Path) -> None:
    write_release(tmp_path)
    assert load(release(7, "north"), tmp_path).label == "recommender@7"
    assert load_recommender(tmp_path, Nearby.load).label == "recommender@0"
    (tmp_path / "release.json").write_bytes(msgspec.json.encode(release(4, "north")))
    told = load_recommender(tmp_path, Nearby.load)
    assert (told.label, told.tenant) == ("recommender@4", "north")


def test_a_release_that_is_cut_short_names_the_file(tmp_path: Path) -> None:
    write_release(tmp_path)
    (tmp_path / "release.json").write_text("{")
    with pytest.raises(ModelError, match=r"release\.json"):
        load_recommender(tmp_path, Nearby.load)


def test_warming_up_asks_on_every_path() -> None:
    asked = []

    class Watched(Recommender):
        def recommend(self, query: Query, *, request_id: str = "") -> object:  # type: ignore[override]
            answer = super().recommend(query, request_id=request_id)
            asked.append((bool(query.session), bool(query.filter), answer.fallback))
            return answer

    Watched(answerer()).warm_up()
    assert {has_session for has_session, _, _ in asked} == {True, False}
    assert {has_filter for _, has_filter, _ in asked} == {True, False}
    assert {fallback for _, _, fallback in asked} >= {None, Fallback.POPULAR}


def test_what_another_release_made_beforehand_is_not_looked_at() -> None:
    recommender = Recommender(answerer(), name="recommender", version=3)
    items, scores = np.array([7, 8], dtype=np.int32), np.array([2, 1], dtype=np.float32)
    for by, first, source in (
        ("recommender@3", "i7", "precomputed"),
        ("recommender@2", "i21", "model"),
    ):
        query = Query(["i21"], 2, made=Made(items, scores, is_all=False, by=by))
        told = recommender.recommend(query)
        assert (told.items[0].item, told.source) == (first, source)
        body, _ = recommender.recommend_json(query)
        assert msgspec.json.decode(body)["items"][0]["item"] == first
        assert msgspec.json.decode(body)["source"] == source
        assert recommender.explain(query).source == source
