"""Answering: what every way in shares of a request, from who may ask to the answer as JSON."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns

import msgspec

from wherry.domain import TenantId, VisitorId
from wherry.domain.session import SessionItems
from wherry.errors import UsageError, did_you_mean
from wherry.learn.answer import Query
from wherry.learn.rulebook import RuleError
from wherry.live.pages import ShownOnPages
from wherry.serve.answers import Asked
from wherry.serve.asking import Asking, Later, Told
from wherry.serve.challengers import Challengers
from wherry.serve.champions import Champions
from wherry.serve.choice import Choice, choose
from wherry.serve.credentials import without_key_fields
from wherry.serve.guard import ReadGuard, asked_by
from wherry.serve.page import Page
from wherry.serve.precomputed import VisitorLookup, for_visitor
from wherry.serve.problem import RequestError
from wherry.serve.recommender import Recommender
from wherry.serve.request import (
    Limits,
    RecommendRequest,
    how_many,
    read_json,
    read_link,
    rules_of,
    tenant_of,
)
from wherry.serve.session import SessionFinder

ROUTE = "/v1/recommend"
_MAY_BE_JSON = (b"application/json", b"application/x-www-form-urlencoded")


def milliseconds_now() -> int:
    """The time, milliseconds UTC."""
    return time_ns() // 1_000_000


class Put(msgspec.Struct, frozen=True, gc=False):
    """A request as it is put to who answers it, and what is known of its session."""

    asked: Asked
    choice: Choice
    champion: Recommender
    session: SessionItems


class Answering:
    """Says whether a request may be made, who answers it, what is asked of them, and the answer.

    ``clock`` gives the time in milliseconds UTC, by which rules with dates hold.
    """

    def __init__(
        self,
        champions: Champions,
        *,
        limits: Limits,
        sessions: SessionFinder,
        asking: Asking,
        retry_seconds: int = 5,
        guard: ReadGuard | None = None,
        challengers: Challengers | None = None,
        clock: Callable[[], int] = milliseconds_now,
        visitors: VisitorLookup | None = None,
        pages: ShownOnPages | None = None,
    ) -> None:
        self.limits = limits
        self.sessions = sessions
        self.clock = clock
        self._champions = champions
        self._asking = asking
        self._retry_after = str(retry_seconds).encode()
        self._guard = guard
        self._challengers = challengers
        self._visitors = visitors
        self._pages = pages

    def admit(
        self, method: str, query: bytes, headers: dict[bytes, bytes]
    ) -> tuple[bytes, TenantId | None]:
        """The query without a key, and whose key it was, if one is asked for.

        Raises:
            RequestError: it can't be asked so, or not by this client.
        """
        owner = None
        if self._guard is not None:
            owner = self._guard.owner(headers, query)
            query = without_key_fields(query) if owner is not None and query else query
        if method == "GET":
            return query, owner
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
        return query, owner

    def champion(self, request: RecommendRequest) -> Recommender:
        """Who answers for a request's tenant; RequestError 404 or 503 if nobody does."""
        tenant = tenant_of(request)
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

    def put(
        self,
        request: RecommendRequest,
        request_id: str,
        champion: Recommender,
        session: SessionItems,
        *,
        began: float,
        now: int,
    ) -> Put:
        """Who answers a request, and as what it is logged."""
        contest = self._challengers.get(champion.tenant) if self._challengers else None
        page = None
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
        return Put(asked, choose(champion, contest, request, request_id), champion, session)

    def query(self, put: Put) -> Query:
        """What is asked for one list; RequestError 422 if that is too much."""
        request, session = put.asked.request, put.session
        query = Query(
            session.items[-self.limits.max_session_items :],
            how_many(request, self.limits),
            request.filter,
            request.exclude,
            session.purchased,
            rules_of(request),
            request.without_rules,
        )
        if not session.items and request.visitor_id and self._visitors is not None:
            visitor = VisitorId(request.visitor_id)
            query = for_visitor(query, put.champion, visitor, self._visitors)
        return query if put.asked.page is None else put.asked.page.without_shown(query)

    def answer(
        self, put: Put, query: Query, explained: Told | None = None
    ) -> tuple[bytes, Later | None]:
        """The answer as JSON, and what to do once it was sent.

        Raises:
            RequestError: 422, the filter or a rule fits no item.
        """
        try:
            return self._asking.ask(put.choice, put.champion, put.asked, query, explained)
        except UsageError as error:
            raise senseless(error) from error


def read_request(
    method: str, query: bytes, body: bytes, owner: TenantId | None
) -> RecommendRequest:
    """What is asked, as the owner of the request's key may ask it.

    Raises:
        RequestError: it can't be read, or is about another tenant.
    """
    request = read_link(query) if method == "GET" else read_json(body)
    return request if owner is None else asked_by(request, owner)


def senseless(error: UsageError) -> RequestError:
    """What a request gets whose filter or rule fits no item."""
    field = "rules" if isinstance(error, RuleError) else "filter"
    return RequestError(422, str(error), field=field)


def _is_json(content_type: bytes) -> bool:
    """Whether a body may be JSON by its type; ``curl -d`` says of everything that it is a form."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind in _MAY_BE_JSON or kind.endswith(b"+json")
