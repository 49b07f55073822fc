"""The route ``/v1/recommend``, as bare ASGI: the one path where microseconds count."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter, time_ns

import msgspec
from starlette.types import Receive, Scope, Send

from wherry.domain import TenantId, VisitorId
from wherry.domain.session import SessionItems
from wherry.errors import UsageError, did_you_mean
from wherry.learn.answer import Query
from wherry.learn.rulebook import RuleError
from wherry.live.pages import ShownOnPages
from wherry.serve.answers import Asked
from wherry.serve.asking import Asking, Later, Told
from wherry.serve.available import AvailableNow
from wherry.serve.bodies import ClientGone
from wherry.serve.challengers import Challengers
from wherry.serve.champions import Champions
from wherry.serve.choice import Choice, choose
from wherry.serve.credentials import without_key_fields
from wherry.serve.guard import ReadGuard, asked_by
from wherry.serve.metrics import Metrics
from wherry.serve.page import Page
from wherry.serve.precomputed import VisitorLookup, for_visitor
from wherry.serve.problem import JSON_HEADERS, Headers, RequestError, problem_body
from wherry.serve.recommender import Recommender
from wherry.serve.request import (
    Limits,
    RecommendRequest,
    how_many,
    of_carousel,
    read_json,
    read_link,
    rules_of,
    tenant_of,
)
from wherry.serve.request_ids import RequestIds
from wherry.serve.session import SessionFinder

logger = logging.getLogger("wherry.serve")

ROUTE = "/v1/recommend"


def milliseconds_now() -> int:
    """The time, milliseconds UTC."""
    return time_ns() // 1_000_000


class RecommendRoute:
    """Reads a request, asks the tenant's champion or what is tried beside it, writes the answer.

    ``clock`` gives the time in milliseconds UTC, by which rules with dates hold.
    """

    def __init__(
        self,
        champions: Champions,
        metrics: Metrics,
        *,
        limits: Limits,
        retry_seconds: int = 5,
        sessions: SessionFinder,
        guard: ReadGuard | None = None,
        asking: Asking,
        challengers: Challengers | None = None,
        clock: Callable[[], int] = milliseconds_now,
        visitors: VisitorLookup | None = None,
        available: AvailableNow | None = None,
        pages: ShownOnPages | None = None,
    ) -> None:
        self._asking = asking
        self._challengers = challengers
        self._clock = clock
        self._visitors = visitors
        self._available = available
        self._pages = pages
        self._guard = guard
        self._champions = champions
        self._metrics = metrics
        self._limits = limits
        self._retry_after = str(retry_seconds).encode()
        self._sessions = sessions
        self._ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes it fail."""
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._ids.of(headers.get(b"x-request-id"))
        extra: Headers = []
        later: Later | None = None
        try:
            query, owner = scope["query_string"], None
            if self._guard is not None:
                owner = self._guard.owner(headers, query)
                query = without_key_fields(query) if owner is not None and query else query
            request = await self._read(scope["method"], query, headers, receive)
            if owner is not None:
                request = asked_by(request, owner)
            body, later = await self._answer(request, request_id, started)
            status = 200
        except RequestError as error:
            body, status, extra = error.body(request_id), error.status, error.headers
        except ClientGone:
            return
        except Exception:  # a model may be a user's own and raise anything
            logger.exception("Request %s can't be answered.", request_id)
            body, status = problem_body("The server failed.", None, request_id), 500
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    *JSON_HEADERS,
                    (b"content-length", str(len(body)).encode()),
                    (b"x-request-id", request_id.encode()),
                    *extra,
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._metrics.answered(ROUTE, status, perf_counter() - started)
        if later is not None:
            later()

    async def _read(
        self, method: str, query: bytes, headers: dict[bytes, bytes], receive: Receive
    ) -> RecommendRequest:
        if method == "GET":
            return read_link(query)
        if method != "POST":
            raise RequestError(
                405,
                f"{method} can't be asked of {ROUTE}; use GET or POST.",
                headers=[(b"allow", b"GET, POST")],
            )
        if query:
            raise RequestError(400, "A POST takes its fields in the body, not in the address.")
        if not _is_json(headers.get(b"content-type", b"application/json")):
            raise RequestError(415, "The body has to be JSON: send Content-Type: application/json.")
        return read_json(await self._body(headers, receive))

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._limits.max_body_bytes
        length = headers.get(b"content-length", b"0")
        body, more = b"", not (length.isdigit() and int(length[:20]) > limit)
        is_long = not more
        while more and not is_long:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            is_long = len(body) > limit
        if is_long:
            # What is left of the body is not read, so the connection can't be used again.
            raise RequestError(
                413, f"The body is longer than {limit} bytes.", headers=[(b"connection", b"close")]
            )
        return body

    async def _answer(
        self, request: RecommendRequest, request_id: str, began: float
    ) -> tuple[bytes, Later | None]:
        champion = self._champion(tenant_of(request))
        session = await self._sessions.find(request, champion.tenant)
        contest = self._challengers.get(champion.tenant) if self._challengers else None
        choice = choose(champion, contest, request, request_id)
        now, page = self._clock(), None
        if request.page_id is not None or request.carousels:
            page = Page(champion.tenant, request.page_id, self._pages, now)
        asked = Asked(
            request_id=request_id,
            request=request,
            began=began,
            now=now,
            is_live=session.is_live,
            page=page,
        )
        if not request.carousels:
            return await self._list(asked, session, choice, champion)
        return await self._carousels(asked, session, choice, champion)

    async def _carousels(
        self, asked: Asked, session: SessionItems, choice: Choice, champion: Recommender
    ) -> tuple[bytes, Later | None]:
        """The answer to several carousels of a page, one after the other."""
        for each in asked.request.carousels:
            how_many(of_carousel(asked.request, each), self._limits)  # all of them, or none
        bodies: list[bytes] = []
        rest: list[Later] = []
        for each in asked.request.carousels:
            one = msgspec.structs.replace(
                asked,
                request_id=f"{asked.request_id}.{each.name}",
                request=of_carousel(asked.request, each),
                began=asked.began if not bodies else perf_counter(),
            )
            body, later = await self._list(one, session, choice, champion)
            bodies.append(b'{"name":"%b",%b' % (each.name.encode(), body[1:]))
            if later is not None:
                rest.append(later)
        whole = b'{"carousels":[%b],"request_id":"%b"}' % (
            b",".join(bodies),
            asked.request_id.encode(),
        )
        return whole, partial(_all, rest) if rest else None

    async def _list(
        self, asked: Asked, session: SessionItems, choice: Choice, champion: Recommender
    ) -> tuple[bytes, Later | None]:
        """The answer to one list."""
        request = asked.request
        query = Query(
            session.items[-self._limits.max_session_items :],
            how_many(request, self._limits),
            request.filter,
            request.exclude,
            session.purchased,
            rules_of(request),
            request.without_rules,
        )
        if not session.items and request.visitor_id and self._visitors is not None:
            query = for_visitor(query, champion, VisitorId(request.visitor_id), self._visitors)
        if asked.page is not None:
            query = asked.page.without_shown(query)
        try:
            explained = None
            if request.explain:
                explained = await self._explained(choice.recommender, query, asked)
            return self._asking.ask(choice, champion, asked, query, explained)
        except UsageError as error:
            field = "rules" if isinstance(error, RuleError) else "filter"
            raise RequestError(422, str(error), field=field) from error

    async def _explained(self, recommender: Recommender, query: Query, asked: Asked) -> Told | None:
        """The answer with why each item is there, None where the model fails to say so."""
        try:
            if self._available is not None:
                recommender = self._available.see(recommender)
            return await asyncio.to_thread(
                recommender.explain_json, query, request_id=asked.request_id, now=asked.now
            )
        except UsageError:
            raise
        except Exception:  # a model may be a user's own and explain itself wrongly
            logger.exception("Request %s is answered, but can't be explained.", asked.request_id)
            return None

    def _champion(self, tenant: TenantId) -> Recommender:
        """Who answers for a tenant; RequestError 404 or 503 if nobody does."""
        recommender = self._champions.get(tenant)
        if recommender is not None:
            return recommender
        if not self._champions.is_known(tenant):
            close = did_you_mean(tenant, self._champions.statuses())
            raise RequestError(404, f"There is no tenant {tenant!r}.{close}", field="tenant")
        raise RequestError(
            503,
            f"Tenant {tenant!r} has no release yet. Run: wherry run",
            headers=[(b"retry-after", self._retry_after)],
        )


def _all(rest: list[Later]) -> None:
    for later in rest:
        later()


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")
