"""``wherry pump``: where its events come from, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.collect import find_files, find_mapping
from wherry.domain import DEFAULT_TENANT, TenantId, tenant_id
from wherry.errors import WherryError
from wherry.simulate import Pumped, Row, Sending, pump, read_rows, simulated_rows
from wherry.simulate.latencies import Latency

SIMULATED = 100_000
"""Events that are simulated if nobody says how many."""


class Recording(msgspec.Struct, frozen=True):
    """Which events to send: those of ``files``, told by the preset ``source``, else ``events``
    simulated ones; of one tenant, if it is named; ``stop_at`` of them, if there are so many."""

    files: tuple[str, ...]
    source: str
    events: int | None
    seed: int
    tenant: str
    stop_at: int | None


def run_pump(url: str, recording: Recording, sending: Sending, output: Output) -> int:
    """Pump and report; 3 where it ended too early or an answer was wrong, else 0."""
    with output.progress() as report:
        report("simulate" if not recording.files else "read")
        with _opened(recording) as rows:
            done = pump(url, islice(rows, recording.stop_at), sending, on_progress=report)
    output.answer(done, *pump_report(done))
    return WherryError.exit_code if done.problem or done.failed else 0


@contextmanager
def _opened(recording: Recording) -> Iterator[Iterator[Row]]:
    now = datetime.now(UTC).replace(tzinfo=None)
    tenant = tenant_id(recording.tenant) if recording.tenant else None
    if recording.files:
        paths = [path for each in recording.files for path in find_files(each, Path.cwd())]
        mapping = find_mapping(recording.source, {})
        yield read_rows(paths, mapping, now=now, tenant=tenant)
        return
    yesterday = datetime.combine(now.date() - timedelta(days=1), datetime.min.time())
    with simulated_rows(
        recording.events or recording.stop_at or SIMULATED,
        seed=recording.seed,
        start=yesterday,
        now=now,
        tenant=tenant or TenantId(DEFAULT_TENANT),
    ) as rows:
        yield rows


def pump_report(done: Pumped) -> list[Any]:
    """What a pump did, for the terminal."""
    parts: list[Any] = [
        f"{done.events:,} events in {done.seconds:,.1f} s, {done.events_per_second:,.0f} a second: "
        f"{done.taken:,} taken, {done.known:,} known already, {done.refused:,} refused"
    ]
    if done.failed or done.unanswered:
        parts.append(f"{done.failed:,} failed, {done.unanswered:,} without an answer")
    parts += [Text(f"  {count:,} × refused: {why}") for why, count in done.reasons.items()]
    parts += [Text(f"  {count:,} × put off: {why}") for why, count in done.put_off.items()]
    parts += [Text(f"  {count:,} × {what}") for what, count in done.errors.items()]
    parts.append(_latency_table(done))
    if done.is_interrupted:
        parts.append("Stopped by a signal.")
    if done.problem:
        parts.append(Text(done.problem, style="bold red"))
    return parts


def _latency_table(done: Pumped) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("ms from when due")
    for name in ("answers", "p50", "p90", "p99", "p99.9", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, each in (("events", done.latency), ("recommend", done.recommend_latency)):
        if each.count:
            table.add_row(name, f"{each.count:,}", *_figures(each))
    return table


def _figures(latency: Latency) -> Iterator[str]:
    for name in ("p50", "p90", "p99", "p999", "max"):
        yield f"{getattr(latency, name):,.2f}"
