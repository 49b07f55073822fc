from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from time import perf_counter
from typing import Any

import pytest

from serve_shop import answerer
from wherry.domain import DEFAULT_TENANT, LoggedAnswer, Role
from wherry.errors import UsageError
from wherry.serve import Query, Recommender
from wherry.serve.answers import AnswerLog, Asked, Given
from wherry.serve.asking import Asking
from wherry.serve.choice import Choice
from wherry.serve.metrics import Metrics
from wherry.serve.request import RecommendRequest
from wherry.serve.shadow import ShadowQueue

NOW = datetime(2026, 1, 1)


class Failing(Recommender):
    """Fails at every request, in one way or the other."""

    error: Exception = ZeroDivisionError("by zero")

    def recommend_json(self, query: Query, *, request_id: str = "", **more: Any) -> Any:
        raise self.error


class Notes(AnswerLog):
    """A log that keeps what it is given, and would log nothing by its own share."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics, clock=lambda: NOW, share=0.0)
        self.kept: list[LoggedAnswer] = []

    def add(self, given: Given) -> None:
        self.kept.append(given.logged())


class Counter:
    """What stands behind a counter: asks, and shows what was logged."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.log = Notes(self.metrics)
        self.shadows = ShadowQueue(self.metrics)
        self.asking = Asking(self.metrics, self.log, self.shadows)
        self.champion = Recommender(answerer(), version=1)

    def ask(self, choice: Choice, champion: Recommender | None = None) -> tuple[Any, Any]:
        asked = Asked(request_id="q1", request=RecommendRequest(), began=perf_counter())
        body, later = self.asking.ask(choice, champion or self.champion, asked, Query(["i21"], 3))
        return json.loads(body), later

    def logged(self) -> list[tuple[int, Role, str, bool, str]]:
        return [
            (each.version, each.role, each.rollout, bool(each.items), each.error)
            for each in self.log.kept
        ]


def test_a_challenger_answers_under_its_own_name_and_part() -> None:
    counter = Counter()
    challenger = Recommender(answerer(), version=2)
    body, later = counter.ask(Choice(challenger, Role.CHALLENGER, "r1.1"))
    assert body["model"] == "recommender@2"
    assert later is None
    assert counter.logged() == [(2, Role.CHALLENGER, "r1.1", True, "")]


def test_without_a_rollout_the_logs_own_share_holds() -> None:
    counter = Counter()
    body, _ = counter.ask(Choice(counter.champion))
    assert body["model"] == "recommender@1"
    assert counter.logged() == []


def test_where_a_challenger_fails_the_champion_answers_and_the_error_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counter = Counter()
    challenger = Failing(answerer(), version=2)
    for _ in range(3):
        body, _ = counter.ask(Choice(challenger, Role.CHALLENGER, "r1.1"))
        assert body["model"] == "recommender@1"
    assert counter.logged()[:2] == [
        (1, Role.CHAMPION, "r1.1", True, ""),
        (2, Role.CHALLENGER, "r1.1", False, "ZeroDivisionError: by zero"),
    ]
    assert b'wherry_challenger_failures_total{tenant="default"} 3.0' in counter.metrics.text()
    assert caplog.text.count("Traceback") == 1  # not one for each of thousands of requests


def test_what_the_champion_cannot_answer_either_is_not_the_challengers_fault() -> None:
    counter = Counter()
    challenger, champion = Failing(answerer(), version=2), Failing(answerer(), version=1)
    champion.error = UsageError("no item has that")
    with pytest.raises(UsageError):
        counter.ask(Choice(challenger, Role.CHALLENGER, "r1.1"), champion)
    assert counter.logged() == []
    assert b"wherry_challenger_failures_total{" not in counter.metrics.text()


def test_a_challenger_that_could_not_be_loaded_is_an_error_of_its_own() -> None:
    counter = Counter()
    body, _ = counter.ask(Choice(counter.champion, rollout="r1.1", version=2, error="torn"))
    assert body["model"] == "recommender@1"
    assert counter.logged() == [
        (1, Role.CHAMPION, "r1.1", True, ""),
        (2, Role.CHALLENGER, "r1.1", False, "torn"),
    ]


@pytest.mark.parametrize(
    ("shadow", "noted"),
    [
        (Recommender(answerer(), version=2), (2, Role.SHADOW, "r1.1", True, "")),
        (
            Failing(answerer(), version=2),
            (2, Role.SHADOW, "r1.1", False, "ZeroDivisionError: by zero"),
        ),
    ],
)
def test_a_shadow_is_asked_only_after_the_answer_was_sent(
    shadow: Recommender, noted: Iterable[object]
) -> None:
    counter = Counter()
    body, later = counter.ask(Choice(counter.champion, rollout="r1.1", shadow=shadow))
    assert body["model"] == "recommender@1"
    assert counter.logged() == [(1, Role.CHAMPION, "r1.1", True, "")]
    assert later is not None
    later()
    assert len(counter.logged()) == 1
    counter.shadows.do_next()
    assert counter.logged()[1:] == [noted]
    champion, unseen = counter.log.kept
    assert champion.tenant == unseen.tenant == DEFAULT_TENANT
    assert champion.request_id == unseen.request_id
