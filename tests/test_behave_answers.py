"""Checks on the answers: each passes on a good subject and fails on one planted fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import serve_shop
from behave_subject import N, answerer, evaluation, next_item, subject
from wherry.behave import Subject, answers
from wherry.config import Behave
from wherry.domain import Check
from wherry.domain.rule import Boost, Cap, Pin
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.ranking import Ranking
from wherry.learn.sessions import Vocabulary

Scores = Callable[[NDArray[np.int32]], NDArray[Any]]
HIDES = Behave(hide_purchased=True)


class ShowsEverything(Answerer):
    """An answerer that forgets what may be shown."""

    def _without(self, head: Ranking, hidden: set[int]) -> Ranking:
        return head


class KnowsTheUnknown(Vocabulary):
    """A vocabulary that takes an unknown item for the last one."""

    def codes(self, items: Any) -> NDArray[np.int32]:
        return np.array([self._codes.get(item, N - 1) for item in items], dtype=np.int32)


def careless() -> Answerer:
    return _built(ShowsEverything, Vocabulary(serve_shop.IDS))


def credulous() -> Answerer:
    return _built(Answerer, KnowsTheUnknown(serve_shop.IDS))


def _built(kind: type[Answerer], vocabulary: Vocabulary) -> Answerer:
    return kind(
        answerer().model,
        vocabulary,
        Catalogue.from_table(serve_shop.IDS, serve_shop.items_table()),
        np.arange(1, N + 1, dtype=np.float32),
    )


def moody() -> Answerer:
    """Answers by a model that adds up how often it was asked."""
    asked = iter(range(1_000_000))
    return answerer(lambda session: np.roll(next_item(session), next(asked) // 7))


def slow() -> Answerer:
    def scores(session: NDArray[np.int32]) -> NDArray[Any]:
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
        return next_item(session)

    return answerer(scores)


def narrow(session: NDArray[np.int32]) -> NDArray[Any]:
    return np.where(np.arange(N) < 3, 1.0, -np.inf)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            answers.covers_catalogue,
            {},
            {"winner": evaluation(narrow), "rules": Behave(min_coverage=0.5)},
        ),
        (answers.shows_only_what_can_be_bought, {}, {"answerer": careless()}),
        (
            answers.hides_what_was_bought,
            {"answerer": answerer(lambda s: -next_item(s), hide_purchased=True), "rules": HIDES},
            {"answerer": answerer(lambda s: -next_item(s)), "rules": HIDES},
        ),
        (answers.ignores_unknown_items, {}, {"answerer": credulous()}),
        (answers.repeats_itself, {}, {"answerer": moody()}),
        (
            answers.answers_in_time,
            {"rules": Behave(max_answer_ms=1_000)},
            {"answerer": slow(), "rules": Behave(max_answer_ms=2)},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_check_passes_on_a_good_subject_and_fails_on_a_planted_fault(
    check: Callable[[Subject], Iterator[Check]], good: dict[str, Any], bad: dict[str, Any]
) -> None:
    (passed,) = check(subject(**good))
    assert passed.passed
    assert passed.message == ""
    (failed,) = check(subject(**bad))
    assert failed.is_blocking
    assert failed.name == passed.name
    assert failed.message


def test_what_was_bought_may_be_shown_again_unless_it_is_so_set() -> None:
    assert list(answers.hides_what_was_bought(subject())) == []


def test_offending_sessions_are_named() -> None:
    (check,) = answers.shows_only_what_can_be_bought(subject(answerer=careless()))
    assert check.figure is not None
    assert check.figure >= len(check.sample) == 5
    assert {"item", "session"} == set(check.sample[0])
    assert str(check.sample[0]["item"]) in {"i0", "i10", "i20", "i30"}


def test_under_rules_what_is_shown_can_be_bought_and_the_same_is_said_twice() -> None:
    rules = (
        Pin(name="top", items=("i0", "i10", "i5")),  # two of them can't be bought
        Boost(name="brand", where={"brand": "b1"}, factor=3),
        Cap(name="variety", attribute="category", at_most=2),
    )
    ruled = subject(answerer=serve_shop.answerer(rules=rules))
    for law in (answers.shows_only_what_can_be_bought, answers.repeats_itself):
        assert all(check.passed for check in law(ruled))
