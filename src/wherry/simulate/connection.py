"""A connection that asks one thing after the other over HTTP/1.1, and is kept.

It does what a load generator needs and nothing else: a general client spends more time on a
request than the server that is to be measured.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from wherry.errors import UsageError


class Target(msgspec.Struct, frozen=True):
    """Where a server is. ``path`` is what its endpoints stand under, without a last slash."""

    host: str
    port: int
    path: str = ""
    is_tls: bool = False

    @property
    def authority(self) -> str:
        """The host and the port, as the ``Host`` header has them."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_target(url: str) -> Target:
    """Take an address such as ``http://127.0.0.1:8080`` apart.

    Raises:
        UsageError: If it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no address of a server. Give one such as http://HOST:PORT.")
    is_tls = parts.scheme == "https"
    return Target(parts.hostname, port or (443 if is_tls else 80), parts.path.rstrip("/"), is_tls)


class Answer(NamedTuple):
    """What a server answered. ``retry_after`` is that header, in seconds."""

    status: int
    body: bytes
    retry_after: float | None


class Connection:
    """One connection; it opens itself when something is asked, and again once it was lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._tls = ssl.create_default_context() if target.is_tls else None
        self._wire: _Wire | None = None

    async def open(self) -> None:
        """Connect, unless that is so already.

        Raises:
            OSError: If nothing answers there.
        """
        await self._connected()

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Send a request and await its answer for so many seconds at the most.

        Raises:
            OSError: If the connection is lost, or what comes is not HTTP.
            TimeoutError: If no answer comes in time (an ``OSError`` too).
        """
        try:
            async with asyncio.timeout(seconds):
                wire = await self._connected()
                return await wire.ask(request)
        except BaseException:
            # What was asked may still be answered, which must not be taken for the next answer.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> _Wire:
        if self._wire is None or self._wire.is_closed:
            target = self._target
            _, self._wire = await asyncio.get_running_loop().create_connection(
                _Wire, target.host, target.port, ssl=self._tls
            )
        return self._wire


class _Wire(asyncio.Protocol):
    """A connection from its beginning to its end, as asyncio and the parser call it."""

    def __init__(self) -> None:
        self.is_closed = False
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._answer: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self._retry_after: float | None = None

    async def ask(self, request: bytes) -> Answer:
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        self.is_closed = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self._fail("the connection was lost")

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(why))

    def on_message_begin(self) -> None:
        self._body = []
        self._retry_after = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            self._answer.set_result(Answer(status, b"".join(self._body), self._retry_after))
