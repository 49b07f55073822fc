"""The log of answers: each is taken in a microsecond, packed behind the requests, and written
beside them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Protocol, cast
from zlib import crc32

import msgspec

from wherry.collect.inbox import pack_answer
from wherry.domain import ItemId, LoggedAnswer, Role, SessionId, VisitorId
from wherry.errors import InboxUnavailable
from wherry.learn.answer import Answer, Query
from wherry.serve.metrics import Metrics
from wherry.serve.page import Page
from wherry.serve.recommender import Recommender
from wherry.serve.request import RecommendRequest

logger = logging.getLogger("wherry.serve")

_AT_ONCE = 1_024
_BETWEEN_REQUESTS = 32
"""Answers that are made without a look at what came meanwhile: a third of a millisecond."""

_EPOCH = datetime(1970, 1, 1)
_NO_WISHES: dict[str, Any] = {}
_NO_RULES: dict[str, int] = {}


class Keeps(Protocol):
    """Where answers are kept: the inbox of this server."""

    async def put_answers(self, answers: Sequence[msgspec.Raw], now: datetime) -> None:
        """Put packed answers on disk; InboxUnavailable if that can't be done now."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a logged answer says of its request: who asked, and in which part it is answered.

    ``began`` is ``perf_counter()`` when the request came, ``now`` the time then, in milliseconds
    UTC; ``is_live`` says that the session is the server's own knowledge of it.
    """

    request_id: str
    request: RecommendRequest
    began: float
    now: int | None = None
    is_live: bool = False
    page: Page | None = None
    role: Role = Role.CHAMPION
    rollout: str = ""


class Given(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer that was given, as the log takes it: what the logged one is made from later.

    ``answer`` is None where the recommender failed, for the reason of ``error``; the request took
    ``seconds``. ``version`` is that of the release, unless another one was to answer.
    """

    asked: Asked
    query: Query
    recommender: Recommender
    answer: Answer | None
    answered_at: datetime
    seconds: float
    error: str = ""
    version: int | None = None

    def logged(self) -> LoggedAnswer:
        """The answer as it is logged."""
        asked, query, recommender, answer = self.asked, self.query, self.recommender, self.answer
        request = asked.request
        ids = recommender.answerer.vocabulary.ids
        return LoggedAnswer(
            tenant=recommender.tenant,
            request_id=asked.request_id,
            answered_at=self.answered_at,
            asked_at=None if asked.now is None else _time_of(asked.now),
            model=recommender.name,
            version=recommender.version if self.version is None else self.version,
            role=asked.role,
            rollout=asked.rollout,
            visitor_id=_visitor(request.visitor_id),
            session_id=_session(request.session_id),
            session=_items(query.session),
            is_live=asked.is_live,
            is_given=bool(request.session_items),
            k=query.k,
            items=() if answer is None else _of_codes(ids, answer.items.tolist()),
            scores=() if answer is None else tuple(answer.scores.tolist()),
            from_model=0 if answer is None else answer.from_model,
            fallback="" if answer is None else answer.fallback or "",
            rules=_NO_RULES if answer is None or not answer.rules else dict(answer.rules),
            latency_us=int(self.seconds * 1e6),
            error=self.error,
            **_wishes(query),
        )


def _wishes(query: Query) -> dict[str, Any]:
    """What a request asks for beside a list; most ask for nothing, and are logged in less time."""
    if not (query.filter or query.rules or query.without or query.exclude or query.purchased):
        return _NO_WISHES
    return {
        "filter": msgspec.json.encode(query.filter).decode() if query.filter else "",
        "own_rules": msgspec.json.encode(query.rules).decode() if query.rules else "",
        "without_rules": tuple(query.without),
        "exclude": _items(query.exclude),
        "purchased": _items(query.purchased),
    }


@lru_cache(maxsize=16)
def _time_of(milliseconds: int) -> datetime:
    """A time of milliseconds UTC; the requests of a turn share one."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


class AnswerLog:
    """Takes answers on the event loop and puts them into the inbox a few times a second.

    ``clock`` gives the time, UTC without a zone. A ``share`` of the requests is logged, drawn by
    their ids. At most ``most_waiting`` answers wait. Nobody ever waits for the log: what finds
    no room, or what the inbox can't keep, is dropped and counted. A batch is not tried twice,
    since a disk that failed may have kept it.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        share: float = 1.0,
        most_waiting: int = 20_000,
        every_seconds: float = 0.1,
    ) -> None:
        self.now = clock
        self._metrics = metrics
        self._below = round(share * 2**32)
        self._most_waiting = most_waiting
        self._every_seconds = every_seconds
        self._queue: deque[Given] = deque()
        self._packed: deque[msgspec.Raw] = deque()
        self._is_over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._n_held = 0

    def wants(self, request_id: str) -> bool:
        """Whether the answer to a request is logged at all."""
        return self._below >= 2**32 or crc32(request_id.encode()) < self._below

    def add(self, given: Given) -> None:
        """Take an answer; never waits and never fails."""
        if len(self._queue) + len(self._packed) < self._most_waiting:
            self._queue.append(given)
        else:
            self._metrics.dropped_answers("full", 1)

    def settle(self) -> None:
        """Write some of what was taken as it is kept, which needs none of what it was made from.

        Right behind the requests of a turn that takes half as long as later, since the processor
        has it all in its caches.
        """
        for _ in range(min(len(self._queue), _BETWEEN_REQUESTS)):
            given = self._queue.popleft()
            try:
                self._packed.append(pack_answer(given.logged()))
            except Exception:  # a text of a user's own model may be none; the log goes on
                logger.exception("The answer %s can't be logged.", given.asked.request_id)
                self._metrics.dropped_answers("unreadable", 1)

    def start(self, inbox: Keeps) -> None:
        """Begin to write what is taken into an inbox, on the running event loop."""
        self._task = asyncio.create_task(self._go(inbox))

    async def stop(self, grace_seconds: float) -> None:
        """Write what waits, for so long at the most; the rest is dropped and counted."""
        if self._task is None:
            return
        self._is_over.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._task, grace_seconds)
        left = self._n_held + len(self._queue) + len(self._packed)
        if left:
            logger.error("%d answers were not logged before the server stopped.", left)
            self._metrics.dropped_answers("stopped", left)
        self._queue.clear()
        self._packed.clear()

    async def _go(self, inbox: Keeps) -> None:
        while not self._is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_seconds):
                    await self._is_over.wait()
            await self._flush(inbox)
        await self._flush(inbox)

    async def _flush(self, inbox: Keeps) -> None:
        """Put what waits now into the inbox: what comes meanwhile waits for the next time, since
        each batch costs the disk as much as a thousand answers do."""
        while self._queue:
            self.settle()
            await asyncio.sleep(0)
        for _ in range(0, len(self._packed), _AT_ONCE):
            await self._keep(inbox)

    async def _keep(self, inbox: Keeps) -> None:
        batch = [self._packed.popleft() for _ in range(min(len(self._packed), _AT_ONCE))]
        self._n_held = len(batch)
        try:
            await inbox.put_answers(batch, self.now())
        except InboxUnavailable:  # the inbox has logged why
            self._metrics.dropped_answers("inbox", len(batch))
        except Exception:
            logger.exception("%d answers can't be logged.", len(batch))
            self._metrics.dropped_answers("unreadable", len(batch))
        else:
            self._metrics.logged_answers(len(batch))
        self._n_held = 0


def _of_codes(ids: Sequence[ItemId], codes: Sequence[int]) -> tuple[ItemId, ...]:
    if len(codes) < 2:  # an itemgetter of one gives no tuple
        return tuple([ids[code] for code in codes])
    return cast("tuple[ItemId, ...]", itemgetter(*codes)(ids))


def _items(ids: Sequence[str]) -> tuple[ItemId, ...]:
    return cast("tuple[ItemId, ...]", tuple(ids))  # a call for each would cost a microsecond


def _visitor(given: str | None) -> VisitorId | None:
    return VisitorId(given) if given else None


def _session(given: str | None) -> SessionId | None:
    return SessionId(given) if given else None
