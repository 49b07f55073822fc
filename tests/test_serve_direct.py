"""The direct way: it says what ASGI says, in the order of the requests, whatever comes together."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from serve_shop import Many, answerer, release
from wherry.domain import ItemId, Release, SessionId, TenantId, VisitorId
from wherry.domain.rule import Pin
from wherry.learn.questions import Questions, Rankings
from wherry.serve import Limits, Query, Recommender, SessionItems, create_app
from wherry.serve.app import Application
from wherry.serve.direct import DirectProtocol, Exchange, Turn
from wherry.serve.one_write import OneWriteProtocol

LIMITS = Limits(k=5, max_k=20, max_session_items=3, max_body_bytes=1_000, max_explained=4)
ASK = "/v1/recommend"


class Broken(Recommender):
    """Warms up, then fails at every request."""

    def recommend_json(self, query: Query, **details: Any) -> Any:
        raise ZeroDivisionError


class FailsTogether(Many):
    """Ranks for one at a time only."""

    def recommend_many(self, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
        raise ZeroDivisionError


def load(release: Release, folder: Path) -> Recommender:
    rules = [Pin(name="pinned", items=("i7",), position=2)] if release.tenant == "ruled" else []
    shop = copy.copy(answerer(hide_purchased=True, rules=rules))
    shop.model = FailsTogether() if release.tenant == "alone" else Many()
    shop.ranks_many = shop.model
    kind = Broken if release.tenant == "broken" else Recommender
    return kind(shop, tenant=release.tenant, name=release.name, version=release.version)


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    names = ("default", "ruled", "broken", "alone")
    found = {TenantId(name): (release(3, name), Path()) for name in names}
    return {**found, TenantId("north"): None}


def live(
    tenant: TenantId, visitor: VisitorId | None, session: SessionId | None
) -> SessionItems | None:
    if visitor == "ann":
        return SessionItems((ItemId("i8"), ItemId("i30")), (ItemId("i31"),), is_live=True)
    return SessionItems((), is_live=True) if visitor == "looks only" else None


def published(tenant: TenantId, session: SessionId) -> SessionItems | None:
    return SessionItems((ItemId("i3"), ItemId("i21"))) if session == "s1" else None


class Running:
    """A server on loopback: ``direct`` takes the direct way, ``asgi`` does not."""

    def __init__(self, app: Application, keep_seconds: float) -> None:
        self.app = app
        self.state = ServerState()
        self.config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=cast(int, keep_seconds),
        )
        self.config.load()
        self.handed_over = 0

    def make(self, kind: type[OneWriteProtocol]) -> Callable[[], OneWriteProtocol]:
        running = self

        class Counted(DirectProtocol):
            def hand_over(self, body: bytes) -> None:
                running.handed_over += 1
                super().hand_over(body)

        made = Counted if kind is DirectProtocol else kind
        return lambda: made(self.config, self.state, {})

    async def __aenter__(self) -> Running:
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(self.make(kind), "127.0.0.1", 0)
            for kind in (DirectProtocol, OneWriteProtocol)
        ]
        self.direct, self.asgi = (each.sockets[0].getsockname()[1] for each in self.servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.state.connections):
            connection.shutdown()

    @property
    def counted(self) -> str:
        registry = self.app._metrics.text().decode()
        return "\n".join(line for line in registry.splitlines() if "requests_total" in line)


@asynccontextmanager
async def serving(keep_seconds: float = 5.0) -> AsyncIterator[Running]:
    app = create_app(
        champions, load, limits=LIMITS, sessions=published, live=live, refresh_seconds=3600
    )
    begin: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.ensure_future(app({"type": "lifespan"}, begin.get, told.put))
    begin.put_nowait({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    async with Running(cast(Application, app), keep_seconds) as running:
        yield running
    begin.put_nowait({"type": "lifespan.shutdown"})
    await life


def run(work: Callable[[Running], Awaitable[None]], **details: Any) -> None:
    async def whole() -> None:
        async with serving(**details) as running:
            await asyncio.wait_for(work(running), 30)

    asyncio.run(whole())


def get(query: str, *headers: str, id: str = "r-1", version: str = "1.1") -> bytes:
    lines = [f"GET {ASK}{query} HTTP/{version}", "Host: shop", f"X-Request-Id: {id}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def post(body: object, *headers: str, method: str = "POST", path: str = ASK) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: shop", "X-Request-Id: r-1", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


class Connection:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def answer(self) -> tuple[bytes, list[bytes], bytes]:
        """The status line, the headers but the date, the body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, *headers = head.rstrip().split(b"\r\n")
        kept = sorted(each for each in headers if not each.startswith(b"date:"))
        length = next(each for each in headers if each.startswith(b"content-length:"))
        return status, kept, await self.reader.readexactly(int(length.split(b":")[1]))

    async def ask(self, request: bytes) -> tuple[bytes, list[bytes], bytes]:
        self.writer.write(request)
        return await self.answer()

    def close(self) -> None:
        self.writer.close()


async def ask(port: int, request: bytes) -> tuple[bytes, list[bytes], bytes]:
    connection = await Connection.to(port)
    try:
        return await connection.ask(request)
    finally:
        connection.close()


REQUESTS = {
    "items": get("?items=i21,i8&k=3"),
    "items of which nobody knows": get("?items=what,ever"),
    "a visitor": get("?visitor_id=ann"),
    "a visitor who looked only": get("?visitor_id=looks%20only"),
    "a session that is published": get("?session_id=s1"),
    "nothing is known": get(""),
    "hidden and filtered": get("?items=i21&exclude=i22&filter.brand=b1,b2&k=20"),
    "a filter that fits nothing": get("?items=i21&filter.brnd=b1"),
    "rules": get("?items=i21&tenant=ruled"),
    "too many": get("?items=i21&k=21"),
    "no number": get("?items=i21&k=0"),
    "a parameter that there isn't": get("?itms=i21"),
    "what can't be read": get("?items=%ff%zz"),
    "a tenant that there isn't": get("?tenant=nrth"),
    "a tenant without a release": get("?tenant=north"),
    "a model that fails": get("?items=i1&tenant=broken"),
    "with reasons": get("?items=i21&k=2&explain=true"),
    "a body": post({"session_items": ["i21"], "k": 3, "exclude": ["i22"]}),
    "a body with rules": post(
        {"session_items": ["i21"], "rules": [{"action": "block", "name": "b", "items": ["i20"]}]}
    ),
    "carousels": post({"session_items": ["i21"], "carousels": [{"name": "a"}, {"name": "b"}]}),
    "a page": post({"session_items": ["i21"], "page_id": "p1"}),
    "no JSON": post(b'{"session_items": '),
    "another type": post({}, "Content-Type: text/plain"),
    "a body that is too long": post({"session_items": ["i" * 2_000]}),
    "fields in both": post({"k": 1}, path=f"{ASK}?k=1"),
    "a method that can't be": post({}, method="PUT"),
    "to be closed": get("?items=i21", "Connection: close"),
    "to be kept": get("?items=i21", "Connection: keep-alive"),
    "an old HTTP": get("?items=i21", version="1.0"),
    "no sane id": get("?items=i21&k=2", id="<r>").replace(b"X-Request-Id: <r>\r\n", b""),
    "another path": get("").replace(b"/v1/recommend", b"/healthz"),
    "pieces of unknown length": (
        f"POST {ASK} HTTP/1.1\r\nHost: shop\r\nX-Request-Id: r-1\r\nTransfer-Encoding: chunked\r\n"
        '\r\n7\r\n{"k":2}\r\n0\r\n\r\n'.encode()
    ),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_the_direct_way_says_what_asgi_says(request_: bytes) -> None:
    async def work(running: Running) -> None:
        direct, asgi = await ask(running.direct, request_), await ask(running.asgi, request_)
        if b"X-Request-Id" in request_:
            assert direct == asgi
        else:  # each has named it by itself
            assert direct[0] == asgi[0]
            assert json.loads(direct[2])["items"] == json.loads(asgi[2])["items"]

    run(work)


def test_only_what_has_to_wait_is_handed_over() -> None:
    async def work(running: Running) -> None:
        for name in ("items", "a visitor", "a body", "rules", "no number", "a page"):
            await ask(running.direct, REQUESTS[name])
        assert running.handed_over == 0
        for name in ("a session that is published", "with reasons", "carousels"):
            await ask(running.direct, REQUESTS[name])
        assert running.handed_over == 3
        assert 'status="200"} 8.0' in running.counted
        assert 'status="400"} 1.0' in running.counted

    run(work)


def test_what_comes_together_is_answered_as_alone() -> None:
    requests = [get(f"?items=i{n},i{2 * n}&k={1 + n % 20}", id=f"r-{n}") for n in range(20)]
    requests += [REQUESTS[name] for name in ("rules", "a visitor", "hidden and filtered",
                                             "items of which nobody knows", "no number",
                                             "a model that fails", "a body")]  # fmt: skip

    async def work(running: Running) -> None:
        alone = [await ask(running.asgi, each) for each in requests]
        connections = [await Connection.to(running.direct) for _ in requests]
        for connection, request in zip(connections, requests, strict=True):
            connection.writer.write(request)
        assert [await each.answer() for each in connections] == alone
        for each in connections:
            each.close()

    run(work)


def test_a_model_that_fails_for_several_is_asked_for_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(running: Running) -> None:
        connections = [await Connection.to(running.direct) for _ in range(4)]
        for _ in range(3):
            for each in connections:
                each.writer.write(get("?items=i21&tenant=alone"))
            for each in connections:
                assert (await each.answer())[0] == b"HTTP/1.1 200 OK"
        for each in connections:
            each.close()

    with caplog.at_level(logging.ERROR):
        run(work)
    assert [each.getMessage() for each in caplog.records] == [
        "recommender@3 can't rank for several at once."
    ]


def test_whoever_is_left_when_a_turn_fails_is_answered_through_asgi(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(some: Sequence[Exchange]) -> None:
        raise ZeroDivisionError

    async def work(running: Running) -> None:
        running.app.direct[ASK.encode()] = Turn(fail)
        connections = [await Connection.to(running.direct) for _ in range(3)]
        for each in connections:
            each.writer.write(REQUESTS["a body"])
        alone = await ask(running.asgi, REQUESTS["a body"])
        for each in connections:
            assert await each.answer() == alone
            each.close()

    run(work)
    assert "answered one by one" in caplog.text


def test_answers_come_in_the_order_of_the_requests() -> None:
    queries = ["?items=i21", "?session_id=s1", "?items=i8&explain=true&k=2", "?items=i9", "?k=0",
               "?session_id=s1", "?items=i10", "?items=i11"]  # fmt: skip

    async def work(running: Running) -> None:
        connection = await Connection.to(running.direct)
        requests = [get(query, id=f"r-{n}") for n, query in enumerate(queries)]
        connection.writer.write(b"".join(requests))
        got = [await connection.answer() for _ in queries]
        connection.close()
        assert got == [await ask(running.asgi, each) for each in requests]

    run(work)


def test_a_request_may_come_in_pieces() -> None:
    async def work(running: Running) -> None:
        connection = await Connection.to(running.direct)
        whole = REQUESTS["a body"]
        for at in range(0, len(whole), 25):
            connection.writer.write(whole[at : at + 25])
            await asyncio.sleep(0.002)
        assert await connection.answer() == await ask(running.asgi, whole)
        connection.close()

    run(work)


def test_a_client_that_goes_takes_nothing_with_it() -> None:
    async def work(running: Running) -> None:
        for request in (REQUESTS["items"], REQUESTS["a body"][:-5]):
            gone = await Connection.to(running.direct)
            gone.writer.write(request)
            gone.writer.transport.abort()
            assert (await ask(running.direct, REQUESTS["items"]))[0] == b"HTTP/1.1 200 OK"

    run(work)


def test_rubbish_is_refused() -> None:
    async def work(running: Running) -> None:
        connection = await Connection.to(running.direct)
        connection.writer.write(b"GET " + ASK.encode() + b" HTTP/1.1\r\nno header\r\n\r\n")
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 400 ")
        connection.close()

    run(work)


def test_a_connection_is_kept_while_it_is_used_and_closed_once_it_is_idle() -> None:
    async def work(running: Running) -> None:
        loop = asyncio.get_running_loop()
        connection = await Connection.to(running.direct)
        until = loop.time() + 0.5
        while loop.time() < until:
            assert (await connection.ask(REQUESTS["items"]))[0] == b"HTTP/1.1 200 OK"
        assert await connection.reader.read() == b""
        connection.close()

    run(work, keep_seconds=0.2)


def test_a_request_that_comes_slowly_is_no_idle_connection() -> None:
    async def work(running: Running) -> None:
        connection = await Connection.to(running.direct)
        first = await connection.ask(REQUESTS["items"])
        connection.writer.write(REQUESTS["items"][:20])
        await asyncio.sleep(0.3)
        assert await connection.ask(REQUESTS["items"][20:]) == first
        connection.close()

    run(work, keep_seconds=0.1)


class Wire:
    """A transport in memory."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def test_a_stop_answers_what_waits_and_what_is_on_its_way() -> None:
    async def work(running: Running) -> None:
        wires = [Wire(), Wire(), Wire()]
        made = [cast(DirectProtocol, running.make(DirectProtocol)()) for _ in wires]
        for connection, wire in zip(made, wires, strict=True):
            connection.connection_made(cast(Any, wire))
        whole = REQUESTS["a body"]
        made[0].data_received(REQUESTS["items"])
        made[1].data_received(whole[:-5])
        for connection in made:
            connection.shutdown()
        assert wires[0].written.startswith(b"HTTP/1.1 200 OK")
        assert wires[2].is_closed
        made[1].data_received(whole[-5:])
        while not wires[1].is_closed:
            await asyncio.sleep(0.001)
        assert wires[1].written.startswith(b"HTTP/1.1 200 OK")

    run(work)
