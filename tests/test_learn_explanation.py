"""Explanations: their parts add up, and they name what carried an item and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.blend import Blend
from wherry.learn.covisits import Covisits
from wherry.learn.explanation import LEFT_OUT, Carrier, explain, leave_out
from wherry.learn.knn import SessionKNN
from wherry.learn.model import Model
from wherry.learn.popularity import Popularity
from wherry.learn.ranking import UNSCORED, top
from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions
from wherry.testing import example_sessions

MODELS = [
    Popularity(),
    Rules(),
    Rules(memory=0.0),
    Covisits(),
    Covisits(repeat=0.5, half_life=3.0),
    SessionKNN(),
    SessionKNN(neighbours=20, repeat=0.5, further=0.5),
    SessionKNN(neighbours=3, further=0.0, half_life=0.0),
    Blend(),
    Blend(near=0.8),
]
QUESTIONS = ([3], [5, 9], [2, 2], [4, 8, 4, 1], [*range(12)] * 8, [59], [59, 0])


def session(*items: int) -> np.ndarray:
    return np.array(items, dtype=np.int32)


def lists(*items: list[int], n_items: int) -> Sessions:
    owner = np.repeat(np.arange(len(items)), [len(each) for each in items])
    times = owner * 86_400_000 + np.arange(len(owner))
    return Sessions.from_events(owner, np.concatenate(items), times, n_items=n_items)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: f"{m.name} {sorted(m.params.items())[0]}")
def test_the_parts_add_up_to_the_score_that_the_model_gives(model: Model) -> None:
    model.fit(example_sessions(400, 60), seed=1)
    for question in QUESTIONS:
        items, scores = model.recommend(session(*question), 50)
        told = explain(model, session(*question), items.tolist())
        assert [each.item for each in told] == items.tolist()
        assert [each.score for each in told] == pytest.approx(scores.tolist(), rel=1e-5, abs=1e-7)
        for each in told:
            assert sum(part.weight for part in each.parts) == pytest.approx(each.score, rel=1e-9)


def test_of_the_knn_neighbours_and_items_in_between_bring_what_the_history_brings() -> None:
    model = SessionKNN().fit(example_sessions(400, 60), seed=1)
    found = model.trace(session(4, 8, 4, 1))
    for item in model.recommend(session(4, 8, 4, 1), 30).items.tolist():
        direct = found.by_neighbours(item)[1].sum()
        between = sum(weight for _, weight in found.through(item))
        assert direct + between == pytest.approx(found.by_own(item).sum(), rel=1e-9)


def test_the_knn_names_the_sessions_that_held_the_item_and_their_age() -> None:
    model = SessionKNN(further=0.0).fit(lists([7, 8], [0, 1, 2], [3, 4], n_items=9), seed=1)
    (told,) = explain(model, session(5, 1), [2])
    assert [(part.carrier, part.item, part.back) for part in told.parts] == [("history", 1, 0)]
    (neighbour,) = told.neighbours
    assert (neighbour.items, told.n_neighbours) == ((0, 1, 2), 1)
    assert neighbour.age_days == pytest.approx(1.0, abs=0.1)
    assert told.by_neighbours == pytest.approx(told.score)


def test_an_item_that_no_neighbour_holds_came_through_others() -> None:
    sessions = lists([1, 2], [1, 2], [2, 3], [2, 3], n_items=5)
    model = SessionKNN(repeat=1.0).fit(sessions, seed=1)
    (told,) = explain(model, session(1), [3])
    assert told.n_neighbours == 0
    assert [item for item, _ in told.through] == [2]
    assert sum(weight for _, weight in told.through) == pytest.approx(told.score)


@pytest.mark.parametrize("model", [SessionKNN(), Covisits(), Blend()])
def test_a_repeat_says_how_far_back_it_was_met(model: Model) -> None:
    model.fit(lists(*[[1, 3, 2, 1], [2, 3, 1, 2], [1, 3]] * 5, n_items=5), seed=1)
    (told,) = explain(model, session(1, 3, 2), [1])
    repeats = [part for part in told.parts if part.carrier is Carrier.REPEAT]
    assert [part.back for part in repeats] == [2]
    assert repeats[0].weight > 0


def test_a_rule_s_weights_come_from_each_of_the_items() -> None:
    model = Rules(memory=0.5).fit(lists([1, 3], [2, 3], n_items=4), seed=1)
    (told,) = explain(model, session(1, 2), [3])
    assert [(p.item, p.back, p.weight) for p in told.parts] == [(2, 0, 1.0), (1, 1, 0.5)]


class Scored(Popularity):
    """Scores item 5 by the items of the session: 3 for item 1, 2 for item 2, 4 for both and -1
    for none of them; the others one lower."""

    explain = None  # type: ignore[assignment]

    def score(self, session: np.ndarray, *, now: int | None = None) -> np.ndarray:
        found = {(1,): 3, (2,): 2, (1, 2): 4}.get(tuple(sorted({*session.tolist()} & {1, 2})), -1)
        scores = np.full(8, found - 1, dtype=np.float32)
        scores[5], scores[6] = found, UNSCORED
        return scores

    def recommend(self, session: np.ndarray, k: int, *, now: int | None = None):  # type: ignore[no-untyped-def]
        return top(self.score(session), k)


def test_what_is_left_out_weighs_what_the_score_falls_by_and_the_rest_is_together() -> None:
    (told,) = leave_out(Scored(), session(1, 3, 2, 2), [5])
    assert [(part.carrier, part.item, part.back, part.weight) for part in told.parts] == [
        ("history", 1, 3, 2.0),
        ("history", 2, 0, 1.0),
        ("together", -1, -1, 1.0),
    ]
    (alone,) = leave_out(Scored(), session(1), [5])
    assert [(part.carrier, part.weight) for part in alone.parts] == [("history", 3.0)]


def test_below_zero_the_lowest_score_stands_for_none() -> None:
    (told,) = leave_out(Scored(), session(3), [5])
    assert [(part.carrier, part.weight) for part in told.parts] == [
        ("together", -2.0),
        ("history", 1.0),
    ]


def test_no_more_than_ten_items_are_left_out() -> None:
    model = Scored()
    asked = []
    model.score = lambda s, now=None: asked.append(s) or np.arange(30, dtype=np.float32)  # type: ignore[assignment,func-returns-value]
    leave_out(model, np.arange(25, dtype=np.int32), [5])
    assert len(asked) == LEFT_OUT + 1


def test_what_a_model_does_not_score_can_t_be_explained() -> None:
    with pytest.raises(ModelError, match="doesn't score"):
        leave_out(Scored(), session(1), [6])


def test_a_model_without_an_explanation_of_its_own_is_left_out_of() -> None:
    assert [part.carrier for part in explain(Scored(), session(1), [5])[0].parts] == ["history"]
    assert explain(Scored(), session(1), []) == []
