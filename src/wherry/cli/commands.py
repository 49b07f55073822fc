"""What the commands do: each one call of the project, and its answer in two forms."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.collect import Loaded
from wherry.domain import Outcome, RunRecord, Verdict, tenant_id
from wherry.errors import VerdictFailed, WherryError
from wherry.project import Project, ProjectStatus
from wherry.project.intake import InboxStatus
from wherry.project.reproduce import Reproduction
from wherry.registry import in_words
from wherry.report import (
    indented,
    leaderboard_table,
    numbers,
    releases_table,
    run_summary,
    stage_table,
)
from wherry.serve import Recommendation, log_to
from wherry.simulate import simulate as simulate_shop

SAMPLE_ROWS = 3
"""How many of the rows that a check found are shown in the terminal; the card has more."""


def init(folder: Path, output: Output) -> None:
    """Make a project and say what to do next."""
    project = Project.create(folder)
    output.answer(
        {"folder": str(project.home.root), "settings": str(project.home.settings)},
        f"Made a project in {project.home.root}.",
        Text("Next: wherry import PRESET FILE, then wherry run."),
    )


def import_files(
    folder: Path, source: str, patterns: list[str], tenant: str, wait: float, output: Output
) -> None:
    """Import files and count what came of them."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        loads = [
            load
            for pattern in patterns
            for load in project.import_files(
                source, pattern, tenant=tenant, wait_seconds=wait, report=report
            )
        ]
    output.answer(loads, loads_table(loads))


def loads_table(loads: list[Loaded]) -> Table:
    """What was taken, known already and rejected, a line a file."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("file", overflow="fold")
    for name in ("taken", "known", "rejected", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for load in loads:
        table.add_row(
            Path(load.source).name + (" (loaded before)" if load.is_skipped else ""),
            f"{load.taken:,}",
            f"{load.known:,}",
            f"{load.rejected:,}",
            f"{load.seconds:.1f}",
        )
    return table


def run(
    folder: Path, start: str, only: str, full_refresh: bool, wait: float, output: Output
) -> int:
    """Run the project; the exit code says how it ended."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        record = project.run(
            start=start, only=only, full_refresh=full_refresh, wait_seconds=wait, report=report
        )
    output.answer(record, *run_report(project, record))
    return exit_code(record)


def exit_code(record: RunRecord) -> int:
    """3 where something broke, else 1 where a verdict failed, else 0."""
    if Outcome.FAILED in record.outcomes:
        return WherryError.exit_code
    return VerdictFailed.exit_code if Outcome.BLOCKED in record.outcomes else 0


def run_report(project: Project, record: RunRecord) -> list[Any]:
    """A run for the terminal: how it ended, stages, what failed, the leaderboard, the card."""
    champions = (project.champion(tenant.tenant) for tenant in record.tenants)
    parts: list[Any] = [
        run_summary(record, champion=tuple(c for c in champions if c is not None)),
        "",
        stage_table(record),
    ]
    for tenant in record.tenants:
        for verdict in (tenant.audit, tenant.behave):
            told = [*failures_text(verdict), *warnings_text(verdict)] if verdict else []
            parts += ["", *told] if told else []
        if tenant.candidates:
            parts += ["", leaderboard_table(tenant.candidates, tenant.winner)]
    if not record.found_nothing_new:
        parts += ["", Text(f"Card: {project.card(record.run_id)}", overflow="fold")]
    return parts


def failures_text(verdict: Verdict) -> list[Any]:
    """What stands in the way, a few lines a check, with some of the offending rows."""
    lines: list[Any] = []
    for check in verdict.failures:
        part = f" ({check.slice})" if check.slice != "all" else ""
        found = None if check.figure is None else numbers.figure(check.figure)
        figure = f" is {found}, wanted {check.bound}" if found else ""
        lines.append(Text(f"✗ {check.name}{part}{figure}", style="bold red"))
        lines.append(indented(check.message, 2))
        for row in check.sample[:SAMPLE_ROWS]:
            words = ", ".join(f"{key} {_in_short(value)}" for key, value in row.items())
            line = Text(words, overflow="ellipsis", no_wrap=True, style="dim")
            lines.append(Padding(line, (0, 0, 0, 4)))
    return lines


def _in_short(value: object) -> str:
    return numbers.figure(value) if isinstance(value, float) else str(value)


def warnings_text(verdict: Verdict) -> list[Any]:
    """What failed on the whole and stands in nobody's way; a slice's warnings are on the card."""
    lines: list[Any] = []
    for check in verdict.checks:
        if not check.passed and not check.is_blocking and check.slice == "all":
            lines.append(Text(f"! {check.name}", style="bold yellow"))
            lines.append(indented(check.message, 2))
    return lines


def serve(
    folder: Path, host: str | None, port: int | None, workers: int | None, output: Output
) -> None:
    """Serve until a signal ends it; the address is told once requests are taken."""

    def announce(address: str) -> None:
        output.answer({"address": address}, f"Answering on {address}  (try {address}/docs)")

    log_to(sys.stderr)
    Project.open(folder).serve(host=host, port=port, workers=workers, on_ready=announce)


def collect(folder: Path, host: str | None, port: int | None, output: Output) -> None:
    """Take events in until a signal ends it; the address is told once requests are taken."""

    def announce(address: str) -> None:
        output.answer({"address": address}, f"Taking events on {address}/v1/events")

    log_to(sys.stderr)
    Project.open(folder).collect(host=host, port=port, on_ready=announce)


def recommend(
    folder: Path, items: list[str], k: int | None, why: bool, tenant: str, output: Output
) -> None:
    """Recommend for a session given on the command line."""
    answer = Project.open(folder).recommend(items, k=k, tenant=tenant, why=why)
    output.answer(answer, answer_table(answer))


def answer_table(answer: Recommendation) -> Table:
    """Recommended items with their names and scores."""
    fallback = str(answer.fallback or "").replace("_", " ")
    filled = f", filled up with what is {fallback}" if fallback else ""
    table = Table(
        box=None,
        pad_edge=False,
        header_style="dim",
        title=f"{answer.model}{filled}",
        title_justify="left",
    )
    table.add_column("", justify="right", style="dim")
    table.add_column("item", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("score", justify="right")
    is_explained = any(each.why for each in answer.items)
    if is_explained:
        table.add_column("why", overflow="fold", ratio=1)
    for place, each in enumerate(answer.items, start=1):
        row: list[str | Text] = [
            str(place),
            Text(each.item),
            Text(each.name or ""),
            f"{each.score:.4g}",
        ]
        if is_explained:
            row.append(Text(each.why.words if each.why else ""))
        table.add_row(*row)
    return table


def status(folder: Path, output: Output) -> None:
    """Show where the project stands."""
    state = Project.open(folder).status()
    output.answer(state, *status_text(state))


def inbox_text(inbox: InboxStatus) -> list[Any]:
    """What waits in the inbox, and what of it was damaged; nothing where neither is."""
    parts: list[Any] = []
    if inbox.events:
        since = f" since {inbox.oldest:%Y-%m-%d %H:%M:%S} UTC" if inbox.oldest else ""
        parts.append(f"Inbox: {inbox.events:,} events wait{since}. To load them: wherry run")
    if inbox.set_aside:
        parts.append(Text(f"Inbox, damaged and set aside: {', '.join(inbox.set_aside)}"))
    return parts


def status_text(state: ProjectStatus) -> list[Any]:
    """A project's state for the terminal."""
    parts: list[Any] = [Text(f"{state.shop}  {state.folder}", style="bold")]
    if state.holder is not None:
        parts.append(f"'{state.holder.command}' is at work, process {state.holder.pid}.")
    parts += inbox_text(state.inbox)
    if state.intake is None:
        return [*parts, "Nothing has been imported yet: wherry import"]
    intake = state.intake
    parts.append(
        f"{intake.loads:,} loads: {intake.taken:,} rows taken, {intake.known:,} known already, "
        f"{intake.rejected:,} rejected"
    )
    parts += [
        Text(f"  {each.rows:,} × {each.reason} (first: {each.source}, line {each.line})")
        for each in intake.reasons
    ]
    for tenant in state.tenants:
        champion = tenant.champion
        answers = "nothing"
        if champion is not None:
            answers = f"{champion.name}@{champion.version} ({champion.model})"
        volumes = tenant.volumes
        parts += [
            "",
            Text(f"{tenant.tenant}: snapshot {tenant.published.snapshot}, {answers} answers"),
            f"  {volumes.events:,} events in {volumes.sessions:,} sessions, "
            f"{volumes.first_event:%Y-%m-%d} to {volumes.last_event:%Y-%m-%d %H:%M}",
        ]
        if tenant.rollout is not None:
            tried = f"  v{tenant.rollout.version} is tried: {in_words(tenant.rollout)}."
            parts.append(f"{tried} How it goes: wherry rollout")
        parts += [
            f"  {day.day:%a %d %b}  {day.events:>10,} events  {day.sessions:>9,} sessions"
            f"  {day.transactions:>7,} transactions"
            for day in volumes.days
        ]
    if state.last_run is not None:
        champions = tuple(each.champion for each in state.tenants if each.champion is not None)
        parts += ["", run_summary(state.last_run, champion=champions)]
    return parts


def releases(folder: Path, tenant: str, output: Output) -> None:
    """List a tenant's releases."""
    project = Project.open(folder)
    found, champion = project.releases(tenant), project.champion(tenant)
    version = champion.version if champion else None
    output.answer(
        {"champion": version, "releases": found},
        releases_table(found, champion=version) if found else "Nothing has been released yet.",
    )


def reproduce(folder: Path, name: str, output: Output) -> int:
    """Build a release anew; 1 where what came out is not the same."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        report("reproducing")
        found = project.reproduce(name or project.settings.registry.name)
    output.answer(found, *reproduction_report(found))
    return 0 if found.is_same else VerdictFailed.exit_code


def reproduction_report(found: Reproduction) -> list[Any]:
    """What was compared, a line each that differs, and what that means."""
    same = "the same" if found.is_same else "NOT the same"
    parts: list[Any] = [f"{found.release} ({found.model}) built anew is {same}."]
    if found.differences:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("differs", "then", "now"):
            table.add_column(column, overflow="fold")
        for each in found.differences:
            table.add_row(each.name, each.then, each.now)
        parts += ["", table]
    decided = [each for each in found.findings if each.decides and each.is_same]
    for each in decided:
        parts.append(Text(f"same: {each.name}, {each.now}", style="dim"))
    return parts


def card(folder: Path, run_id: str, output: Output) -> None:
    """Say where a card is."""
    path = Project.open(folder).card(run_id)
    output.answer({"card": str(path)}, Text(str(path), overflow="ignore", no_wrap=True))


def simulate(
    folder: Path,
    events: int,
    days: int,
    start: datetime,
    tenants: list[str],
    sessions: bool,
    seed: int,
    output: Output,
) -> None:
    """Make a click stream and its catalogue."""
    with output.progress() as report:
        made = simulate_shop(
            folder,
            events=events,
            seed=seed,
            start=start,
            days=days,
            tenants=tuple(tenant_id(tenant) for tenant in tenants),
            sessions_given=sessions,
            on_progress=lambda done, of: report(f"simulate: {done:,} of {of:,}"),
        )
    output.answer(
        msgspec.to_builtins(made, enc_hook=str),
        f"{made.events:,} events in {made.sessions:,} sessions, {made.seconds:.1f} s",
        *(Text(str(path)) for path in made.files),
    )


__all__ = ["answer_table", "exit_code", "loads_table", "run_report"]
