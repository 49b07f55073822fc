"""``wherry shoppers``: a crowd of simulated visitors, and what they did by model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.domain import tenant_id
from wherry.simulate import Crowd, Visited, open_shop, send_crowd


def run_shoppers(url: str, folder: Path, tenant: str, crowd: Crowd, output: Output) -> None:
    """Send a crowd and report what it did."""
    shop = open_shop(folder, tenant_id(tenant))
    with output.progress() as report:
        report("sending shoppers")
        done = send_crowd(url, shop, crowd, on_progress=lambda so_far: report(_told(so_far)))
    output.answer(done, *shopping_report(done))


def _told(done: Visited) -> str:
    lists = sum(shown.lists for shown in done.models.values())
    return f"{done.visits:,} visits, {lists:,} lists shown, {done.events:,} events"


def shopping_report(done: Visited) -> list[Any]:
    """What a crowd did, for the terminal."""
    parts: list[Any] = [f"{_told(done)} in {done.seconds:,.1f} s"]
    if done.models:
        parts.append(models_table(done))
        parts.append(f"an answer took {done.latency.p50:.1f} ms, p99 {done.latency.p99:.1f} ms")
    if done.put_off:
        parts.append(f"{done.put_off:,} × put off (429, 503)")
    parts += [Text(f"{count:,} × {what}", style="red") for what, count in done.errors.items()]
    return parts


def models_table(done: Visited) -> Table:
    """What came of the lists of each model."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("answered by")
    for name in ("lists", "clicks", "click-through", "adds", "purchases"):
        table.add_column(name, justify="right", no_wrap=True)
    for model, shown in done.models.items():
        table.add_row(
            Text(model),
            f"{shown.lists:,}",
            f"{shown.clicks:,}",
            f"{shown.click_through:.1%}",
            f"{shown.adds:,}",
            f"{shown.purchases:,}",
        )
    return table
