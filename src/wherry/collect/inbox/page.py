"""A page of the inbox: the deliveries that one commit put on disk together, as bytes.

Each delivery is MessagePack, written in the thread that received it; a long one is then packed,
since its body and its events say much the same. A page puts a length and a checksum before each,
so that what a broken disk spoils of one does not spoil the others. Between the deliveries stand
batches of the server's own answers, each in the same way.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.domain import Event, LoggedAnswer

_HEAD = struct.Struct("<III")
"""Of a delivery: its length in the page, its length unpacked (0: it is not packed), checksum."""

_LONG = 2_000
"""From how many bytes on a delivery is packed."""

_CODEC = "zstd"

_ANSWERS = b"\xc1"
"""Before a batch of answers: the byte that no MessagePack begins with."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A delivery in the inbox, and what its parser made of it.

    ``events`` is a JSON array of envelopes, as they were when they were acknowledged.
    """

    delivery: Delivery
    events: bytes
    refusals: list[Refusal]

    @property
    def began_at(self) -> datetime:
        """When it came, UTC without a zone."""
        return self.delivery.received_at


class AnswerBatch(msgspec.Struct, frozen=True, array_like=True):
    """Answers of one server that were put into the inbox together, at ``began_at`` (UTC).

    ``batch_id`` is the only one of its name and begins with the time, so that the log knows a
    batch that a mended file brings again. ``answers`` are MessagePack.
    """

    batch_id: str
    began_at: datetime
    answers: bytes


class Damaged(msgspec.Struct, frozen=True):
    """Bytes of a page that are not what was written."""

    content: bytes


class _Id(msgspec.Struct):
    event_id: str


_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_from_msgpack = msgspec.msgpack.Decoder(Entry).decode
_batch_from_msgpack = msgspec.msgpack.Decoder(AnswerBatch).decode
_answers = msgspec.msgpack.Decoder(list[LoggedAnswer]).decode
_events = msgspec.json.Decoder(list[Event]).decode
_ids = msgspec.json.Decoder(list[_Id]).decode


def encode_entry(delivery: Delivery, parsed: Parsed) -> bytes:
    """Write one delivery, ready to be put in a page."""
    return _to_msgpack(Entry(delivery, _to_json(parsed.events), parsed.refusals))


def pack_answer(answer: LoggedAnswer) -> msgspec.Raw:
    """Write one answer, ready to be put in a batch."""
    return msgspec.Raw(_to_msgpack(answer))


def encode_answers(
    batch_id: str, began_at: datetime, answers: Sequence[LoggedAnswer | msgspec.Raw]
) -> bytes:
    """Write a batch of answers, ready to be put in a page."""
    return _ANSWERS + _to_msgpack(AnswerBatch(batch_id, began_at, _to_msgpack(answers)))


def write_page(entries: Sequence[bytes]) -> bytes:
    """Put written deliveries together."""
    parts: list[bytes] = []
    for entry in entries:
        size = len(entry) if len(entry) >= _LONG else 0
        packed = pa.compress(entry, codec=_CODEC, asbytes=True) if size else entry
        parts += [_HEAD.pack(len(packed), size, zlib.crc32(packed)), packed]
    return b"".join(parts)


def decode_page(page: bytes) -> Iterator[Entry | AnswerBatch | Damaged]:
    """Read the deliveries and answers of a page, in the order in which they came."""
    for content, is_intact in _split(page):
        yield decode_entry(content) if is_intact else Damaged(content)


def intact_entries(page: bytes) -> list[bytes]:
    """The deliveries of a page that are as they were written, still written."""
    return [content for content, is_intact in _split(page) if is_intact]


def decode_entry(content: bytes) -> Entry | AnswerBatch:
    """Read one delivery, or one batch of answers."""
    if content.startswith(_ANSWERS):
        return _batch_from_msgpack(memoryview(content)[1:])
    return _from_msgpack(content)


def _split(page: bytes) -> Iterator[tuple[bytes, bool]]:
    at = 0
    while at < len(page):
        if at + _HEAD.size > len(page):
            yield page[at:], False
            return
        length, size, checksum = _HEAD.unpack_from(page, at)
        at += _HEAD.size
        # A length may be what was spoiled: then all that follows seems to be as well.
        content = page[at : at + length]
        at += length
        is_intact = len(content) == length > 0 and zlib.crc32(content) == checksum
        if is_intact and size:
            content = pa.decompress(content, size, codec=_CODEC, asbytes=True)
        yield content, is_intact


def events_of(entry: Entry) -> list[Event]:
    """The events of a delivery, as they were acknowledged."""
    return _events(entry.events)


def answers_of(batch: AnswerBatch) -> list[LoggedAnswer]:
    """The answers of a batch."""
    return _answers(batch.answers)


def ids_of(entry: Entry | AnswerBatch) -> list[str]:
    """The ids of the events of a delivery; answers have none."""
    if isinstance(entry, AnswerBatch):
        return []
    return [event.event_id for event in _ids(entry.events)]
