"""A volley: requests sent at a fixed rate, whether the answers to earlier ones have come or not.

The clock of an answer starts when its request was due, not when a connection was free to send
it: a server that stalls is charged for all that had to wait (no coordinated omission). It asks
a server of this project, so of an answer it reads no more than its status and its length.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, cast

import msgspec

from wherry.simulate.connection import Target
from wherry.simulate.latencies import Latencies, Latency

GRACE_SECONDS = 2.0
"""How long the answers to the last requests are awaited."""

_TICK_SECONDS = 0.001
_TIMER_SECONDS = 0.002
"""How late the event loop's timer may wake: that is the volley's doing, not the server's."""


class Shot(NamedTuple):
    """A request, ready to be sent, of one of several ``kinds``."""

    kind: str
    message: bytes


class Volley(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a volley. ``latencies`` are by kind of request, those without an answer
    included, for as long as they had been waiting. ``errors`` counts answers that were no 2xx,
    ``unanswered`` what none came for, ``busy`` the share of a core that sending took."""

    sent: int
    seconds: float
    latencies: dict[str, Latency]
    errors: int
    unanswered: int
    busy: float


class _Wire(asyncio.Protocol):
    """One connection, kept; it has at most one request under way."""

    def __init__(self, volley: _Running) -> None:
        self._volley = volley
        self._rest = 0  # bytes of the answer that are still to come
        self._head = b""
        self._status = b""
        self.since = 0.0
        self.kind = ""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._rest == 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head, self._status = b"", data[9:10]
            at = data.find(b"content-length: ", 0, end)
            length = int(data[at + 16 : data.index(b"\r\n", at)]) if at > 0 else 0
            self._rest = end + 4 + length
        self._rest -= len(data)
        if self._rest <= 0:
            self._rest = 0
            self._volley.answered(self, self._status == b"2")

    def connection_lost(self, error: Exception | None) -> None:
        self._volley.lost(self)


class _Running:
    def __init__(self, shots: Iterator[Shot]) -> None:
        self._shots = shots
        self._idle: deque[_Wire] = deque()
        self._under_way: set[_Wire] = set()
        self._latencies: dict[str, Latencies] = {}
        self._sent = self._errors = self._unanswered = 0

    async def run(self, target: Target, rate: float, seconds: float, connections: int) -> Volley:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Wire(self), target.host, target.port)
            for _ in range(connections)
        ]
        self._idle.extend(wire for _, wire in made)
        count, started, busy = int(rate * seconds), time.perf_counter(), time.process_time()
        while self._sent < count and time.perf_counter() - started < seconds + GRACE_SECONDS:
            self._send_due(started, rate, count)
            await asyncio.sleep(_TICK_SECONDS)
        took, busy = time.perf_counter() - started, time.process_time() - busy
        until = time.perf_counter() + GRACE_SECONDS
        while self._under_way and time.perf_counter() < until:
            await asyncio.sleep(_TICK_SECONDS)
        self._charge_the_rest(started, rate, count)
        for transport, _ in made:
            transport.abort()
        await asyncio.sleep(0)  # in which they close
        return Volley(
            sent=self._sent,
            seconds=round(took, 3),
            latencies={kind: each.summary() for kind, each in sorted(self._latencies.items())},
            errors=self._errors,
            unanswered=self._unanswered,
            busy=round(busy / took, 3),
        )

    def _send_due(self, started: float, rate: float, count: int) -> None:
        due = min(int((time.perf_counter() - started) * rate) + 1, count)
        while self._sent < due and self._idle:
            wire, shot = self._idle.popleft(), next(self._shots)
            at, now = started + self._sent / rate, time.perf_counter()
            wire.since = now if now - at < _TIMER_SECONDS else at
            wire.kind = shot.kind
            self._under_way.add(wire)
            wire.transport.write(shot.message)
            self._sent += 1

    def _charge_the_rest(self, started: float, rate: float, count: int) -> None:
        """Count what was not answered, or could not even be sent, as long as it has waited."""
        now = time.perf_counter()
        for wire in self._under_way:
            self._count(wire.kind, now - wire.since)
        for number in range(self._sent, count):
            self._count(next(self._shots).kind, now - started - number / rate)
        self._unanswered += len(self._under_way) + count - self._sent
        self._under_way.clear()

    def _count(self, kind: str, seconds: float) -> None:
        if kind not in self._latencies:
            self._latencies[kind] = Latencies()
        self._latencies[kind].add(seconds)

    def answered(self, wire: _Wire, is_fine: bool) -> None:
        self._count(wire.kind, time.perf_counter() - wire.since)
        self._errors += not is_fine
        self._under_way.discard(wire)
        self._idle.append(wire)

    def lost(self, wire: _Wire) -> None:
        if wire in self._under_way:
            self._under_way.discard(wire)
            self._count(wire.kind, time.perf_counter() - wire.since)
            self._unanswered += 1
        elif wire in self._idle:
            self._idle.remove(wire)


async def fire(
    target: Target, shots: Iterator[Shot], *, rate: float, seconds: float, connections: int = 64
) -> Volley:
    """Send so many requests a second for so long, and say how long their answers took.

    Raises:
        OSError: nothing answers there.
    """
    return await _Running(shots).run(target, rate, seconds, connections)
