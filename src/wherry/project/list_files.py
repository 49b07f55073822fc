"""The files of precomputed lists: Parquet for any other system, and the server's own table."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wherry.domain import TenantId
from wherry.project.lists import Keyed, Made
from wherry.serve import Recommender
from wherry.serve.precomputed import Kind, Precomputed, land, without

_KEYS_A_PART = 50_000
"""Keys that go into a part of the Parquet file, and are in memory as text at once."""

SCHEMA = pa.schema(
    [
        ("tenant", pa.string()),
        ("kind", pa.string()),
        ("key", pa.string()),
        ("position", pa.int32()),
        ("item_id", pa.string()),
        ("score", pa.float32()),
        ("fallback", pa.string()),
        ("model", pa.string()),
        ("made_at", pa.timestamp("us")),
    ]
)
"""A row an item of a list. ``position`` counts from 1; ``fallback`` is null for what the model
ranked, else it names where the item comes from, and ``score`` is its popularity."""


def parquet_file(home: Path, tenant: TenantId, kind: Kind) -> Path:
    """The file that other systems read."""
    return home / tenant / f"{kind}.parquet"


def write_lists(
    home: Path,
    recommender: Recommender,
    keyed: Keyed,
    made: Made,
    *,
    kind: Kind,
    k: int,
    snapshot: int,
    now: datetime,
) -> Path:
    """Write the Parquet file, then the server's table, each to take its predecessor's place."""
    tenant = recommender.tenant
    path = parquet_file(home, tenant, kind)
    table = Precomputed(
        kind=kind,
        folder=_folder_name(kind, now),
        model=recommender.label,
        snapshot=snapshot,
        k=k,
        keys=len(keyed.keys),
        lists=len(keyed.sessions),
        made_at=now,
    )
    ids = pa.array(recommender.answerer.vocabulary.ids, pa.string())
    _write_parquet(path, _parts(tenant, table, keyed, made, ids))
    land(home, tenant, table, keyed.keys, keyed.rows, made.lists)
    return path


def forget_lists(home: Path, tenant: TenantId, visitors: Collection[str], now: datetime) -> None:
    """Take visitors out of a tenant's files: the server's table and the Parquet file."""
    without(home, tenant, Kind.VISITORS, visitors, _folder_name(Kind.VISITORS, now))
    path = parquet_file(home, tenant, Kind.VISITORS)
    if path.exists():
        _write_parquet(path, _others(path, pa.array(list(visitors), pa.string())))


def _others(path: Path, keys: pa.Array) -> Iterator[pa.RecordBatch]:
    """The rows of a file that are of none of the keys."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield batch.filter(pc.invert(pc.is_in(batch["key"], value_set=keys)))


def _folder_name(kind: Kind, now: datetime) -> str:
    return f"{kind}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _write_parquet(path: Path, parts: Iterator[pa.RecordBatch]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.writing")
    try:
        with pq.ParquetWriter(fresh, SCHEMA, compression="zstd") as writer:
            for part in parts:
                writer.write_batch(part)
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()


def _parts(
    tenant: TenantId, table: Precomputed, keyed: Keyed, made: Made, ids: pa.Array
) -> Iterator[pa.RecordBatch]:
    """The rows of the Parquet file, some thousand keys at a time."""
    fallbacks = pa.array(made.answers.fallbacks, pa.string())
    for start in range(0, len(keyed.keys), _KEYS_A_PART):
        rows = np.array(keyed.rows[start : start + _KEYS_A_PART], dtype=np.int64)
        codes = made.answers.items[rows]
        owner, place = np.nonzero(codes >= 0)
        of = rows[owner]
        is_model = pa.array(place < made.answers.from_model[of])
        n = len(owner)
        yield pa.RecordBatch.from_arrays(
            [
                pa.repeat(pa.scalar(tenant, pa.string()), n),
                pa.repeat(pa.scalar(table.kind, pa.string()), n),
                pa.array(keyed.keys[start : start + _KEYS_A_PART], pa.string()).take(
                    pa.array(owner)
                ),
                pa.array(place + 1, pa.int32()),
                ids.take(pa.array(codes[owner, place])),
                pa.array(made.answers.scores[rows][owner, place], pa.float32()),
                pc.if_else(is_model, pa.scalar(None, pa.string()), fallbacks.take(pa.array(of))),
                pa.repeat(pa.scalar(table.model, pa.string()), n),
                pa.repeat(pa.scalar(table.made_at, pa.timestamp("us")), n),
            ],
            schema=SCHEMA,
        )
