"""A page of the inbox: the deliveries that one commit put on disk together, as bytes.

Each is written in the thread that received it, so that the thread that writes them only has
to put them one after the other: a length in four bytes, then the delivery as MessagePack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.domain import Event

_LENGTH = struct.Struct("<I")


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A delivery in the inbox, and what its parser made of it.

    ``events`` is a JSON array of envelopes, as they were when they were acknowledged.
    """

    delivery: Delivery
    events: bytes
    refusals: list[Refusal]


class _Id(msgspec.Struct):
    event_id: str


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_from_msgpack = msgspec.msgpack.Decoder(Entry).decode
_events = msgspec.json.Decoder(list[Event]).decode
_ids = msgspec.json.Decoder(list[_Id]).decode


def encode_entry(delivery: Delivery, parsed: Parsed) -> bytes:
    """Write one delivery, ready to be put in a page."""
    written = _to_msgpack(Entry(delivery, _to_json(parsed.events), parsed.refusals))
    return _LENGTH.pack(len(written)) + written


def decode_page(content: bytes) -> Iterator[Entry]:
    """Read the deliveries of a page, in the order in which they came.

    Raises:
        msgspec.DecodeError: If the bytes are no page.
    """
    view, at = memoryview(content), 0
    while at < len(view):
        if at + _LENGTH.size > len(view):
            raise msgspec.DecodeError("The page ends within a length.")
        (length,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        yield _from_msgpack(view[at : at + length])
        at += length


def events_of(entry: Entry) -> list[Event]:
    """The events of a delivery, as they were acknowledged."""
    return _events(entry.events)


def ids_of(entry: Entry) -> list[str]:
    """The ids of the events of a delivery."""
    return [event.event_id for event in _ids(entry.events)]
