"""The records of live sessions: one a visitor, one a session with an id of the shop's own.

Beside them stands an index by the minute in which each was heard of last, so that those that
were silent the longest are found without looking at the others. A record knows its place there,
which is given in the order of time: what is new stands side by side, in a few pages of the store,
while the records themselves lie all over it.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from time import time_ns
from typing import NamedTuple
from zlib import crc32

import msgspec

from wherry.domain import Event, ItemId, TenantId
from wherry.domain.session import (
    Interaction,
    Session,
    interactions_of,
    microseconds,
    whose,
)
from wherry.live.store import Changes, Noun, live_key

logger = logging.getLogger("wherry.live")

VISITOR, GIVEN = b"v", b"s"
"""The kinds of records, and how their keys begin."""

KINDS = (VISITOR, GIVEN)
_MINUTE = 60_000_000
_PLACE = struct.Struct(">cIQI")
"""A place in the index: the kind, the minute, and what no other place has. Under it stands the
record's key."""


class Record(msgspec.Struct, array_like=True):
    """What is kept under one key.

    ``seen_at`` is when its last event came, in microseconds. ``given`` is the newest session
    with an id of the shop's own that a visitor was in; its last event happened at ``given_at``.
    ``place`` is where it stands in the index, empty before it is kept.
    """

    sessions: list[Session]
    seen_at: int
    given: str = ""
    given_at: int = 0
    place: bytes = b""


class Glance(msgspec.Struct, array_like=True):
    """Of a session what an answer needs; the columns behind it are not decoded."""

    items: list[ItemId]
    kinds: list[int]
    started_at: int
    ended_at: int


class Looked(msgspec.Struct, array_like=True):
    """A record, as far as an answer needs it."""

    sessions: list[Glance]
    seen_at: int
    given: str = ""
    given_at: int = 0


class Arrival(NamedTuple):
    """What an event says to one record: when it happened and came, and its interactions.

    A visitor's record only learns of an event in a session with an id which one that is
    (``given``).
    """

    kind: bytes
    at: int
    came_at: int
    interactions: list[Interaction]
    given: str = ""


class Silent(NamedTuple):
    """A record in the order of silence: since which minute, in microseconds, its place there and
    its key."""

    seen_at: int
    place: bytes
    key: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
_look = msgspec.msgpack.Decoder(Looked).decode


def visitor_key(tenant: TenantId, visitor: str) -> bytes:
    """The key of a visitor's record."""
    return VISITOR + live_key(tenant, visitor)


def given_key(tenant: TenantId, session: str) -> bytes:
    """The key of the record of a session with an id of the shop's own."""
    return GIVEN + live_key(tenant, session)


def arrivals_of(event: Event) -> Iterator[tuple[bytes, Arrival]]:
    """What an event says, and under which keys."""
    visitor, given = whose(event)
    at, came_at = microseconds(event.occurred_at), microseconds(event.received_at)
    interactions = interactions_of(event, at)
    if given:
        yield given_key(event.tenant, given), Arrival(GIVEN, at, came_at, interactions)
        interactions = []
    if visitor:
        key = visitor_key(event.tenant, visitor)
        yield key, Arrival(VISITOR, at, came_at, interactions, given or "")


def look(content: bytes) -> Looked | None:
    """Decode what an answer needs of a record; None if it is none."""
    try:
        return _look(content)
    except msgspec.MsgspecError as error:
        logger.error("A live session can't be read: %s", error)
        return None


def read_record(changes: Changes, key: bytes) -> Record | None:
    """The record under a key; None if there is none that can be read."""
    content = changes.get(Noun.SESSIONS, key)
    if content is None:
        return None
    try:
        return _decode(content)
    except msgspec.MsgspecError as error:
        logger.error("A live session can't be read, and is begun anew: %s", error)
        return None


def write_record(changes: Changes, key: bytes, record: Record) -> None:
    """Keep a record."""
    if not record.place or _minute(record.place) != _minute_of(record.seen_at):
        if record.place:
            changes.delete(Noun.SEEN, record.place)
        record.place = _PLACE.pack(key[:1], _minute_of(record.seen_at), time_ns(), crc32(key))
        changes.put(Noun.SEEN, record.place, key)
    changes.put(Noun.SESSIONS, key, _encode(record))


def remove_record(changes: Changes, key: bytes, record: Record) -> None:
    """Let go of a record that was kept."""
    drop(changes, Silent(record.seen_at, record.place, key))


def silent(changes: Changes, kind: bytes, at_most: int) -> list[Silent]:
    """The records of a kind that were silent the longest, the longest first.

    Places of an earlier form, which hold no key, are passed over: they go before the log is read.
    """
    found = changes.scan(Noun.SEEN, prefix=kind, at_most=at_most)
    return [Silent(_minute(place) * _MINUTE, place, key) for place, key in found if key]


def drop(changes: Changes, record: Silent) -> None:
    """Let go of a record that was found in the order of silence."""
    changes.delete(Noun.SEEN, record.place)
    changes.delete(Noun.SESSIONS, record.key)


def _minute(place: bytes) -> int:
    return int(_PLACE.unpack(place)[1])


def _minute_of(seen_at: int) -> int:
    return max(seen_at, 0) // _MINUTE
