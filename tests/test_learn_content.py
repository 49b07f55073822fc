from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherry.domain import ContentRecipe
from wherry.learn.content import DECAY, LEAST, SHORT, Content
from wherry.learn.ranking import Ranking
from wherry.learn.texts import weigh

TEXTS = [
    {"lamp": 1.0, "red": 1.0},  # 0 to 3 have a history
    {"lamp": 1.0, "blue": 1.0},
    {"chair": 1.0, "red": 1.0},
    {"chair": 1.0, "oak": 1.0},
    {"lamp": 1.0, "red": 1.0, "tall": 1.0},  # 4 is rare, 5 to 7 only the catalogue knows
    {"chair": 1.0, "blue": 1.0},
    {"lamp": 1.0, "oak": 1.0},
    {"ladder": 1.0},
]
COUNTS = np.array([9, 9, 9, 9, 2])


def content(*thresholds: float, places: int = 0, hidden: int | None = None) -> Content:
    recipe = ContentRecipe(fewer_than=5, places=places, thresholds=thresholds)
    return Content.build(weigh(TEXTS), COUNTS, np.arange(8) != hidden, recipe)


def codes(*items: int) -> np.ndarray:
    return np.array(items, dtype=np.int32)


def ranking(*items: int) -> Ranking:
    return Ranking(codes(*items), np.arange(len(items), 0, -1).astype(np.float32))


def test_only_items_without_a_history_are_suggested_the_most_alike_first() -> None:
    found = content().suggest(codes(0), 99)
    assert found.items.tolist() == [4, 6]
    assert (np.diff(found.scores) < 0).all()
    assert content().suggest(codes(0), 1).items.tolist() == [4]
    assert content(hidden=4).suggest(codes(0), 99).items.tolist() == [6]


def test_of_a_session_later_items_count_more_and_each_once() -> None:
    one, other = content().suggest(codes(0), 99), content().suggest(codes(3), 99)
    both = content().suggest(codes(3, 0), 99)
    scores = dict(zip(both.items.tolist(), both.scores.tolist(), strict=True))
    by_first = dict(zip(one.items.tolist(), one.scores.tolist(), strict=True))
    by_other = dict(zip(other.items.tolist(), other.scores.tolist(), strict=True))
    assert scores[6] == pytest.approx(by_first[6] + DECAY * by_other[6])
    again = content().suggest(codes(0, 0), 99)
    assert again.scores.tolist() == one.scores.tolist()


def test_an_item_of_the_session_is_not_suggested() -> None:
    assert 4 not in content().suggest(codes(4, 0), 99).items
    assert content().suggest(codes(), 99).items.tolist() == []


def test_an_item_without_a_history_has_neighbours_of_any_kind() -> None:
    assert content().neighbours(codes(5), 99).items.tolist()[:3] != []
    assert {1, 2, 3} <= set(content().neighbours(codes(5), 99).items.tolist())
    assert content().neighbours(codes(0), 99).items.tolist() == []


def test_an_item_goes_before_the_first_place_whose_threshold_it_reaches() -> None:
    suggested = Ranking(codes(6, 7), np.array([0.8, 0.4], dtype=np.float32))
    merged = content(0.9, 0.8, 0.5, 0.4).merge(ranking(0, 1, 2, 3, 4), suggested, 5)
    assert merged.items.tolist() == [0, 6, 1, 2, 7]
    assert merged.scores.tolist() == [5, 4, 4, 3, 2]
    merged = content(0.9, 0.9).merge(ranking(0, 1, 2), suggested, 3)
    assert merged.items.tolist() == [0, 1, 2]


def test_the_last_place_of_a_long_answer_is_kept_for_one() -> None:
    suggested = Ranking(codes(6, 7), np.array([LEAST + 0.1, LEAST / 2], dtype=np.float32))
    long = ranking(*[0, 1, 2, 3] * 3)
    merged = content(0.9, places=2).merge(long, suggested, SHORT)
    assert merged.items.tolist() == [*long.items[: SHORT - 1].tolist(), 6]  # 7 is not like enough
    assert (np.diff(merged.scores) <= 0).all()
    short = content(0.9, places=1).merge(long, suggested, SHORT - 1)
    assert 6 not in short.items
    entered = content(0.3, places=1).merge(long, suggested, SHORT)
    assert entered.items.tolist() == [6, *long.items[: SHORT - 1].tolist()]


def test_an_answer_with_room_keeps_all_of_the_models_items() -> None:
    suggested = Ranking(codes(6), np.array([LEAST], dtype=np.float32))
    assert content(0.9, places=1).merge(ranking(0, 1), suggested, 10).items.tolist() == [0, 1, 6]


def test_what_carries_a_suggestion_are_the_sessions_items_by_weight() -> None:
    made = content()
    parts = made.carriers(codes(3, 0), 6)
    assert [code for code, _ in parts] == [0, 3] or parts[0][1] >= parts[1][1]
    suggested = made.suggest(codes(3, 0), 99)
    total = suggested.scores[suggested.items == 6][0]
    assert sum(weight for _, weight in parts) == pytest.approx(total)


def test_saved_content_suggests_the_same(tmp_path: Path) -> None:
    made = content(0.9, 0.2, places=1)
    made.save(tmp_path)
    loaded = Content.load(tmp_path)
    for session in (codes(0), codes(5, 3)):
        for one, other in (
            (made.suggest(session, 99), loaded.suggest(session, 99)),
            (made.neighbours(session, 99), loaded.neighbours(session, 99)),
        ):
            assert one.items.tolist() == other.items.tolist()
            assert one.scores.tolist() == other.scores.tolist()
    assert loaded.thresholds.tolist() == made.thresholds.tolist()
    assert (loaded.n_learned, loaded.places, len(loaded)) == (5, 1, 8)
