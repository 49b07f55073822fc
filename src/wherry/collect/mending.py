"""CSV records that run over several lines, put on one line each."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from wherry.collect.lines import MAX_LINE_BYTES

LINE_END = "\x1d\x1e\x1d"
"""What stands for a line end in a record that was put on one line; no text holds it."""

_MAX_RECORD_LINES = 200


def mend(lines: Iterable[bytes], delimiter: str, columns: int, target: Path) -> None:
    """Write a CSV's lines to ``target``, with each record of ``columns`` values on one line.

    Where no record comes of the lines that follow an open quote, the quote is a stray one:
    its line is left as it is, to be rejected alone.
    """
    with target.open("wb") as file:
        for record in join_records(lines, delimiter, columns):
            file.write(record + b"\n")


def join_records(lines: Iterable[bytes], delimiter: str, columns: int) -> Iterator[bytes]:
    """Yield the lines, those of one record joined by :data:`LINE_END`.

    >>> list(join_records([b'1,"a', b'b"', b'2,"c'], ",", 2))
    [b'1,"a\\x1d\\x1e\\x1db"', b'2,"c']
    """
    closed, unclosed = _patterns(delimiter, columns)
    source = iter(lines)
    ahead: deque[bytes] = deque()
    while (line := ahead.popleft() if ahead else next(source, None)) is not None:
        if b'"' not in line or closed.fullmatch(line) or not unclosed.fullmatch(line):
            yield line
            continue
        record, taken = line, 0
        while unclosed.fullmatch(record):
            gathered = _gather(source, ahead, taken)
            if gathered is None or len(record) > MAX_LINE_BYTES:
                break
            parts = [record, *(ahead[place] for place in range(taken, gathered))]
            record, taken = LINE_END.encode().join(parts), gathered
        if closed.fullmatch(record):
            for _ in range(taken):
                ahead.popleft()
            yield record
        else:
            yield line


def _gather(source: Iterator[bytes], ahead: deque[bytes], taken: int) -> int | None:
    """Look ahead to the next line that holds a quote; how many lines that makes, or ``None``
    where the longest record would end before."""
    while taken < _MAX_RECORD_LINES:
        if taken == len(ahead):
            line = next(source, None)
            if line is None:
                break
            ahead.append(line)
        taken += 1
        if b'"' in ahead[taken - 1]:
            return taken
    return None


def _patterns(delimiter: str, columns: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """What a whole record looks like, and one whose last value is still open."""
    mark = re.escape(delimiter).encode()
    field = b'(?:"(?:[^"]|"")*"|[^"%s][^%s]*|)' % (mark, mark)
    closed = b"%s(?:%s%s){%d}" % (field, mark, field, columns - 1)
    unclosed = b'(?:%s%s){0,%d}"(?:[^"]|"")*' % (field, mark, columns - 1)
    return re.compile(closed), re.compile(unclosed)
