"""What the pump is to ask, and when: a recording cut into requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from urllib.parse import urlencode

import msgspec

from wherry.simulate.connection import Target
from wherry.simulate.protocols import Protocol
from wherry.simulate.recorded import Row

_MICROSECONDS = 1e6


class Request(msgspec.Struct, frozen=True):
    """A request, ready to be sent: ``due`` so many seconds after the start, or at once (None).
    ``ids`` are those of its events; a request that holds none asks for a recommendation."""

    due: float | None
    message: bytes
    ids: tuple[str, ...] = ()


Pace = Callable[[int, int], float | None]
"""When an event is due, in seconds: by how many come before it, and its own time in µs."""

Stamp = Callable[[float | None], float]
"""The time, in seconds since 1970, that an event due then is said to have occurred at."""


def as_fast_as_answered(before: int, occurred_us: int) -> None:
    """At once: each connection sends when it has its answer."""
    return


def evenly(rate: float) -> Pace:
    """So many events a second, whatever their times."""
    return lambda before, occurred_us: before / rate


def as_recorded(speed: float) -> Pace:
    """At the times of the recording, ``speed`` times as fast; a late event goes when it came."""
    first: int | None = None
    due = 0.0

    def pace(before: int, occurred_us: int) -> float:
        nonlocal first, due
        first = occurred_us if first is None else first
        due = max(due, (occurred_us - first) / _MICROSECONDS / speed)
        return due

    return pace


def schedule(
    rows: Iterable[Row],
    *,
    target: Target,
    protocol: Protocol,
    batch: int,
    pace: Pace,
    key: str = "",
    read_key: str = "",
    recommend: float = 0.0,
    stamp: Stamp | None = None,
) -> Iterator[Request]:
    """Yield the requests in the order in which they are due.

    A request is due when the last of its events is. For the share ``recommend`` of all events a
    recommendation is asked for as well, for what the event's visitor looks at; ``read_key`` is
    the key for that. ``stamp`` gives events a time in place of their own.
    """
    source, before = iter(rows), 0
    while held := list(islice(source, batch)):
        dues = [pace(before + place, row.occurred_us) for place, row in enumerate(held)]
        if stamp is not None:
            held = [
                row._replace(occurred_us=int(stamp(due) * _MICROSECONDS))
                for row, due in zip(held, dues, strict=True)
            ]
        sent = protocol.encode(held, key)
        yield Request(
            dues[-1],
            message("POST", target, sent.path, sent.headers, sent.body),
            tuple(row.event_id for row in held),
        )
        asked = math.floor((before + len(held)) * recommend) - math.floor(before * recommend)
        before += len(held)
        for row in islice((row for row in reversed(held) if row.items), asked):
            yield Request(dues[-1], _recommendation(target, row, read_key))


def _recommendation(target: Target, row: Row, key: str) -> bytes:
    tenant = {} if key else {"tenant": row.tenant}
    query = urlencode({"items": row.items[0]["id"], **tenant})
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return message("GET", target, f"/v1/recommend?{query}", headers, b"")


def message(method: str, target: Target, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire; a body is JSON."""
    lines = [
        f"{method} {target.path}{path} HTTP/1.1",
        f"Host: {target.authority}",
        "User-Agent: wherry-pump",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
