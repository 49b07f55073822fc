"""The direct way of a hot request: from the connection to what answers it, and back.

ASGI costs each request a task, a dictionary and two messages, and answers it by itself. Where an
answer needs no wait, that is half of its time. Here the requests that come in one turn of the
event loop are collected until everything that the system has was read, and are answered together.
uvicorn's own parser reads them; whatever is out of the ordinary about one (a body of unknown
length, an old HTTP, a connection to be closed), and what has to wait, goes through ASGI.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import perf_counter
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from wherry.serve.one_write import HeadWithBody, OneWriteProtocol
from wherry.serve.problem import JSON_HEADERS, Headers
from wherry.serve.reply import Reply

logger = logging.getLogger("wherry.serve")

_AT_ONCE = 16
"""Requests that are answered together: none waits for more than so many others' ranking."""

_LONGEST_BODY = 65_536
_METHODS = {b"GET": "GET", b"POST": "POST"}
_UNUSUAL = frozenset((b"connection", b"expect", b"transfer-encoding", b"upgrade"))
_JSON_HEAD = b"".join(b"%b: %b\r\n" % header for header in JSON_HEADERS)


class Exchange:
    """One request on a connection, until it was replied to or handed over to ASGI.

    ``began`` is ``perf_counter()`` when its head had come.
    """

    __slots__ = ("_connection", "began", "body", "headers", "method", "query")

    def __init__(
        self, connection: DirectProtocol, method: str, query: bytes, headers: Headers
    ) -> None:
        self._connection: DirectProtocol | None = connection
        self.method = method
        self.query = query
        self.headers = headers
        self.body = b""
        self.began = perf_counter()

    @property
    def is_open(self) -> bool:
        """Whether somebody waits for a reply."""
        return self._connection is not None

    def reply(self, reply: Reply) -> None:
        """Send the answer; nothing happens where the client has gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.send_reply(reply)

    def hand_over(self) -> None:
        """Let the application answer it through ASGI."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.hand_over(self.body)

    def leave(self) -> None:
        """The client has gone."""
        self._connection = None


class Turn:
    """Collects the requests that come in one turn of the event loop for what answers them."""

    def __init__(self, answer: Callable[[Sequence[Exchange]], None]) -> None:
        self._answer = answer
        self._waiting: list[Exchange] = []

    def add(self, exchange: Exchange, loop: AbstractEventLoop) -> None:
        """Take a request, which is answered once the loop has read what else there is."""
        if not self._waiting:
            loop.call_soon(self.end)
        self._waiting.append(exchange)

    def end(self) -> None:
        """Answer what has been collected."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _AT_ONCE):
            some = [each for each in waiting[start : start + _AT_ONCE] if each.is_open]
            try:
                self._answer(some)
            except Exception:  # nobody else would ever answer those that are left
                logger.exception("Requests that came together are answered one by one.")
                for each in some:
                    each.hand_over()


class DirectProtocol(OneWriteProtocol):
    """A connection whose hot requests go the direct way.

    The application names their paths in ``direct``, each with its :class:`Turn`. A connection has
    one request in a turn at a time, so that answers keep the order of requests.
    """

    def __init__(self, *args: Any, **details: Any) -> None:
        super().__init__(*args, **details)
        self._turns: dict[bytes, Turn] = getattr(self.app, "direct", {})
        self._turn: Turn | None = None
        self._exchange: Exchange | None = None
        self._is_whole = False
        self._idle_since: float | None = None
        self._timer: TimerHandle | None = None

    def on_message_begin(self) -> None:
        """Begin with a request, once the one before was answered or handed over."""
        if self._exchange is not None and self._turn is not None:
            self._turn.end()
        self._idle_since = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Take a request's head: into an exchange, or as uvicorn does."""
        self._exchange = self._direct()
        if self._exchange is None:
            self._begin_asgi()

    def _begin_asgi(self) -> None:
        """What uvicorn does with a head; its scope is made here, since most need none."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers = headers
        self.scope["headers"] = headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a request's body."""
        if self._exchange is None:
            super().on_body(body)
        else:
            self._exchange.body += body

    def on_message_complete(self) -> None:
        """Take a request's end."""
        if self._exchange is None or self._turn is None:
            super().on_message_complete()
        else:
            self._is_whole = True
            self._turn.add(self._exchange, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with a connection; whoever asked has gone."""
        if self._exchange is not None:
            self._exchange.leave()
            self._exchange = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection, once what is under way was answered."""
        if self._exchange is not None and self._turn is not None:
            if self._is_whole:
                self._turn.end()
            else:
                self._exchange.hand_over()
        super().shutdown()

    def send_reply(self, reply: Reply) -> None:
        """Write an answer, and begin with what came meanwhile."""
        self._exchange = None
        cast(HeadWithBody, self.transport).send(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n%b%b\r\n%b"
            % (
                STATUS_LINE[reply.status],
                _JSON_HEAD,
                len(reply.body),
                reply.request_id.encode(),
                _lines(tuple(self.server_state.default_headers)),
                _lines(tuple(reply.headers)) if reply.headers else b"",
                reply.body,
            )
        )
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Close the connection if nothing came for as long as it is kept; else look again then.

        One timer that looks now and then costs less than one that is set and cancelled by each
        request.
        """
        rest = float(self.timeout_keep_alive)
        if self._idle_since is not None:
            rest -= self.loop.time() - self._idle_since
        if rest > 0:
            self._timer = self.loop.call_later(rest, self._close_if_idle)
        else:
            self.timeout_keep_alive_handler()

    def hand_over(self, body: bytes) -> None:
        """Let the application have the request through ASGI, as if it had just come."""
        self._exchange = None
        if self.transport.is_closing():
            return
        self._begin_asgi()
        if body:
            super().on_body(body)
        if self._is_whole:
            super().on_message_complete()

    def _direct(self) -> Exchange | None:
        """The request as one that goes the direct way; None if it must not."""
        path, _, query = self.url.partition(b"?")
        turn = self._turns.get(path)
        method = _METHODS.get(self.parser.get_method())
        if turn is None or method is None or b"#" in query or not self._is_usual():
            return None
        self._turn, self._is_whole = turn, False
        return Exchange(self, method, query, self.headers)

    def _is_usual(self) -> bool:
        """Whether the connection is free and stays open, and the request is of known length."""
        is_free = self.cycle is None or self.cycle.response_complete
        if not is_free or self.pipeline or self.flow.write_paused:
            return False
        for name, value in self.headers:
            if name in _UNUSUAL and not (name == b"connection" and value.lower() == b"keep-alive"):
                return False
            if name == b"content-length" and not _is_short(value):
                return False
        return self.parser.get_http_version() == "1.1"


@lru_cache(maxsize=64)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Headers as they are sent; those of every answer change once a second."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _is_short(length: bytes) -> bool:
    return len(length) <= 6 and length.isdigit() and int(length) <= _LONGEST_BODY
