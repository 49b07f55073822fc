"""The addresses that events come to, and how each protocol's clients are answered."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from wherry.collect.delivery import Refusal
from wherry.collect.inbox import Receipt
from wherry.collect.protocols.segment import CALLS
from wherry.serve.problem import Headers

GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
"""A transparent picture of one point."""

EVENTS = "/v1/events"
PIXEL = "/v1/pixel"
TRACKER = "/com.snowplowanalytics.snowplow/tp2"


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event of a request that was not taken: its place in it, from 0, and why."""

    position: int
    reason: str


class Taken(msgspec.Struct, frozen=True):
    """What became of a request's events; each is counted once.

    ``taken`` are new, ``known`` came before with the same id, ``refused`` can't be taken.
    """

    taken: int
    known: int
    refused: list[RefusedEvent]
    request_id: str


class Success(msgspec.Struct, frozen=True):
    """What Segment answers."""

    success: bool = True


class Reply(msgspec.Struct, frozen=True):
    """An answer, ready to be sent."""

    status: int
    body: bytes = b""
    kind: bytes = b"application/json"
    extra: Headers = []

    def headers(self) -> Headers:
        """The answer's own headers; no answer may be kept by a cache."""
        head: Headers = [(b"cache-control", b"no-store, no-cache, max-age=0")]
        if self.body or self.status != 204:
            head.append((b"content-length", str(len(self.body)).encode()))
            head.append((b"content-type", self.kind))
        return [*head, *self.extra]


class Endpoint(msgspec.Struct, frozen=True):
    """One address: the protocol spoken there, the methods, and how it answers."""

    protocol: str
    methods: tuple[str, ...]
    reply: Callable[[str, Receipt, list[Refusal], str], Reply]
    has_key_in_body: bool = False


_encode = msgspec.json.Encoder().encode
_SUCCESS = Reply(200, _encode(Success()))
_NOTHING = Reply(204)
_OK = Reply(200, b"ok", b"text/plain; charset=utf-8")
_PICTURE = Reply(200, GIF, b"image/gif")
_PICTURE_REFUSED = Reply(422, GIF, b"image/gif")


def _count(method: str, receipt: Receipt, refusals: list[Refusal], request_id: str) -> Reply:
    refused = [RefusedEvent(each.position, each.reason) for each in refusals]
    answer = Taken(receipt.taken, receipt.known, refused, request_id)
    is_lost = refused and not (receipt.taken or receipt.known)
    return Reply(422 if is_lost else 200, _encode(answer))


def _succeed(method: str, receipt: Receipt, refusals: list[Refusal], request_id: str) -> Reply:
    return _SUCCESS


def _say_nothing(method: str, receipt: Receipt, refusals: list[Refusal], request_id: str) -> Reply:
    return _NOTHING


def _say_ok(method: str, receipt: Receipt, refusals: list[Refusal], request_id: str) -> Reply:
    return _OK if method == "POST" else _PICTURE


def _show(method: str, receipt: Receipt, refusals: list[Refusal], request_id: str) -> Reply:
    return _PICTURE_REFUSED if refusals else _PICTURE


_SEGMENT = Endpoint("segment", ("POST",), _succeed, has_key_in_body=True)
_WORDS = (*CALLS, *(call[0] for call in CALLS), "batch", "b", "import")

ENDPOINTS = {
    EVENTS: Endpoint("native", ("POST",), _count),
    **{f"/v1/{word}": _SEGMENT for word in _WORDS},
    "/beacon/v1/batch": _SEGMENT,
    "/mp/collect": Endpoint("ga4", ("POST",), _say_nothing),
    TRACKER: Endpoint("snowplow", ("POST", "GET"), _say_ok, has_key_in_body=True),
    "/i": Endpoint("snowplow", ("GET",), _say_ok, has_key_in_body=True),
    PIXEL: Endpoint("pixel", ("GET",), _show),
}
"""Every address by its path."""
