"""A page of the inbox: the deliveries that one commit put on disk together, as bytes.

Each delivery is MessagePack, written in the thread that received it; a page puts a length and
a checksum before each, so that what a broken disk spoils of one does not spoil the others.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.domain import Event

_HEAD = struct.Struct("<II")


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A delivery in the inbox, and what its parser made of it.

    ``events`` is a JSON array of envelopes, as they were when they were acknowledged.
    """

    delivery: Delivery
    events: bytes
    refusals: list[Refusal]


class Damaged(msgspec.Struct, frozen=True):
    """Bytes of a page that are not what was written."""

    content: bytes


class _Id(msgspec.Struct):
    event_id: str


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_from_msgpack = msgspec.msgpack.Decoder(Entry).decode
_events = msgspec.json.Decoder(list[Event]).decode
_ids = msgspec.json.Decoder(list[_Id]).decode


def encode_entry(delivery: Delivery, parsed: Parsed) -> bytes:
    """Write one delivery, ready to be put in a page."""
    return _to_msgpack(Entry(delivery, _to_json(parsed.events), parsed.refusals))


def write_page(entries: Sequence[bytes]) -> bytes:
    """Put written deliveries together."""
    parts = []
    for entry in entries:
        parts += [_HEAD.pack(len(entry), zlib.crc32(entry)), entry]
    return b"".join(parts)


def decode_page(page: bytes) -> Iterator[Entry | Damaged]:
    """Read the deliveries of a page, in the order in which they came."""
    for content, is_intact in _split(page):
        yield decode_entry(content) if is_intact else Damaged(content)


def intact_entries(page: bytes) -> list[bytes]:
    """The deliveries of a page that are as they were written, still written."""
    return [content for content, is_intact in _split(page) if is_intact]


def decode_entry(content: bytes) -> Entry:
    """Read one delivery."""
    return _from_msgpack(content)


def _split(page: bytes) -> Iterator[tuple[bytes, bool]]:
    at = 0
    while at < len(page):
        if at + _HEAD.size > len(page):
            yield page[at:], False
            return
        length, checksum = _HEAD.unpack_from(page, at)
        at += _HEAD.size
        # A length may be what was spoiled: then all that follows seems to be as well.
        content = page[at : at + length]
        at += length
        yield content, len(content) == length > 0 and zlib.crc32(content) == checksum


def events_of(entry: Entry) -> list[Event]:
    """The events of a delivery, as they were acknowledged."""
    return _events(entry.events)


def ids_of(entry: Entry) -> list[str]:
    """The ids of the events of a delivery."""
    return [event.event_id for event in _ids(entry.events)]
