"""The pump: events sent to a server as its shops would, with every answer checked and counted.

Each connection sends one request at a time and keeps it until it is settled: what the server
puts off (429, 503 with ``Retry-After``), leaves unanswered or answers with another 5xx is sent
again with the same event ids. So the pump holds no more than its connections do, and under
overload it falls behind, which the latencies show: they count from when a request was due, not
from when a connection was free to send it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import RawIOBase
from itertools import chain, islice
from pathlib import Path

import msgspec
import uvloop

from wherry.errors import UsageError, WherryError, did_you_mean
from wherry.simulate.connection import Answer, Connection, Target, parse_target
from wherry.simulate.protocols import PROTOCOLS, Protocol
from wherry.simulate.recorded import Row
from wherry.simulate.schedule import (
    Pace,
    Request,
    as_fast_as_answered,
    as_recorded,
    evenly,
    schedule,
)
from wherry.simulate.tally import Latencies, Latency, Words

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


class Pumped(msgspec.Struct, frozen=True, kw_only=True):
    """What a pump sent and what became of it.

    ``events`` were sent, each once however often its request had to be repeated; they are
    ``taken``, ``known``, ``refused`` (``reasons`` counts why), ``failed`` (the answer was an
    error of the request, or its counts don't add up) or ``unanswered`` (it ended too early).
    ``put_off`` counts the answers 429 and 503, and ``errors`` whatever else went wrong, by what
    it was. ``latency`` counts from when a request was due to the answer that settled it, and
    ``recommend_latency`` the same of recommendations. ``problem`` says why it ended early.
    """

    url: str
    events: int
    taken: int
    known: int
    refused: int
    failed: int
    unanswered: int
    requests: int
    recommendations: int
    reasons: dict[str, int]
    put_off: dict[str, int]
    errors: dict[str, int]
    seconds: float
    events_per_second: float
    latency: Latency
    recommend_latency: Latency
    is_interrupted: bool
    problem: str | None


Progress = Callable[[str], None]


def pump(
    url: str,
    rows: Iterable[Row],
    *,
    protocol: str = "native",
    batch: int | None = None,
    connections: int = 8,
    rate: float | None = None,
    speed: float | None = None,
    stop_at: int | None = None,
    key: str = "",
    read_key: str = "",
    recommend: float = 0.0,
    is_stamped: bool = False,
    patience: float = 30.0,
    acknowledged: Path | None = None,
    on_progress: Progress | None = None,
) -> Pumped:
    """Send events to a server and say what became of them.

    ``rate`` sends so many events a second, ``speed`` at the times of the recording, so many
    times as fast; without either each connection sends again as soon as it has its answer.
    ``stop_at`` sends exactly so many events, if there are so many. ``is_stamped`` gives events
    the time at which they are due in place of their own. ``recommend`` asks for a
    recommendation for this share of the events. ``patience`` is how many seconds may pass
    without any request being settled. ``acknowledged`` is a file that gets the ids of the
    events that were taken or known, one a line, as their answers come. SIGINT and SIGTERM end
    the pump with what was done so far.

    Raises:
        UsageError: If an argument makes no sense.
        WherryError: If nothing answers at the address. Later, that is the report's ``problem``.
    """
    target, spoken = parse_target(url), _protocol(protocol)
    size = spoken.batch if batch is None else batch
    _check(protocol, spoken, size, connections, rate, speed)
    started = time.time()
    requests = schedule(
        islice(rows, stop_at),
        target=target,
        protocol=spoken,
        batch=size,
        pace=_pace(rate, speed),
        key=key,
        read_key=read_key,
        recommend=recommend,
        stamp=(lambda due: time.time() if due is None else started + due) if is_stamped else None,
    )
    with _opened(acknowledged) as file:
        work = _Pump(url, target, requests, spoken, file, patience, on_progress)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work.run(connections))


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise UsageError(
            f"There is no protocol {name!r}.{did_you_mean(name, PROTOCOLS)} "
            f"Known: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


def _check(
    name: str,
    protocol: Protocol,
    batch: int,
    connections: int,
    rate: float | None,
    speed: float | None,
) -> None:
    if not 1 <= batch <= protocol.most:
        raise UsageError(f"batch is {batch}; {name} takes 1 to {protocol.most} a request.")
    if connections < 1:
        raise UsageError(f"connections is {connections}: give 1 or more.")
    if rate is not None and speed is not None:
        raise UsageError("A rate and a speed can't both be kept; give one of them.")
    for word, value in (("rate", rate), ("speed", speed)):
        if value is not None and not value > 0:
            raise UsageError(f"{word} is {value}: give more than 0.")


def _pace(rate: float | None, speed: float | None) -> Pace:
    if rate is not None:
        return evenly(rate)
    return as_fast_as_answered if speed is None else as_recorded(speed)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[RawIOBase | None]:
    if path is None:
        yield None
        return
    with path.open("wb", buffering=0) as file:  # what is written stays, however the pump ends
        yield file


class _Pump:
    """One pumping: what it still has to ask, and what was answered."""

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
        self._sent = self._taken = self._known = self._refused = self._failed = 0
        self._answers = self._recommendations = 0
        self._reasons, self._put_off, self._errors = Words(), Words(), Words()
        self._latencies, self._recommend_latencies = Latencies(), Latencies()
        self._started = self._progressed = 0.0

    async def run(self, connections: int) -> Pumped:
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
        return self._summary(_problem(ended))

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
                    self._sent += len(request.ids)
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
        pause = _FIRST_PAUSE
        while True:
            answer = await self._ask(connection, request)
            if answer is not None and answer.status < 500 and answer.status != 429:
                self._latencies.add(time.perf_counter() - since)
                self._accept(request, answer)
                return
            wait = pause = min(pause * 2, _LONGEST_PAUSE)
            if answer is not None and answer.status in _PUT_OFF:
                self._put_off.add(str(answer.status))
                wait = pause if answer.retry_after is None else answer.retry_after
            elif answer is not None:
                self._errors.add(f"status {answer.status}")
            if time.perf_counter() - self._progressed > self._patience:
                raise WherryError(self._out_of_patience(answer))
            await self._pause(wait)
            if self._stopped.done():
                return

    async def _ask(self, connection: Connection, request: Request) -> Answer | None:
        """The answer to a request, or None if none came."""
        try:
            answer = await connection.ask(request.message, ANSWER_SECONDS)
        except TimeoutError:
            self._errors.add(f"no answer within {ANSWER_SECONDS:g} s")
        except OSError as error:
            self._errors.add(str(error))
        else:
            self._answers += 1
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
            self._failed += count
            self._errors.add(f"status {answer.status} and {_excerpt(answer)}")
            return
        self._progressed = time.perf_counter()
        self._taken += settled.taken
        self._known += settled.known
        self._refused += len(settled.refused)
        for reason in settled.refused.values():
            self._reasons.add(reason)
        if self._acknowledged is not None:
            kept = (e for place, e in enumerate(request.ids) if place not in settled.refused)
            self._acknowledged.write("".join(f"{event_id}\n" for event_id in kept).encode())

    async def _recommend(self, connection: Connection, request: Request, since: float) -> None:
        answer = await self._ask(connection, request)
        if answer is None:
            return
        self._recommendations += 1
        self._recommend_latencies.add(time.perf_counter() - since)
        if answer.status != 200:
            self._errors.add(f"recommend: status {answer.status}")

    async def _report(self) -> None:
        while self._tell is not None:
            before = self._settled
            await asyncio.sleep(1)
            p99 = self._latencies.summary().p99
            self._tell(
                f"pump: {self._settled:,} events, {self._settled - before:,}/s, "
                f"p99 {p99:.1f} ms, {self._refused:,} refused"
            )

    @property
    def _settled(self) -> int:
        return self._taken + self._known + self._refused + self._failed

    def _summary(self, problem: str | None) -> Pumped:
        seconds = time.perf_counter() - self._started
        return Pumped(
            url=self._url,
            events=self._sent,
            taken=self._taken,
            known=self._known,
            refused=self._refused,
            failed=self._failed,
            unanswered=self._sent - self._settled,
            requests=self._answers,
            recommendations=self._recommendations,
            reasons=dict(self._reasons.counts),
            put_off=dict(self._put_off.counts),
            errors=dict(self._errors.counts),
            seconds=round(seconds, 3),
            events_per_second=round(self._settled / seconds, 1),
            latency=self._latencies.summary(),
            recommend_latency=self._recommend_latencies.summary(),
            is_interrupted=self._stopped.done(),
            problem=problem,
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
