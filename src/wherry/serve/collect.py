"""The routes by which events come in, as bare ASGI: each answers once its events are on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from time import perf_counter

import msgspec
from starlette.types import Receive, Scope, Send

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox, Receipt
from wherry.collect.keys import Keys
from wherry.collect.privacy import (
    AddressPolicy,
    browser_family,
    network_of,
    scrub_body,
    scrub_link,
)
from wherry.collect.protocols import PROTOCOLS, BodyError, Bounds
from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.errors import InboxUnavailable
from wherry.serve.bodies import ClientGone, Held, Room, read_body
from wherry.serve.credentials import key_in_body, key_in_head, without_key, without_key_fields
from wherry.serve.endpoints import ENDPOINTS, Endpoint, Reply
from wherry.serve.limits import RateLimit
from wherry.serve.metrics import Metrics
from wherry.serve.problem import Headers, RequestError, problem_body
from wherry.serve.request_ids import RequestIds

logger = logging.getLogger("wherry.serve")

_BODY_TYPES = ("application/json", "text/plain", "application/x-www-form-urlencoded", "")
"""What JSON may be said to be: also what a browser's beacon and ``curl -d`` say of any text."""

_LONG_BODY = 100_000
"""From how many bytes on a body is parsed in a thread, beside the requests that wait."""


class CollectLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the collecting routes take.

    ``bounds`` of one request's events; ``max_body_bytes`` of one body, packed and unpacked;
    ``max_held_bytes`` of all bodies at once; ``max_events_per_second`` of one key (0: any
    number), ``burst_seconds`` of which may come at once.
    """

    bounds: Bounds = Bounds()
    max_body_bytes: int = 4_000_000
    max_held_bytes: int = 64_000_000
    max_events_per_second: float = 0.0
    burst_seconds: float = 10.0


class CollectRoutes:
    """Takes events in: who sends them, what they are, and that they are kept.

    ``keys`` says whose a key is. While there are none, everything is the default tenant's,
    unless an event names another. ``check`` is the tracking plan's judgement of what was
    parsed. ``clock`` gives the time, UTC without a zone.
    """

    def __init__(
        self,
        inbox: Callable[[], Inbox],
        keys: Keys,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        limits: CollectLimits | None = None,
        origins: tuple[str, ...] = (),
        address: AddressPolicy = "truncated",
        is_behind_proxy: bool = False,
        check: Callable[[Parsed], Parsed] | None = None,
    ) -> None:
        self._open_inbox = inbox
        self._inbox: Inbox | None = None
        self._keys = keys
        self._metrics = metrics
        self._clock = clock
        self._limits = limits or CollectLimits()
        self._origins = origins
        self._address: AddressPolicy = address
        self._is_behind_proxy = is_behind_proxy
        self._check = check
        # Asking the system for chance at every request would let other threads in each time.
        self._ids = RequestIds()
        self._room = Room(self._limits.max_held_bytes)
        rate = self._limits.max_events_per_second
        self._rate = RateLimit(rate, rate * self._limits.burst_seconds)

    @property
    def inbox(self) -> Inbox:
        """The inbox of this server, once it was started."""
        assert self._inbox is not None
        return self._inbox

    @property
    def is_open(self) -> bool:
        """Whether there are no keys, so that requests say themselves whose they are."""
        return self._keys.is_open

    def now(self) -> datetime:
        """The time by which things come in, UTC without a zone."""
        return self._clock()

    def owner_of(self, key: str | None) -> TenantId:
        """Whose a write key is; RequestError 401 if it is none, and keys are asked for."""
        return self._tenant(key)

    async def start(self) -> None:
        """Open the inbox; the first request needs it."""
        self._inbox = await asyncio.to_thread(self._open_inbox)

    async def stop(self) -> None:
        """Finish what is on its way to the disk, and close the inbox."""
        if self._inbox is not None:
            await self._inbox.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes it fail."""
        started = perf_counter()
        headers = dict(scope["headers"])
        request_id = self._ids.of(headers.get(b"x-request-id"))
        endpoint = ENDPOINTS[scope["path"]]
        try:
            if scope["method"] == "OPTIONS":
                reply = self._preflight(endpoint)
            else:
                reply = await self._take(endpoint, scope, headers, receive, request_id)
        except RequestError as error:
            reply = Reply(error.status, error.body(request_id), extra=error.headers)
        except ClientGone:
            return
        except Exception:
            logger.exception("Request %s can't be answered.", request_id)
            reply = Reply(500, problem_body("The server failed.", None, request_id))
        head = [
            *reply.headers(),
            (b"x-request-id", request_id.encode()),
            *self._cors(headers.get(b"origin")),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.body})
        self._metrics.answered(scope["path"], reply.status, perf_counter() - started)

    async def _take(
        self,
        endpoint: Endpoint,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        request_id: str,
    ) -> Reply:
        """Read, know, parse and keep what one request brings; RequestError if that can't be."""
        if scope["method"] not in endpoint.methods:
            allowed = ", ".join((*endpoint.methods, "OPTIONS"))
            raise RequestError(
                405, f"{scope['path']} takes {allowed}.", headers=[(b"allow", allowed.encode())]
            )
        query: bytes = scope["query_string"]
        key = key_in_head(headers, query)
        tenant = self._tenant(key) if key is not None or not endpoint.has_key_in_body else None
        _require_type(endpoint, headers)
        with Held(self._room) as held:
            body = b""
            if scope["method"] == "POST":
                body = await read_body(headers, receive, self._limits.max_body_bytes, held)
            keyed_by = ""
            if tenant is None:
                key = key_in_body(endpoint.protocol, body, query)
                tenant = self._tenant(key)
                keyed_by = "aid" if endpoint.protocol == "snowplow" else ""
            if self._keys.is_open:
                key, keyed_by = None, ""  # whatever stands there, it is no key
            delivery = Delivery(
                tenant=tenant,
                protocol=endpoint.protocol,
                received_at=self._clock(),
                # Segment's client writes the key into the body as well as the head.
                body=scrub_body(without_key(body, key), self._address),
                context=self._context(scope, headers, key, keyed_by),
            )
            parsed = await self._parse(delivery)
            self._pay(key, len(parsed.events) + len(parsed.refusals))
            receipt = await self._keep(delivery, parsed)
        return endpoint.reply(scope["method"], receipt, parsed.refusals, request_id)

    def _tenant(self, key: str | None) -> TenantId:
        """Whose events these are; RequestError 401 if the key doesn't say."""
        if self._keys.is_open:
            return DEFAULT_TENANT
        tenant = None if key is None else self._keys.tenant_of(key, "write")
        if tenant is None:
            why = "This needs a write key." if key is None else "The key is not a write key."
            raise RequestError(
                401,
                f"{why} Make one: wherry keys make write",
                headers=[(b"www-authenticate", b"Bearer"), (b"connection", b"close")],
            )
        return tenant

    def _context(
        self, scope: Scope, headers: dict[bytes, bytes], key: str | None, keyed_by: str
    ) -> dict[str, str]:
        """What a parser, and a better one later, needs to know beside the body."""
        context = {"path": scope["path"]}
        query = without_key(without_key_fields(scope["query_string"]), key)
        if query:
            context["query"] = scrub_link(query.decode("latin-1"), self._address)
        if b"content-type" in headers:
            context["content_type"] = headers[b"content-type"][:100].decode("latin-1")
        client = scope.get("client")
        address = client[0] if client else ""
        if self._is_behind_proxy and b"x-forwarded-for" in headers:
            # The last entry is the proxy's own word; those before it are the client's.
            address = headers[b"x-forwarded-for"].rsplit(b",", 1)[-1].decode("latin-1")
        for name, value in (
            ("address", network_of(address, self._address)),
            ("agent", browser_family(headers.get(b"user-agent", b"").decode("latin-1"))),
            ("keyed_by", keyed_by),
            ("keyless", "yes" if self._keys.is_open else ""),
        ):
            if value:
                context[name] = value
        return context

    async def _parse(self, delivery: Delivery) -> Parsed:
        try:
            if len(delivery.body) < _LONG_BODY:
                return self._parse_now(delivery)
            return await asyncio.to_thread(self._parse_now, delivery)
        except BodyError as error:
            raise RequestError(413 if error.is_too_large else 400, str(error)) from None

    def _parse_now(self, delivery: Delivery) -> Parsed:
        parsed = PROTOCOLS[delivery.protocol](delivery, self._limits.bounds)
        return parsed if self._check is None else self._check(parsed)

    def _pay(self, key: str | None, count: int) -> None:
        wait = self._rate.take(key or "", count)
        if wait:
            raise RequestError(
                429,
                f"More than {self._limits.max_events_per_second:g} events a second came with "
                "this key.",
                headers=[(b"retry-after", str(wait).encode())],
            )

    async def _keep(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        receipt = Receipt(0, 0)
        if parsed.events or parsed.refusals:
            try:
                receipt = await self.inbox.put(delivery, parsed)
            except InboxUnavailable as error:
                again = str(error.retry_seconds).encode()
                raise RequestError(503, str(error), headers=[(b"retry-after", again)]) from error
        self._metrics.collected(
            delivery.tenant,
            delivery.protocol,
            taken=receipt.taken,
            known=receipt.known,
            refused=len(parsed.refusals),
        )
        return receipt

    def _preflight(self, endpoint: Endpoint) -> Reply:
        methods = ", ".join((*endpoint.methods, "OPTIONS")).encode()
        return Reply(
            204,
            extra=[
                (b"allow", methods),
                (b"access-control-allow-methods", methods),
                (b"access-control-max-age", b"86400"),
                (
                    b"access-control-allow-headers",
                    b"authorization, content-type, content-encoding, x-api-key, x-request-id, "
                    b"anonymousid, sp-anonymous",
                ),
            ],
        )

    def _cors(self, origin: bytes | None) -> Headers:
        """What lets a page of an allowed origin read the answer. Keys, not cookies, say who
        sends, so that credentials may come along and mean nothing."""
        if origin is None or not self._origins:
            return []
        if "*" not in self._origins and origin.decode("latin-1") not in self._origins:
            return [(b"vary", b"origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", b"x-request-id, retry-after"),
            (b"vary", b"origin"),
        ]


def _require_type(endpoint: Endpoint, headers: dict[bytes, bytes]) -> None:
    """Refuse a file or XML where JSON is meant; RequestError 415."""
    if endpoint.protocol != "native":
        return  # the clients of other protocols say whatever they say
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind not in _BODY_TYPES and not kind.endswith(("json", "+json", "jsonl")):
        raise RequestError(
            415,
            f"The body is said to be {kind[:60]}; send JSON (Content-Type: application/json) "
            "or one event a line (application/x-ndjson).",
            headers=[(b"connection", b"close")],
        )
