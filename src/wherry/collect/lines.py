"""The physical lines of a text file, as bytes, whatever it is compressed with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa

Compression = Literal["none", "gzip", "zstd"]

MAX_LINE_BYTES = 2_000_000
"""A longer line is not read; it is DuckDB's own limit too."""


def read_lines(path: Path, compression: Compression) -> Iterator[bytes]:
    """Yield a file's lines without their ends (LF, CRLF or CR).

    Raises:
        OSError: If the file can't be opened or its compression is damaged.
    """
    codec = None if compression == "none" else compression
    with pa.input_stream(str(path), compression=codec) as stream:
        for raw in io.BufferedReader(stream, buffer_size=1 << 20):
            if b"\r" in raw:
                yield from raw.splitlines()
            else:
                yield raw.removesuffix(b"\n")
