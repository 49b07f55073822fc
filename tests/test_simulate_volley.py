"""A volley: a fixed rate, and a clock that runs while a server stalls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import repeat

from wherry.simulate.connection import Target
from wherry.simulate.volley import Shot, Volley, fire

ASK = Shot("recommend", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


def volley(answer: Answer, *, rate: float, seconds: float, connections: int) -> Volley:
    """A volley at a server whose ``answer`` is told how many requests came before."""

    async def run() -> Volley:
        asked = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            while await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                await answer(asked - 1, writer)

        talks = []

        async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.append(asyncio.current_task())
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await talk(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        server = await asyncio.start_server(quietly, "127.0.0.1", 0)
        async with server:
            target = Target("127.0.0.1", server.sockets[0].getsockname()[1])
            done = await fire(
                target, repeat(ASK), rate=rate, seconds=seconds, connections=connections
            )
            await asyncio.gather(*talks)
            return done

    return asyncio.run(run())


async def fine(before: int, writer: asyncio.StreamWriter) -> None:
    writer.write(FINE[:20])  # a head may come in two pieces
    await writer.drain()
    writer.write(FINE[20:])


def test_so_many_are_sent_and_every_answer_is_counted() -> None:
    done = volley(fine, rate=200, seconds=0.25, connections=4)
    assert (done.sent, done.errors, done.unanswered) == (50, 0, 0)
    assert done.latencies["recommend"].count == 50


def test_an_answer_that_is_no_success_is_an_error() -> None:
    async def refuse(before: int, writer: asyncio.StreamWriter) -> None:
        writer.write(FINE if before % 2 else FINE.replace(b"200", b"503"))

    done = volley(refuse, rate=200, seconds=0.1, connections=1)
    assert done.errors == 10


def test_what_had_to_wait_for_a_stall_is_charged_for_it() -> None:
    """One connection, stalled for 0.3 s by the first of sixty: most of the others are late."""

    async def stall(before: int, writer: asyncio.StreamWriter) -> None:
        if before == 0:
            await asyncio.sleep(0.3)
        writer.write(FINE)

    done = volley(stall, rate=200, seconds=0.3, connections=1)
    assert done.latencies["recommend"].count == 60
    assert done.latencies["recommend"].p50 > 50


def test_what_never_is_answered_is_charged_and_counted() -> None:
    async def hang_up(before: int, writer: asyncio.StreamWriter) -> None:
        writer.close()

    done = volley(hang_up, rate=100, seconds=0.1, connections=2)
    assert done.unanswered == 10
    assert done.latencies["recommend"].count == 10
    assert done.latencies["recommend"].max > 100


def test_what_is_on_its_way_at_the_end_is_counted_once() -> None:
    async def silence(before: int, writer: asyncio.StreamWriter) -> None:
        pass

    done = volley(silence, rate=100, seconds=0.1, connections=4)
    assert (done.sent, done.unanswered) == (4, 10)
    assert done.latencies["recommend"].count == 10
