"""One write an answer: head and body in one system call, not two.

uvicorn writes the head of an answer when it is told of it and the body when that comes. Each is
a call of the system and wakes the client, together a tenth of a short answer's time. Here the
head waits for the body.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_INTERIM = b"HTTP/1.1 1"
_HEAD = b"HTTP/1.1 "


class HeadWithBody:
    """A transport that keeps the head of an answer back until what follows it.

    An answer without a body is sent by :meth:`flush`, at its end. An interim one (100 Continue)
    has nothing to wait for. All else goes to the transport itself.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send what is written, behind the head if one waits; a head begins to wait."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._head = data
            return
        self._transport.write(data)

    def send(self, answer: bytes) -> None:
        """Send a whole answer, head and body, unless nobody is there to take it."""
        if not self._transport.is_closing():
            self._transport.write(answer)

    def flush(self) -> None:
        """Send a head that waits for no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what waits, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol for HTTP/1.1, with one write an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a connection."""
        super().connection_made(cast(asyncio.Transport, HeadWithBody(transport)))

    def on_response_complete(self) -> None:
        """End an answer, and begin with the next request that came."""
        cast(HeadWithBody, self.transport).flush()
        super().on_response_complete()
