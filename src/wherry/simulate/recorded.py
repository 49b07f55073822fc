"""Recorded events, read from files in their order and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import duckdb
import pyarrow as pa

from wherry.collect import find_mapping, inspect
from wherry.collect.incoming import select_events
from wherry.collect.mapping import select_raw, widen
from wherry.collect.reading import select_records
from wherry.collect.rejects import forget_unreadable
from wherry.collect.values import literal
from wherry.config import Mapping
from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.errors import SourceError, UsageError
from wherry.simulate.shop import simulate

_BATCH_ROWS = 10_000
_PIECE_ROWS = 256
"""Rows made into Python objects at a time: a millisecond's work, so that no answer waits long."""


class Row(NamedTuple):
    """One recorded event. ``occurred_us`` counts microseconds since 1970, UTC; ``items`` are
    objects with ``id``, ``price`` and ``quantity``; ``properties`` are JSON."""

    tenant: str
    event_id: str
    event_type: str
    occurred_us: int
    visitor_id: str
    session_id: str | None
    items: list[dict[str, object]]
    query: str | None
    properties: str | None


def read_rows(
    paths: Sequence[Path],
    mapping: Mapping,
    *,
    now: datetime,
    tenant: TenantId | None = None,
    prefix: str = "",
) -> Iterator[Row]:
    """Read the events of files (Parquet, CSV, NDJSON) as an import would, one file after the other.

    Rows that an import would reject are left out, and ``now`` (UTC, without a zone) is what
    their times are held against. ``tenant`` leaves out the events of the others; ``prefix``
    is put before every event id. The next rows are read on a thread of their own.

    Raises:
        SourceError: If a file can't be read as the mapping says.
        UsageError: If the mapping is of a catalogue.
    """
    if mapping.kind != "events":
        raise UsageError("A catalogue holds no events to send. Name an import of events.")
    batches = _read_files(paths, mapping, now, tenant, prefix)
    for batch in _one_ahead(batches):
        for start in range(0, len(batch), _PIECE_ROWS):
            columns = [column.to_pylist() for column in batch.slice(start, _PIECE_ROWS).columns]
            yield from map(Row._make, zip(*columns, strict=True))


@contextmanager
def simulated_rows(
    events: int, *, seed: int, start: datetime, now: datetime, tenant: TenantId = DEFAULT_TENANT
) -> Iterator[Iterator[Row]]:
    """So many simulated events of one day, each once; they lie on disk until the end.

    The same arguments give the same events. Their ids begin with the seed, so that two
    simulations never pass for each other.
    """
    with TemporaryDirectory(prefix="wherry-") as folder:
        # A simulation gives about as many events as it is asked for.
        made = simulate(
            Path(folder),
            events=int(events * 1.2) + 1_000,
            seed=seed,
            start=start,
            days=1,
            tenants=(tenant,),
            sessions_given=True,
            duplicates=0.0,
        )
        rows = read_rows(made.files, find_mapping("wherry", {}), now=now, prefix=f"{seed}-")
        yield islice(rows, events)


def _read_files(
    paths: Sequence[Path],
    mapping: Mapping,
    now: datetime,
    tenant: TenantId | None,
    prefix: str,
) -> Iterator[pa.RecordBatch]:
    with duckdb.connect() as con:
        for path in paths:
            query = _select(con, path, mapping, now, tenant, prefix)
            try:
                yield from con.execute(query).to_arrow_reader(_BATCH_ROWS)
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise SourceError(
                    f"{path} can't be read: {str(error).splitlines()[0]} Check that it is whole."
                ) from error


def _select(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    mapping: Mapping,
    now: datetime,
    tenant: TenantId | None,
    prefix: str,
) -> str:
    source = widen(inspect(con, path), mapping)
    forget_unreadable(con)
    raw, raws = select_raw(con, mapping, source, select_records(source))
    forget_unreadable(con)
    events = select_events(raw, raws, tenant=tenant or DEFAULT_TENANT, now=now)
    ours = f" AND tenant = {literal(tenant)}" if tenant else ""
    return (
        f"SELECT tenant, {literal(prefix)} || event_id AS event_id, event_type, "
        "epoch_us(occurred_at) AS occurred_us, visitor_id, session_id, items, query, "
        f"CAST(properties AS VARCHAR) AS properties FROM ({events}) WHERE reason IS NULL{ours}"
    )


def _one_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches; each is read while the one before it is in use."""
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch
