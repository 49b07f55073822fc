"""The pump: events sent to a server as its shops would, with every answer checked and counted."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Iterable, Iterator
from io import RawIOBase
from pathlib import Path

import msgspec
import uvloop

from wherry.errors import UsageError, did_you_mean
from wherry.simulate.connection import parse_target
from wherry.simulate.dispatch import Dispatch, Progress
from wherry.simulate.protocols import PROTOCOLS, Protocol
from wherry.simulate.recorded import Row
from wherry.simulate.schedule import (
    Pace,
    Stamp,
    as_fast_as_answered,
    as_recorded,
    evenly,
    schedule,
)
from wherry.simulate.tally import Pumped


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """How events are to be sent.

    ``protocol`` is one of ``PROTOCOLS``, ``batch`` how many events a request holds (by default
    what is usual in the protocol). ``rate`` sends so many events a second; ``speed`` sends at
    the times of the recording (``"1x"``) or faster (``"60x"``), or each connection as soon as
    it has its answer (``"max"``). ``is_stamped`` gives events the time at which they are due in
    place of their own. ``recommend`` asks for a recommendation for this share of the events.
    ``key`` is the write key, ``read_key`` that of the recommendations. ``patience`` is how many
    seconds may pass without any request being settled. ``acknowledged`` is a file that gets the
    ids of the events that were taken or known, one a line, as their answers come.
    """

    protocol: str = "native"
    batch: int | None = None
    connections: int = 8
    rate: float | None = None
    speed: str = "max"
    is_stamped: bool = False
    recommend: float = 0.0
    key: str = ""
    read_key: str = ""
    patience: float = 30.0
    acknowledged: Path | None = None


def pump(
    url: str, rows: Iterable[Row], sending: Sending, *, on_progress: Progress | None = None
) -> Pumped:
    """Send events to a server, each once, and say what became of them.

    SIGINT and SIGTERM end the pump with what was done so far.

    Raises:
        UsageError: If what is asked for makes no sense.
        WherryError: If nothing answers at the address. Later, that is the report's ``problem``.
    """
    target, protocol = parse_target(url), _protocol(sending.protocol)
    batch = protocol.batch if sending.batch is None else sending.batch
    if not 1 <= batch <= protocol.most:
        raise UsageError(
            f"batch is {batch}: a request of {sending.protocol} holds 1 to {protocol.most} events."
        )
    if sending.connections < 1:
        raise UsageError(f"connections is {sending.connections}: give 1 or more.")
    requests = schedule(
        rows,
        target=target,
        protocol=protocol,
        batch=batch,
        pace=_pace(sending),
        key=sending.key,
        read_key=sending.read_key,
        recommend=sending.recommend,
        stamp=_stamp(time.time()) if sending.is_stamped else None,
    )
    with _opened(sending.acknowledged) as file:
        work = Dispatch(url, target, requests, protocol, file, sending.patience, on_progress)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work.run(sending.connections))


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise UsageError(
            f"There is no protocol {name!r}.{did_you_mean(name, PROTOCOLS)} "
            f"Known: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


def _pace(sending: Sending) -> Pace:
    if sending.rate is not None and sending.speed != "max":
        raise UsageError("A rate and a speed can't both be kept; give one of them.")
    if sending.rate is not None:
        if not 0 < sending.rate < math.inf:
            raise UsageError(f"rate is {sending.rate}: give events a second, more than 0.")
        return evenly(sending.rate)
    if sending.speed == "max":
        return as_fast_as_answered
    written = re.fullmatch(r"(\d+(?:\.\d+)?)x", sending.speed)
    if not written or not float(written[1]):
        raise UsageError(f"speed is {sending.speed!r}: give max, or 1x, 60x and the like.")
    return as_recorded(float(written[1]))


def _stamp(started: float) -> Stamp:
    return lambda due: time.time() if due is None else started + due


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[RawIOBase | None]:
    if path is None:
        yield None
        return
    with path.open("wb", buffering=0) as file:  # what is written stays, however the pump ends
        yield file
