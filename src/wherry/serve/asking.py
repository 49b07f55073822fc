"""Asking the release that was chosen for a request; where a challenger fails, the champion."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

import msgspec

from wherry.domain import Role
from wherry.errors import UsageError
from wherry.learn.answer import Answer, Query
from wherry.serve.answers import AnswerLog, Asked, Given
from wherry.serve.available import AvailableNow
from wherry.serve.choice import Choice
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import Recommender
from wherry.serve.shadow import ShadowQueue

logger = logging.getLogger("wherry.serve")

Later = Callable[[], None]
"""What is left to do once the answer was sent."""

Told = tuple[bytes, Answer]
"""An answer as JSON, and itself."""

_ERROR_CHARACTERS = 200
_TOLD_ERRORS = 100


class Asking:
    """Asks, and hands every answer to the log.

    No visitor sees an error of a challenger's: the champion answers in its place, and the error
    is logged as an answer of the challenger's that shows nothing. Whoever answers does so by what
    is ``available`` now. What the champion can't answer
    either is the request's fault, or the champion's.
    """

    def __init__(
        self,
        metrics: Metrics,
        log: AnswerLog | None,
        shadows: ShadowQueue,
        available: AvailableNow | None = None,
    ) -> None:
        self._available = available
        self._metrics = metrics
        self._log = log
        self._shadows = shadows
        self._told: set[tuple[str, str]] = set()

    def ask(
        self,
        choice: Choice,
        champion: Recommender,
        asked: Asked,
        query: Query,
        explained: Told | None = None,
    ) -> tuple[bytes, Later | None]:
        """The answer as JSON, and what to do once it was sent.

        ``explained`` is what the chosen release has said already, where it was to explain itself.

        Raises:
            UsageError: the filter asks for what no item has.
        """
        if choice.rollout or choice.role is not Role.CHAMPION:
            asked = msgspec.structs.replace(asked, role=choice.role, rollout=choice.rollout)
        if choice.role is Role.CHALLENGER:
            return self._ask_challenger(choice, champion, asked, query, explained), None
        started = perf_counter()
        body = self._give(champion, asked, query, explained)
        if choice.error:
            self._fail(champion, choice.version, asked, query, choice.error)
        if choice.shadow is None:
            return body, None
        return body, self._later(choice.shadow, asked, query, started - asked.began)

    def _ask_challenger(
        self,
        choice: Choice,
        champion: Recommender,
        asked: Asked,
        query: Query,
        explained: Told | None,
    ) -> bytes:
        try:
            return self._give(choice.recommender, asked, query, explained, notes_error=False)
        except Exception as error:  # a model may be a user's own and raise anything
            if self._is_new(asked.rollout, error):
                logger.exception("The challenger %s failed.", choice.recommender.label)
            failure = error
        body = self._give(champion, msgspec.structs.replace(asked, role=Role.CHAMPION), query)
        self._fail(champion, choice.recommender.version, asked, query, _in_words(failure))
        return body

    def _later(
        self, shadow: Recommender, asked: Asked, query: Query, overhead: float
    ) -> Callable[[], None]:
        """Asks the shadow; ``overhead`` is what the request took beside the answer itself, in
        seconds, so that its latency is comparable to the champion's."""

        def ask() -> None:
            unseen = msgspec.structs.replace(
                asked, role=Role.SHADOW, began=perf_counter() - overhead
            )
            try:
                self._give(shadow, unseen, query, notes_error=False)
            except Exception as error:  # a model may be a user's own and raise anything
                if self._is_new(asked.rollout, error):
                    logger.exception("The challenger %s failed.", shadow.label)
                self._fail(shadow, shadow.version, unseen, query, _in_words(error))

        return lambda: self._shadows.put(shadow.tenant, ask)

    def _give(
        self,
        recommender: Recommender,
        asked: Asked,
        query: Query,
        said: Told | None = None,
        *,
        notes_error: bool = True,
    ) -> bytes:
        """One recommender's answer, logged."""
        try:
            if self._available is not None and said is None:
                recommender = self._available.see(recommender)
            body, answer = said or recommender.recommend_json(
                query, request_id=asked.request_id, now=asked.now
            )
            page = None if asked.role is Role.SHADOW else asked.page
            while page is not None and (again := page.claim(recommender, answer, query)):
                query = again
                body, answer = recommender.recommend_json(
                    query, request_id=asked.request_id, now=asked.now
                )
        except UsageError:
            raise
        except Exception as error:
            if notes_error:
                self._note(asked, query, recommender, None, type(error).__name__)
            raise
        if asked.role is not Role.SHADOW:
            self._count(recommender, answer)
        self._note(asked, query, recommender, answer)
        return body

    def _count(self, recommender: Recommender, answer: Answer) -> None:
        if answer.fallback is not None:
            self._metrics.fell_back(recommender.tenant, answer.fallback)
        if answer.rules:
            names = recommender.answerer.rules.names
            self._metrics.ruled(recommender.tenant, answer.rules, names)

    def _note(
        self,
        asked: Asked,
        query: Query,
        recommender: Recommender,
        answer: Answer | None,
        error: str = "",
    ) -> None:
        """Hand an answer to the log; while something is tried, every answer is evidence."""
        if self._log is not None and (asked.rollout or self._log.wants(asked.request_id)):
            self._add(self._log, asked, query, recommender, answer, error)

    def _fail(
        self, recommender: Recommender, version: int, asked: Asked, query: Query, error: str
    ) -> None:
        """Count and log an answer that the challenger ``version`` failed to give."""
        self._metrics.challenger_failed(recommender.tenant)
        if self._log is None:
            return
        role = Role.SHADOW if asked.role is Role.SHADOW else Role.CHALLENGER
        asked = msgspec.structs.replace(asked, role=role)
        self._add(self._log, asked, query, recommender, None, error, version)

    def _add(
        self,
        log: AnswerLog,
        asked: Asked,
        query: Query,
        recommender: Recommender,
        answer: Answer | None,
        error: str,
        version: int | None = None,
    ) -> None:
        log.add(
            Given(
                asked=asked,
                query=query,
                recommender=recommender,
                answer=answer,
                answered_at=log.now(),
                seconds=perf_counter() - asked.began,
                error=error,
                version=version,
            )
        )

    def settle(self) -> None:
        """Have the log write what it was handed."""
        if self._log is not None:
            self._log.settle()

    def _is_new(self, rollout: str, error: Exception) -> bool:
        """Whether a traceback is logged: once for each kind, there may be thousands a second."""
        kind = (rollout, type(error).__name__)
        if kind in self._told or len(self._told) >= _TOLD_ERRORS:
            return False
        self._told.add(kind)
        return True


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
