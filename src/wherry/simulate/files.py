"""Write tables of events to Parquet files, a new file from time to time."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from wherry.simulate.day import EVENTS_SCHEMA

ROWS_PER_FILE = 4_000_000
ROWS_PER_GROUP = 120_000


class EventFiles:
    """Files ``events-<first day>.parquet`` in a folder; a context manager.

    A file is complete when it carries its name: until then it ends in ``.unfinished``.
    """

    def __init__(self, folder: Path) -> None:
        self.paths: list[Path] = []
        self.rows = 0
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._rows_in_file = 0
        self._last_day: date | None = None
        self._pending: list[pa.Table] = []

    def write(self, day: date, table: pa.Table) -> None:
        """Add the events of a day, or of a part of it; days have to rise."""
        if self._rows_in_file >= ROWS_PER_FILE and day != self._last_day:
            self._finish()
        if self._writer is None:
            self._begin(day)
        self._last_day = day
        self._pending.append(table)
        self.rows += len(table)
        self._rows_in_file += len(table)
        if sum(map(len, self._pending)) >= ROWS_PER_GROUP:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        elif self._writer is not None:
            self._writer.close()

    def _begin(self, day: date) -> None:
        self.paths.append(self._folder / f"events-{day}.parquet")
        # Without Arrow's own schema in the file, dictionary-encoded words are read as strings.
        self._writer = pq.ParquetWriter(
            _unfinished(self.paths[-1]),
            EVENTS_SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=[f.name for f in EVENTS_SCHEMA if pa.types.is_dictionary(f.type)],
            store_schema=False,
        )
        self._rows_in_file = 0

    def _flush(self) -> None:
        if self._writer is not None and self._pending:
            table = pa.concat_tables(self._pending).unify_dictionaries().combine_chunks()
            self._writer.write_table(table)
            self._pending = []

    def _finish(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()
            _unfinished(self.paths[-1]).replace(self.paths[-1])
            self._writer = None


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".unfinished")
