"""Simulate the click stream of a shop, or of several, into Parquet files.

Each part of a day is drawn from random numbers of its own, seeded by (seed, tenant, day, part),
and the shop from (seed, tenant). So the same seed gives the same events on any number of
threads, and days can be added later: simulate them with the same seed, items, visitors and
events a day, and the same visitors go on in the same shop.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wherry.domain import DEFAULT_TENANT, TenantId, tenant_id
from wherry.errors import UsageError
from wherry.simulate.catalogue import build_catalogue
from wherry.simulate.day import Part, Shop, simulate_part
from wherry.simulate.files import EventFiles
from wherry.simulate.params import ShopShape

EVENTS_PER_SESSION = 7.6
EVENTS_PER_ITEM_AND_DAY = 7.0
VISITORS_PER_SESSION = 20
"""Visitors for each session of a day; most of them come back on another day."""
SESSIONS_PER_PART = 50_000
MOST_PARTS = 256

Progress = Callable[[int, int], None]

SHOP = "shop.json"
"""The file beside the events that tells what the shop was made from."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated shop is made from: the same origin gives the same products and tastes."""

    seed: int
    items: int
    visitors: int
    tenants: tuple[TenantId, ...]
    shape: ShopShape


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation wrote.

    ``files`` hold the events, in the order of days; ``catalogue`` is ``items.parquet``.
    ``events``, ``sessions`` and ``items`` count over all tenants.
    """

    files: tuple[Path, ...]
    catalogue: Path
    events: int
    sessions: int
    items: int
    seconds: float


def simulate(
    out: Path,
    *,
    events: int,
    seed: int,
    start: datetime,
    days: int,
    items: int | None = None,
    visitors: int | None = None,
    tenants: tuple[TenantId, ...] = (DEFAULT_TENANT,),
    sessions_given: bool = False,
    duplicates: float = 5e-5,
    disorder: float = 1e-5,
    shape: ShopShape | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Simulated:
    """Simulate about ``events`` events, evenly over the tenants and the days from ``start`` on.

    Writes ``out/events-<first day>.parquet`` (a new file each four million rows or so),
    ``out/items.parquet``, and ``out/shop.json``, by which :func:`open_shop` finds the shop again.
    Of ``start``, in UTC if naive, only the day counts. ``items`` and
    ``visitors`` are for each tenant, and follow from the events a day where not given. Tenants
    have shops of their own in which, on purpose, the same ids mean different things.
    Of the events, the shares ``duplicates`` arrive twice and ``disorder`` late. ``on_progress``
    gets (parts done, all parts). Raises ``UsageError`` for counts and shares out of range.
    """
    began = time.perf_counter()
    _check_counts(
        events=events, days=days, items=items, visitors=visitors, threads=threads, seed=seed
    )
    _check_shares(duplicates=duplicates, disorder=disorder)
    _check_tenants(tenants)
    shape = shape or ShopShape()
    daily = events / days / len(tenants)
    parts = list(_parts(_first_day(start), days, daily / EVENTS_PER_SESSION, shape))
    items = items or _round(max(100, daily / EVENTS_PER_ITEM_AND_DAY))
    visitors = visitors or _round(max(100, daily / EVENTS_PER_SESSION * VISITORS_PER_SESSION))
    shops = [
        _open_shop(
            tenant,
            seed,
            items=items,
            visitors=visitors,
            shape=shape,
            sessions_given=sessions_given,
            duplicates=duplicates,
            disorder=disorder,
        )
        for tenant in tenants
    ]
    work = [(shop, part) for part in parts for shop in shops]
    files, written = _write_events(out, work, threads, on_progress)
    origin = Origin(seed=seed, items=items, visitors=visitors, tenants=tenants, shape=shape)
    (out / SHOP).write_bytes(msgspec.json.encode(origin))
    return Simulated(
        files=files,
        catalogue=_write_catalogue(out, shops),
        events=written,
        sessions=sum(part.sessions for _, part in work),
        items=items * len(shops),
        seconds=time.perf_counter() - began,
    )


def open_shop(folder: Path, tenant: TenantId = DEFAULT_TENANT) -> Shop:
    """The shop that was simulated into a folder, to send more visitors to.

    Raises:
        UsageError: there is none, or none of that tenant.
    """
    path = folder / SHOP
    try:
        origin = msgspec.json.decode(path.read_bytes(), type=Origin)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"{path} can't be read ({error}). Name a folder that wherry simulate has written."
        ) from error
    if tenant not in origin.tenants:
        raise UsageError(
            f"{folder} holds no shop of {tenant!r}; there are {', '.join(origin.tenants)}."
        )
    return _open_shop(
        tenant,
        origin.seed,
        items=origin.items,
        visitors=origin.visitors,
        shape=origin.shape,
        sessions_given=False,
        duplicates=0.0,
        disorder=0.0,
    )


def _check_counts(*, seed: int, **counts: int | None) -> None:
    if seed < 0:
        raise UsageError(f"seed is {seed}: give 0 or more.")
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"{name} is {count}: give 1 or more.")


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{name} is {share}: give a share between 0 and 1.")


def _check_tenants(tenants: tuple[TenantId, ...]) -> None:
    if not tenants or len(set(tenants)) < len(tenants):
        raise UsageError(f"tenants are {list(tenants)}: name one or more, each once.")
    for tenant in tenants:
        tenant_id(tenant)


def _round(count: float) -> int:
    """Round to two digits, so that nearly the same number of events a day gives the same shop."""
    return int(float(f"{count:.1e}"))


def _first_day(start: datetime) -> date:
    return (start.astimezone(UTC) if start.tzinfo else start).date()


def _open_shop(
    tenant: TenantId,
    seed: int,
    *,
    items: int,
    visitors: int,
    shape: ShopShape,
    sessions_given: bool,
    duplicates: float,
    disorder: float,
) -> Shop:
    """Build a tenant's shop from the seed and the tenant's name alone."""
    entropy = (seed, zlib.crc32(tenant.encode()))
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(0,)))
    return Shop(
        tenant=tenant,
        entropy=entropy,
        catalogue=build_catalogue(rng, items=items, popularity=shape.popularity),
        tastes=rng.random(visitors),
        shape=shape,
        sessions_given=sessions_given,
        duplicates=duplicates,
        disorder=disorder,
    )


def _parts(first: date, days: int, sessions: float, shape: ShopShape) -> Iterator[Part]:
    """Cut days into parts of a bounded size. A day's parts depend on nothing but the day."""
    mean = sum(shape.weekdays) / len(shape.weekdays)
    for number in range(days):
        day = first + timedelta(days=number)
        today = max(1, round(sessions * shape.weekdays[day.weekday()] / mean))
        count = -(-today // SESSIONS_PER_PART)
        if count > MOST_PARTS:
            raise UsageError(
                f"{today:,} sessions a day are too many: {MOST_PARTS * SESSIONS_PER_PART:,} at "
                "most; simulate fewer events or more days."
            )
        for part in range(count):
            share = today * (part + 1) // count - today * part // count
            yield Part(day=day, number=part, count=count, sessions=share)


def _write_catalogue(out: Path, shops: Iterable[Shop]) -> Path:
    path = out / "items.parquet"
    table = pa.concat_tables([shop.catalogue.table(shop.tenant) for shop in shops])
    pq.write_table(table, path, compression="zstd")
    return path


def _write_events(
    out: Path, work: list[tuple[Shop, Part]], threads: int, on_progress: Progress | None
) -> tuple[tuple[Path, ...], int]:
    """Simulate the parts on threads and write them in order; returns the files and the rows."""
    out.mkdir(parents=True, exist_ok=True)
    with EventFiles(out) as files:
        for done, ((_, part), table) in enumerate(_simulated(work, threads), start=1):
            files.write(part.day, table)
            if on_progress:
                on_progress(done, len(work))
    return tuple(files.paths), files.rows


def _simulated(
    work: list[tuple[Shop, Part]], threads: int
) -> Iterator[tuple[tuple[Shop, Part], pa.Table]]:
    """Yield each part's table in order, with no more than ``threads`` + 1 in memory."""
    waiting: deque[tuple[tuple[Shop, Part], Future[pa.Table]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for job in work:
            waiting.append((job, pool.submit(simulate_part, *job)))
            if len(waiting) > threads:
                job, future = waiting.popleft()
                yield job, future.result()
        for job, future in waiting:
            yield job, future.result()
