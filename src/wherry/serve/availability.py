"""The route ``/v1/availability``: a shop tells which items can be bought, or asks."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta
from starlette.types import Receive, Scope, Send

from wherry.collect.availability import NO_EVENTS, delivery_of, tellings_of
from wherry.domain import DEFAULT_TENANT, TenantId, tenant_id
from wherry.domain.availability import ItemAvailability, Telling
from wherry.errors import InboxUnavailable, UsageError
from wherry.live.availability import LiveAvailability, ToldItem
from wherry.serve.available import AvailableNow
from wherry.serve.bodies import ClientGone, Held, Room, read_body
from wherry.serve.champions import Champions
from wherry.serve.collect import CollectRoutes
from wherry.serve.credentials import key_in_head
from wherry.serve.metrics import Metrics
from wherry.serve.problem import JSON_HEADERS, Headers, RequestError, problem_body
from wherry.serve.recommender import Recommender
from wherry.serve.request_ids import RequestIds

logger = logging.getLogger("wherry.serve")

AVAILABILITY = "/v1/availability"

_MOST_ITEMS = 10_000
MOST_ASKED = 100
_MAX_BODY_BYTES = 2_000_000
_EPOCH = datetime(1970, 1, 1)


class AvailabilityRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shop tells of its items. Of one that stands there twice the last counts."""

    items: Annotated[
        list[ItemAvailability],
        Meta(min_length=1, max_length=_MOST_ITEMS, description="Items, each with what is told."),
    ]
    tenant: Annotated[str, Meta(description="Whose items; only where the server has no keys.")] = (
        DEFAULT_TENANT
    )


class ToldAvailability(msgspec.Struct, frozen=True):
    """What became of it: how many items were told of, and which of them nobody knows yet.

    Those are kept as well: they count once a release knows them.
    """

    told: int
    unknown: list[str]
    request_id: str


class KnownAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an item is shown, and who said so when: ``http``, ``catalogue`` or nobody.

    ``is_known`` says whether the release that answers knows the item at all.
    """

    id: str
    available: bool
    is_known: bool
    told_by: str | None
    told_at: datetime | None


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """What counts now for some items, by the release that answers."""

    model: str | None
    items: list[KnownAvailability]
    request_id: str


_decode = msgspec.json.Decoder(AvailabilityRequest).decode
_encode = msgspec.json.Encoder().encode


class AvailabilityRoute:
    """Keeps what is told in the inbox and then in the live store, before it says so."""

    def __init__(
        self,
        collect: CollectRoutes,
        champions: Champions,
        live: LiveAvailability,
        now: AvailableNow,
        metrics: Metrics,
    ) -> None:
        self._collect = collect
        self._champions = champions
        self._live = live
        self._now = now
        self._metrics = metrics
        self._ids = RequestIds()
        self._room = Room(10 * _MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes it fail."""
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._ids.of(headers.get(b"x-request-id"))
        extra: Headers = []
        try:
            body, status = await self._answer(scope, headers, receive, request_id), 200
        except RequestError as error:
            body, status, extra = error.body(request_id), error.status, error.headers
        except ClientGone:
            return
        except Exception:
            logger.exception("Request %s can't be answered.", request_id)
            body, status = problem_body("The server failed.", None, request_id), 500
        length = (b"content-length", str(len(body)).encode())
        head = [*JSON_HEADERS, length, (b"x-request-id", request_id.encode()), *extra]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})
        self._metrics.answered(AVAILABILITY, status, perf_counter() - started)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, request_id: str
    ) -> bytes:
        query: bytes = scope["query_string"]
        owner = self._collect.owner_of(key_in_head(headers, query))
        if scope["method"] == "GET":
            return self._known(query, owner, request_id)
        if scope["method"] != "POST":
            raise RequestError(
                405, f"{AVAILABILITY} takes GET, POST.", headers=[(b"allow", b"GET, POST")]
            )
        with Held(self._room) as held:
            told = _read(await read_body(headers, receive, _MAX_BODY_BYTES, held))
        return await self._tell(told, owner, request_id)

    async def _tell(self, told: AvailabilityRequest, owner: TenantId, request_id: str) -> bytes:
        tenant = self._tenant(told.tenant, owner)
        items = list({each.id: each for each in told.items}.values())
        delivery = delivery_of(tenant, items, self._collect.now())
        try:
            await self._collect.inbox.put(delivery, NO_EVENTS)
        except InboxUnavailable as error:
            raise _later(str(error), error.retry_seconds) from error
        champion = self._champions.get(tenant)
        recommender = None if champion is None else self._now.see(champion)
        if not await asyncio.to_thread(self._keep, tellings_of(delivery), recommender):
            raise _later("What was told is in the log, and can't be made to count just now.", 1)
        unknown = [each.id for each in items if not _knows(recommender, each.id)]
        return _encode(ToldAvailability(len(items), unknown, request_id))

    def _keep(self, tellings: list[Telling], recommender: Recommender | None) -> bool:
        if recommender is None:
            return self._live.tell(tellings)
        return self._live.tell(
            tellings, is_so=lambda each: recommender.shows(each.item_id) is each.available
        )

    def _known(self, query: bytes, owner: TenantId, request_id: str) -> bytes:
        given = parse_qs(query.decode("latin-1"))
        items = [part for value in given.get("items", []) for part in value.split(",") if part]
        if not 1 <= len(items) <= MOST_ASKED:
            raise RequestError(422, f"Ask about 1 to {MOST_ASKED} items: ?items=a,b", field="items")
        tenant = self._tenant(given.get("tenant", [DEFAULT_TENANT])[0], owner)
        champion = self._champions.get(tenant)
        recommender = None if champion is None else self._now.see(champion)
        told = self._now.newest(tenant, items)
        known = [_judged(recommender, *each) for each in zip(items, told, strict=True)]
        model = None if recommender is None else recommender.label
        return _encode(Availability(model=model, items=known, request_id=request_id))

    def _tenant(self, named: str, owner: TenantId) -> TenantId:
        """Whose items are meant; RequestError if the key is another's, or there is no such."""
        if named in (owner, DEFAULT_TENANT):
            return owner
        if not self._collect.is_open:
            raise RequestError(403, "This key is another tenant's.", field="tenant")
        try:
            return tenant_id(named)
        except UsageError as error:
            raise RequestError(422, str(error), field="tenant") from error


def _read(body: bytes) -> AvailabilityRequest:
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"The body doesn't fit: {error}.", field="items") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"The body is no JSON: {error}.") from error


def _later(words: str, seconds: int) -> RequestError:
    return RequestError(
        503, f"{words} Send it again.", headers=[(b"retry-after", str(seconds).encode())]
    )


def _knows(recommender: Recommender | None, item: str) -> bool:
    return recommender is not None and item in recommender.answerer.vocabulary


def _judged(recommender: Recommender | None, item: str, told: ToldItem | None) -> KnownAvailability:
    """What counts for an item: the telling, unless the release was told something newer."""
    shown = None if recommender is None else recommender.shows(item)
    listed_at = 0 if recommender is None else recommender.told_at(item)
    by_http = told is not None and told.told_at > listed_at
    micros = told.told_at if told is not None and by_http else listed_at
    at = (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=UTC) if micros else None
    available = told.available if shown is None and told is not None else bool(shown)
    return KnownAvailability(
        id=item,
        available=available,
        is_known=shown is not None,
        told_by="http" if by_http else "catalogue" if listed_at else None,
        told_at=at,
    )
