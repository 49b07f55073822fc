"""The server: the application on a socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from wherry.errors import UsageError, WherryError
from wherry.serve.balance import Balance, LeavingProtocol
from wherry.serve.direct import DirectProtocol

BACKLOG = 1024
"""How many connections may wait to be accepted."""
GRACE_SECONDS = 10
"""How long requests that are being answered may take to finish once the server is to stop."""

_SWITCH_SECONDS = 0.0005
"""How long another thread may keep the interpreter while an answer waits for it. A kernel lets go
of it, so that every answer asks for it again: with Python's own 5 ms the look for new champions,
or the care of the live sessions, could hold one up as long as an answer may take at all."""


def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; those being answered then are finished.

    Port 0 takes any free port. ``on_ready`` is called with the address, such as
    ``http://127.0.0.1:8080``, once requests are taken.

    Raises:
        UsageError: the port is taken, or the host is none of this machine's.
        WherryError: the application did not start.
    """
    with listen(host, port) as listener:
        answer_on(listener, app, on_ready=on_ready)


def answer_on(
    listener: socket.socket,
    app: ASGIApp,
    *,
    on_ready: Callable[[str], None] | None = None,
    stand_by: Callable[[Callable[[], None]], None] | None = None,
    balance: Balance | None = None,
) -> None:
    """What :func:`serve` does, on a socket that listens already; others may listen on it too.

    With ``stand_by`` nothing is accepted at first: it is called once the application has started,
    with what begins to accept, from whichever thread it is called. ``balance`` keeps the
    connections spread over the processes that accept.

    Raises:
        WherryError: the application did not start.
    """
    config = uvicorn.Config(
        app,
        http=DirectProtocol if balance is None else LeavingProtocol,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # who asks, and by which scheme, changes no answer
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

    def ready() -> None:
        if on_ready is not None:
            on_ready(address_of(listener))

    server = _Server(config, listener, ready, stand_by, balance)
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        server.run(sockets=[])  # it listens by itself, once it is to
    except SystemExit as error:  # how uvicorn ends if the application can't be started
        raise WherryError("The server did not start; its log says why.") from error
    finally:
        sys.setswitchinterval(before)


def address_of(listener: socket.socket) -> str:
    """The address that a socket listens on, such as ``http://127.0.0.1:8080``."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def require_loopback(host: str) -> None:
    """Check that only this machine can reach a host's address; for a server without any key.

    Raises:
        UsageError: others could reach it.
    """
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host or None, None)} if host else set()
    except OSError as error:
        raise UsageError(f"There is no address {host!r} ({error}). Use 127.0.0.1.") from error
    if not found or not all(_is_loopback(str(address)) for address in found):
        raise UsageError(
            f"No key is set, so whoever reaches {host or 'this machine'!r} could read and write. "
            "Make a key first (wherry keys make write), or listen on 127.0.0.1 alone."
        )


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (inner or parsed).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address; requests wait there until an application answers.

    Raises:
        UsageError: the port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # a second server on the port fails now, not once it is warm
    except OSError as error:
        listener.close()
        raise UsageError(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Choose another one, or 0 for any free port."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} needs more rights than yours. Choose one above 1023."
    return f"Can't listen on {host}:{port} ({error}). Use 127.0.0.1, or 0.0.0.0 for all networks."


class _Server(uvicorn.Server):
    """uvicorn, which says when it is ready and returns on a signal instead of raising it again.

    It is started before it accepts anything, so that it can stand by.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        on_ready: Callable[[], None],
        stand_by: Callable[[Callable[[], None]], None] | None,
        balance: Balance | None,
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._on_ready = on_ready
        self._stand_by = stand_by
        self._balance = balance
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started:
            return
        # What is loaded by now stays: the collector need not walk it between two answers.
        gc.collect()
        gc.freeze()
        if self._stand_by is None:
            await self._accept()
        else:
            loop = asyncio.get_running_loop()
            self._stand_by(lambda: loop.call_soon_threadsafe(self._begin))  # type: ignore[arg-type]

    def _begin(self) -> None:
        if not self.should_exit:
            self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        self.servers.append(
            await loop.create_server(self._connection, sock=self._listener, backlog=BACKLOG)
        )
        self._on_ready()

    def _connection(self) -> asyncio.Protocol:
        make: type[Any] = self.config.http_protocol_class
        return make(  # type: ignore[no-any-return]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: see to the balance, and whether it is time to end."""
        if self._balance is not None and self.servers:
            self._balance.look(self.server_state.connections)  # type: ignore[arg-type]
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = (signal.SIGINT, signal.SIGTERM)
        before = {name: signal.signal(name, self.handle_exit) for name in names}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
