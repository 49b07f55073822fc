"""The body of a request, within bounds: how long it is, how long it takes, what it unpacks to."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

import pyarrow as pa
from starlette.types import Receive

from wherry.serve.problem import RequestError

BODY_SECONDS = 30.0
"""How long a client may take to send its body."""

_CLOSE = [(b"connection", b"close")]


class ClientGone(Exception):
    """The client hung up before it had sent its request: there is nobody to answer."""


class Room:
    """The bytes that all bodies being read may hold at once; beyond them requests are refused."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.held = 0

    def take(self, count: int) -> None:
        """Hold so many bytes more.

        Raises:
            RequestError: 503, if there is no room for them.
        """
        if self.held + count > self._size:
            raise RequestError(
                503,
                "The server is holding as much as it can. Send this again in a moment.",
                headers=[(b"retry-after", b"1"), *_CLOSE],
            )
        self.held += count

    def give_back(self, count: int) -> None:
        """Hold so many bytes less."""
        self.held -= count


class Held:
    """What one request holds of the room; given back at its end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._count = 0

    def take(self, count: int) -> None:
        """Hold more; see :meth:`Room.take`."""
        self._room.take(count)
        self._count += count

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._count)


async def read_body(headers: dict[bytes, bytes], receive: Receive, limit: int, held: Held) -> bytes:
    """Read a body and unpack it; neither form may be longer than ``limit`` bytes.

    Raises:
        RequestError: 400, 408, 413, 415 or 503.
        ClientGone: The client hung up.
    """
    unpack = _unpacker(headers.get(b"content-encoding", b""))
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_long(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    held.take(len(body))
    if message.get("more_body", False):
        body = await _read_rest(body, receive, limit, held)
    if len(body) > limit:
        raise _too_long(limit)
    if unpack is None:
        return body
    unpacked = unpack(body, limit)
    if len(unpacked) > limit:
        raise _too_long(limit)
    held.take(len(unpacked))
    return unpacked


async def _read_rest(first: bytes, receive: Receive, limit: int, held: Held) -> bytes:
    chunks, size, more = [first], len(first), True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more and size <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                held.take(len(chunk))
                chunks.append(chunk)
                size += len(chunk)
                more = message.get("more_body", False)
    except TimeoutError:
        why = f"The body did not come within {BODY_SECONDS:.0f} seconds."
        raise RequestError(408, why, headers=_CLOSE) from None
    return b"".join(chunks)


def _too_long(limit: int) -> RequestError:
    # What is left of the body is not read, so the connection can't be used again.
    return RequestError(413, f"The body is longer than {limit} bytes.", headers=_CLOSE)


def _unpacker(encoding: bytes) -> Callable[[bytes, int], bytes] | None:
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return None
    if name not in _UNPACKERS:
        shown = name[:40].decode("ascii", "backslashreplace")
        raise RequestError(
            415,
            f"Content-Encoding {shown} isn't known; use gzip, deflate or zstd, or none.",
            headers=[(b"accept-encoding", b"gzip, deflate, zstd"), *_CLOSE],
        )
    return _UNPACKERS[name]


def _gunzip(body: bytes, limit: int) -> bytes:
    """Unpack gzip of one part or several, and no more than a byte beyond the limit."""
    parts, size = [], 0
    while body and size <= limit:
        stream = zlib.decompressobj(31)
        parts.append(_inflate(stream, body, limit + 1 - size, "gzip"))
        size += len(parts[-1])
        body = stream.unused_data
    return b"".join(parts)


def _undeflate(body: bytes, limit: int) -> bytes:
    """Unpack deflate, in zlib's frame as the standard says, or bare as some clients send it."""
    has_frame = body[:1] == b"\x78"
    return _inflate(zlib.decompressobj(15 if has_frame else -15), body, limit + 1, "deflate")


def _inflate(stream: zlib._Decompress, body: bytes, at_most: int, name: str) -> bytes:
    try:
        found = stream.decompress(body, at_most)
    except zlib.error as error:
        raise RequestError(400, f"The body isn't {name}: {error}.") from None
    if not stream.eof and len(found) < at_most:
        raise RequestError(400, f"The body isn't whole: its {name} breaks off.")
    return found


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            found: bytes = stream.read(limit + 1)
    except (OSError, pa.ArrowException) as error:
        raise RequestError(400, f"The body isn't zstd: {error}.") from None
    return found


_UNPACKERS = {
    b"gzip": _gunzip,
    b"x-gzip": _gunzip,
    b"deflate": _undeflate,
    b"zstd": _unzstd,
}
