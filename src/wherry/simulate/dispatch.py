"""Requests asked over many connections, each at its time, until every one is settled.

Each connection sends one request at a time and keeps it until it is settled: what the server
puts off (429, 503 with ``Retry-After``), leaves unanswered or answers with another 5xx is sent
again with the same event ids. So no more is held than there are connections, and under overload
the requests fall behind, which the latencies show: they count from when a request was due, not
from when a connection was free to send it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from io import RawIOBase
from itertools import chain, islice

from wherry.errors import WherryError
from wherry.simulate.connection import Answer, Connection, Target
from wherry.simulate.protocols import Protocol
from wherry.simulate.schedule import Request
from wherry.simulate.tally import Pumped, Tally

ANSWER_SECONDS = 30.0
"""How long an answer is awaited before the request is sent again."""
GRACE_SECONDS = 5.0
"""How long answers are still awaited once the pump was told to stop; told twice, not at all."""

_TIMER_SECONDS = 0.002
"""How late the event loop's timer may wake: that is the pump's doing, not the server's."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_PUT_OFF = (429, 503)
_HOPELESS = (401, 403, 404, 405, 413, 415)
"""Answers that every other request would get as well."""

Progress = Callable[[str], None]


class Dispatch:
    """What is still to be asked, and what was answered. It runs once."""

    def __init__(
        self,
        url: str,
        target: Target,
        requests: Iterator[Request],
        protocol: Protocol,
        acknowledged: RawIOBase | None,
        patience: float,
        on_progress: Progress | None,
    ) -> None:
        self._url, self._target, self._requests = url, target, requests
        self._protocol, self._acknowledged = protocol, acknowledged
        self._patience, self._tell = patience, on_progress
        self._tasks: list[asyncio.Task[None]] = []
        self._tally = Tally()
        self._started = self._progressed = 0.0

    async def run(self, connections: int) -> Pumped:
        """Ask everything over so many connections, and say what was answered.

        Raises:
            WherryError: If nothing answers at the address.
        """
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        first = Connection(self._target)
        try:
            await first.open()
        except OSError as error:
            raise WherryError(
                f"Nothing answers at {self._url}: {error}. Check the address, or start the "
                "server: wherry serve"
            ) from error
        pool = [first, *(Connection(self._target) for _ in range(connections - 1))]
        # To read the first rows takes a moment; the clock starts when they are there.
        self._requests = chain(list(islice(self._requests, 1)), self._requests)
        self._started = self._progressed = time.perf_counter()
        self._tasks = [asyncio.ensure_future(self._work(connection)) for connection in pool]
        reporting = asyncio.ensure_future(self._report())
        with self._signals():
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        self._cancel()
        reporting.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._tally.summary(
            self._url,
            seconds=time.perf_counter() - self._started,
            is_interrupted=self._stopped.done(),
            problem=_problem(ended),
        )

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, names = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for name in names:
            loop.add_signal_handler(name, self._stop)
        try:
            yield
        finally:
            for name in names:
                loop.remove_signal_handler(name)

    def _stop(self) -> None:
        if self._stopped.done():
            self._cancel()
            return
        self._stopped.set_result(None)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _work(self, connection: Connection) -> None:
        """What one connection does: take the next request, wait until it is due, settle it."""
        try:
            while not self._stopped.done():
                request = next(self._requests, None)
                if request is None:
                    return
                counted_from = await self._until(request.due)
                if self._stopped.done():
                    return
                if request.ids:
                    self._tally.sent += len(request.ids)
                    await self._settle(connection, request, counted_from)
                else:
                    await self._recommend(connection, request, counted_from)
        finally:
            connection.close()

    async def _until(self, due: float | None) -> float:
        """Wait until a request is due; the time that its answer's latency counts from."""
        now = time.perf_counter()
        if due is None:
            return now
        at = self._started + due
        if at <= now:
            return at
        await self._pause(at - now)
        now = time.perf_counter()
        return now if now - at < _TIMER_SECONDS else at

    async def _pause(self, seconds: float) -> None:
        """Wait, though no longer than until the pump is told to stop."""
        await asyncio.wait([self._stopped], timeout=seconds)

    async def _settle(self, connection: Connection, request: Request, since: float) -> None:
        """Send events until an answer settles them, or the pump is told to stop."""
        pause, began = _FIRST_PAUSE, time.perf_counter()
        while True:
            answer = await self._ask(connection, request)
            if answer is not None and answer.status < 500 and answer.status != 429:
                self._tally.latencies.add(time.perf_counter() - since)
                self._accept(request, answer)
                return
            wait = pause = min(pause * 2, _LONGEST_PAUSE)
            if answer is not None and answer.status in _PUT_OFF:
                self._tally.put_off.add(str(answer.status))
                wait = pause if answer.retry_after is None else answer.retry_after
            elif answer is not None:
                self._tally.errors.add(f"status {answer.status}")
            if time.perf_counter() - max(began, self._progressed) > self._patience:
                raise WherryError(self._out_of_patience(answer))
            await self._pause(wait)
            if self._stopped.done():
                return

    async def _ask(self, connection: Connection, request: Request) -> Answer | None:
        """The answer to a request, or None if none came."""
        try:
            answer = await connection.ask(request.message, ANSWER_SECONDS)
        except TimeoutError:
            self._tally.errors.add(f"no answer within {ANSWER_SECONDS:g} s")
        except OSError as error:
            self._tally.errors.add(str(error))
        else:
            self._tally.answers += 1
            return answer
        return None

    def _out_of_patience(self, answer: Answer | None) -> str:
        last = "no answer" if answer is None else f"{answer.status} {_excerpt(answer)}"
        return (
            f"Nothing was settled for {self._patience:g} s; the last answer: {last}. "
            "What was not acknowledged can be sent again: the event ids are the same."
        )

    def _accept(self, request: Request, answer: Answer) -> None:
        """Count what an answer says of each event of its request."""
        if answer.status in _HOPELESS:
            raise WherryError(_hopeless(self._url, answer))
        count = len(request.ids)
        settled = self._protocol.settle(answer, count)
        if settled is None:
            self._tally.failed += count
            self._tally.errors.add(f"status {answer.status} and {_excerpt(answer)}")
            return
        self._progressed = time.perf_counter()
        self._tally.settle(settled)
        if self._acknowledged is not None:
            kept = (e for place, e in enumerate(request.ids) if place not in settled.refused)
            self._acknowledged.write("".join(f"{event_id}\n" for event_id in kept).encode())

    async def _recommend(self, connection: Connection, request: Request, since: float) -> None:
        answer = await self._ask(connection, request)
        if answer is None:
            return
        self._tally.recommendations += 1
        self._tally.recommend_latencies.add(time.perf_counter() - since)
        if answer.status != 200:
            self._tally.errors.add(f"recommend: status {answer.status}")

    async def _report(self) -> None:
        while self._tell is not None:
            before = self._tally.settled
            await asyncio.sleep(1)
            p99 = self._tally.latencies.summary().p99
            self._tell(
                f"pump: {self._tally.settled:,} events, {self._tally.settled - before:,}/s, "
                f"p99 {p99:.1f} ms, {self._tally.refused:,} refused"
            )


def _problem(ended: list[BaseException | None]) -> str | None:
    """What ended the pump too early; an error that nobody foresaw is raised."""
    for error in ended:
        if isinstance(error, WherryError):
            return str(error)
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error
    return None


def _hopeless(url: str, answer: Answer) -> str:
    remedy = {
        401: "Give a key that it knows: --key.",
        403: "Give a key that it knows: --key.",
        413: "Send fewer events a request: --batch.",
    }.get(answer.status, "Check the address and the protocol.")
    return f"{url} answered {answer.status}: {_excerpt(answer)} {remedy}"


def _excerpt(answer: Answer) -> str:
    return answer.body[:200].decode("utf-8", "replace") or "an empty body"
