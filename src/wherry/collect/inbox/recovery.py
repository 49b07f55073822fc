"""What can be read of a damaged SQLite file and its log, without SQLite.

The rows of a table lie in leaf pages, each with its own content or the number of the page where
that goes on; so a leaf can be read even where the tree above it is spoiled. What was read is
compared with its checksums, so that a wrong guess gives nothing. The format is SQLite's own:
https://www.sqlite.org/fileformat2.html, sections 1.6 (leaf pages), 2.1 (records), 4.1 (log).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from wherry.collect.inbox.page import intact_entries

PAGE_BYTES = 8_192
_TABLE_LEAF = 0x0D
_LOG_HEAD, _FRAME_HEAD = 32, 24
_COLUMNS = 4


def recover_entries(
    path: Path, *, after: int = 0, log: Path | None = None, opened: BinaryIO | None = None
) -> Iterator[list[bytes]]:
    """The deliveries, still written, of each page of an inbox file that holds any intact.

    Every state of a block counts that the file and its log (``log``, by default the one beside
    it) still hold, since which of them was the last can't be told of a damaged log. So pages
    may come that were deleted before, or were never committed; none comes twice. ``opened`` is
    the file where it is open in SQLite as well (:meth:`Store.read_beside`), and is left open.
    """
    log = log or Path(f"{path}-wal")
    seen = set()
    with (
        path.open("rb") if opened is None else nullcontext(opened) as file,
        log.open("rb") if log.exists() else nullcontext() as log_file,
    ):
        blocks = _Blocks(file, log_file)
        for block in blocks.states():
            for number, content in _rows(blocks, block):
                entries = intact_entries(content) if number > after else []
                mark = hashlib.sha256(b"".join(entries)).digest()
                if entries and mark not in seen:
                    seen.add(mark)
                    yield entries


def count_frames(log: Path) -> int:
    """How many frames a log holds up to its last commit, whether SQLite can read them or not."""
    last = number = 0
    with log.open("rb") as file:
        salt = file.read(_LOG_HEAD)[16:24]
        while len(head := file.read(_FRAME_HEAD)) == _FRAME_HEAD:
            number += 1
            if head[8:16] == salt and head[4:8] != bytes(4):  # a commit says how long the file is
                last = number
            file.seek(PAGE_BYTES, os.SEEK_CUR)
    return last


class _Blocks:
    """The blocks of a database ("pages" in SQLite's words), in its file and in its log."""

    def __init__(self, file: BinaryIO, log: BinaryIO | None) -> None:
        self._file = file
        self._log = log
        self._n_blocks = file.seek(0, os.SEEK_END) // PAGE_BYTES
        self._frames: list[int] = []
        self._newest: dict[int, int] = {}
        self._read_log()

    def _read_log(self) -> None:
        """Find the frames that were written since the log was last begun."""
        if self._log is None:
            return
        salt = self._log.read(_LOG_HEAD)[16:24]
        at = _LOG_HEAD
        while len(head := self._log.read(_FRAME_HEAD)) == _FRAME_HEAD:
            if head[8:16] == salt:
                self._frames.append(at + _FRAME_HEAD)
                self._newest[int.from_bytes(head[:4], "big")] = at + _FRAME_HEAD
            at += _FRAME_HEAD + PAGE_BYTES
            self._log.seek(at)

    def states(self) -> Iterator[bytes]:
        """Every block as every frame of the log has it, and as the file has it."""
        for at in self._frames:
            yield self._read(self._log, at)
        for number in range(2, self._n_blocks + 1):  # the first is the schema's
            yield self._read(self._file, (number - 1) * PAGE_BYTES)

    def newest(self, number: int) -> bytes:
        """A block as the log has it last, or else the file."""
        if number in self._newest:
            return self._read(self._log, self._newest[number])
        return self.filed(number)

    def filed(self, number: int) -> bytes:
        """A block as the file has it."""
        return self._read(self._file, (number - 1) * PAGE_BYTES)

    def _read(self, file: BinaryIO | None, at: int) -> bytes:
        assert file is not None
        file.seek(at)
        return file.read(PAGE_BYTES)


def _rows(blocks: _Blocks, block: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and the content of each row in a leaf; nothing if it is none.

    Where a row goes on in other blocks it is read by their newest states and by the file's.
    """
    if len(block) < PAGE_BYTES or block[0] != _TABLE_LEAF:
        return
    n_cells = min(int.from_bytes(block[3:5], "big"), PAGE_BYTES // 4)
    for (at,) in struct.iter_unpack(">H", block[8 : 8 + 2 * n_cells]):
        try:
            length, at = _varint(block, at)
            row, at = _varint(block, at)
            for state in (blocks.newest, blocks.filed):
                content = _last_column(_payload(state, block, at, length))
                if content is not None:
                    yield row, content
        except IndexError:
            continue


def _payload(state: Callable[[int], bytes], block: bytes, at: int, length: int) -> bytes:
    """A row's record: what its leaf holds of it, and the rest from where that points."""
    most, least = PAGE_BYTES - 35, (PAGE_BYTES - 12) * 32 // 255 - 23
    if length <= most:
        return block[at : at + length]
    here = least + (length - least) % (PAGE_BYTES - 4)
    here = here if here <= most else least
    parts, rest = [block[at : at + here]], length - here
    following = int.from_bytes(block[at + here : at + here + 4], "big")
    while rest > 0 and following:
        more = state(following)
        parts.append(more[4 : 4 + rest])
        rest -= max(len(more) - 4, 1)
        following = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _last_column(record: bytes) -> bytes | None:
    """The last column of a record of as many columns as a page of the inbox has, a blob."""
    end, at = _varint(record, 0)
    sizes = []
    while at < end:
        kind, at = _varint(record, at)
        sizes.append((kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind])
    if len(sizes) != _COLUMNS:
        return None
    start = end + sum(sizes[:-1])
    return record[start : start + sizes[-1]]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1
