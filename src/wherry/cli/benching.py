"""``wherry bench``: its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.project import Project
from wherry.project.bench import Bench, run_bench


def bench(
    folder: Path, seconds: float, p99: float, workers: int | None, tenant: str, output: Output
) -> None:
    """Measure the project's server on this machine."""
    project = Project.open(folder)
    with output.progress() as report:
        found = run_bench(
            project, seconds=seconds, p99=p99, workers=workers, tenant=tenant, report=report
        )
    output.answer(found, *bench_report(found))


def bench_report(found: Bench) -> list[Any]:
    """What a bench found, for the terminal."""
    several = "1 worker" if found.workers == 1 else f"{found.workers} workers"
    cores = "1 core" if found.cores == 1 else f"{found.cores} cores"
    return [
        f"{found.model}, {found.items:,} items; {several} and the load on {cores}, whose load "
        f"average was {found.load_average:.1f} before.",
        "Each recommendation follows an event of its session. Milliseconds from when each was due:",
        "",
        _steps_table(found),
        "",
        *_conclusion(found),
        "",
        f"The server's processor time, {found.microseconds:,.0f} µs an event and a recommendation:",
        _parts_table(found),
    ]


def _steps_table(found: Bench) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("a second", "p50", "p90", "p99", "p99.9", "longest", "events p99", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for step in found.steps:
        lost = step.errors + step.unanswered
        verdict = "" if step.passed else f"{lost:,} failed" if lost else "too late"
        taken = step.recommend
        table.add_row(
            f"{step.rate:,.0f}",
            *(f"{each:,.2f}" for each in (taken.p50, taken.p90, taken.p99, taken.p999, taken.max)),
            f"{step.events.p99:,.2f}",
            Text(verdict, style="red"),
        )
    return table


def _conclusion(found: Bench) -> list[Text]:
    if found.rate is None or found.requests_per_day is None:
        slowest = found.steps[0].rate if found.steps else 0.0
        return [
            Text(
                f"Not even {slowest:,.0f} recommendations a second are answered with a p99 below "
                f"{found.p99:g} ms here. See where the time goes; is the machine busy otherwise?"
            )
        ]
    lines = [
        Text(
            f"{found.rate:,.0f} recommendations a second, and as many events, with a p99 below "
            f"{found.p99:g} ms.",
            style="bold",
        ),
        Text(
            f"{found.requests_per_day:,.0f} a day: the busiest hour of the shop's log has "
            f"{found.peak_to_mean:.1f} times the events of the mean one."
        ),
    ]
    if found.is_load_bound:
        lines.append(
            Text("Asking took all of a core: the server may do more than could be asked here.")
        )
    return lines


def _parts_table(found: Bench) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for part, share in found.parts.items():
        table.add_row(f"{share:.0%}", f"{share * found.microseconds:,.0f} µs", part)
    return table
