"""The requests of one turn of the event loop, answered together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from time import perf_counter

import msgspec

from wherry.learn.answer import Query
from wherry.serve.answering import ROUTE, Answering, Put, read_request
from wherry.serve.asking import Asking, Later
from wherry.serve.available import AvailableNow
from wherry.serve.direct import Exchange
from wherry.serve.metrics import Metrics
from wherry.serve.problem import RequestError
from wherry.serve.recommender import Recommender
from wherry.serve.reply import Reply, failure, refusal
from wherry.serve.request_ids import RequestIds

logger = logging.getLogger("wherry.serve")


class _Question(msgspec.Struct, gc=False):
    """A request of a turn, and what is asked for it."""

    exchange: Exchange
    put: Put
    query: Query


class Together:
    """Answers the requests of a turn that need no wait; the others are handed over to ASGI.

    The steps are those of a request by itself, each taken for all before the next, and a model
    is asked once: what the processor has in its caches from one request serves the others.
    """

    def __init__(
        self,
        answering: Answering,
        asking: Asking,
        metrics: Metrics,
        ids: RequestIds,
        available: AvailableNow | None = None,
    ) -> None:
        self._answering = answering
        self._asking = asking
        self._metrics = metrics
        self._ids = ids
        self._available = available
        self._failed: set[str] = set()

    def answer(self, exchanges: Sequence[Exchange]) -> None:
        """Answer what came in one turn; nothing that a client sends makes it fail."""
        now = self._answering.clock()
        with self._available.moment() if self._available else nullcontext():
            asked = [found for each in exchanges if (found := self._read(each, now)) is not None]
            if len(asked) > 1:
                self._rank(asked, now)
            for each in asked:
                self._tell(each)
        self._asking.settle()

    def _read(self, exchange: Exchange, now: int) -> _Question | None:
        """What an exchange asks; None where it is answered already, or handed over."""
        answering = self._answering
        if len(exchange.body) > answering.limits.max_body_bytes:
            exchange.hand_over()
            return None
        headers = dict(exchange.headers)
        request_id = self._ids.of(headers.get(b"x-request-id"))
        try:
            query, owner = answering.admit(exchange.method, exchange.query, headers)
            request = read_request(exchange.method, query, exchange.body, owner)
            champion = answering.champion(request)
            session = answering.sessions.at_hand(request, champion.tenant)
            if session is None or request.explain or request.carousels:
                exchange.hand_over()
                return None
            put = answering.put(
                request, request_id, champion, session, began=exchange.began, now=now
            )
            return _Question(exchange, put, answering.query(put))
        except RequestError as error:
            self._reply(exchange, refusal(error, request_id))
        except Exception:  # what a client sends may be anything
            logger.exception("Request %s can't be answered.", request_id)
            self._reply(exchange, failure(request_id))
        return None

    def _rank(self, asked: Sequence[_Question], now: int) -> None:
        """Let each release rank for all that it is asked, where its model does so in one call."""
        by_recommender: dict[Recommender, list[_Question]] = {}
        for each in asked:
            recommender = each.put.choice.recommender
            if self._available is not None:
                recommender = self._available.see(recommender)
            if recommender.answerer.ranks_many is not None:
                by_recommender.setdefault(recommender, []).append(each)
        for recommender, some in by_recommender.items():
            try:
                queries = recommender.together([each.query for each in some], now=now)
            except Exception:  # then each is asked by itself
                if recommender.label not in self._failed:
                    self._failed.add(recommender.label)
                    logger.exception("%s can't rank for several at once.", recommender.label)
                continue
            for each, query in zip(some, queries, strict=True):
                each.query = query

    def _tell(self, question: _Question) -> None:
        request_id = question.put.asked.request_id
        later: Later | None = None
        try:
            body, later = self._answering.answer(question.put, question.query)
            reply = Reply(request_id, body)
        except RequestError as error:
            reply = refusal(error, request_id)
        except Exception:  # a model may be a user's own and raise anything
            logger.exception("Request %s can't be answered.", request_id)
            reply = failure(request_id)
        self._reply(question.exchange, reply)
        if later is not None:
            later()

    def _reply(self, exchange: Exchange, reply: Reply) -> None:
        exchange.reply(reply)
        self._metrics.answered(ROUTE, reply.status, perf_counter() - exchange.began)
