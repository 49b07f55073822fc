import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.models import MODELS
from wherry.learn.questions import Questions, RanksMany, rank_each
from wherry.testing import example_sessions

QUESTIONS = Questions(np.array([3, 1, 4, 1, 5], dtype=np.int32), np.array([0, 2, 3, 5]))


def lists(questions: Questions) -> list[list[int]]:
    return [session.tolist() for session in questions.each()]


def test_questions_are_sessions_one_after_the_other() -> None:
    assert lists(QUESTIONS) == [[3, 1], [4], [1, 5]]
    assert (QUESTIONS.size, QUESTIONS.lengths.tolist()) == (3, [2, 1, 2])


def test_a_part_is_numbered_anew() -> None:
    assert lists(QUESTIONS.part(1, 3)) == [[4], [1, 5]]
    assert lists(QUESTIONS.part(3, 3)) == []


def test_items_beyond_those_known_are_left_out_and_a_session_may_be_empty_then() -> None:
    assert lists(QUESTIONS.of_known(4)) == [[3, 1], [], [1]]
    assert QUESTIONS.of_known(6) is QUESTIONS


def test_an_empty_session_is_no_question() -> None:
    with pytest.raises(ModelError, match="empty session"):
        QUESTIONS.of_known(4).asked()


@pytest.mark.parametrize("name", ["popularity", "rules", "covisits", "knn", "prod2vec"])
def test_a_row_ends_where_the_model_ranks_no_more(name: str) -> None:
    model = MODELS[name]().fit(example_sessions(), seed=1)
    assert isinstance(model, RanksMany) == (name != "prod2vec")
    found = rank_each(model, QUESTIONS, 60)
    for row, session in enumerate(QUESTIONS.each()):
        alone = model.recommend(session, 60)
        assert found.items[row, len(alone.items) :].tolist() == [-1] * (60 - len(alone.items))
        assert found.of(row).items.tolist() == alone.items.tolist()
        assert found.of(row).scores.tolist() == alone.scores.tolist()
