"""The terminal's tables: what a run did, in 80 columns and readable without colour."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wherry.domain import Candidate, Check, Release, RunRecord, Stage, Verdict
from wherry.report import leaderboard, numbers
from wherry.report.conclusion import OUTCOME_SYMBOLS, Ending, conclude
from wherry.report.svg import shorten

COLOURS = {"✓": "green", "✗": "red", "!": "yellow", "★": "cyan"}
_NOTE = 50
SHOWN_METRICS = ("hr@20", "mrr@20", "ndcg@20", "coverage@20")


def run_summary(
    record: RunRecord, *, champion: Release | tuple[Release, ...] | None = None
) -> Group:
    """How a run ended: a line with the verdict and a line with what it means."""
    releases = champion if isinstance(champion, tuple) else (champion,) if champion else ()
    conclusion = conclude(record, {r.tenant: r for r in releases})
    bad = conclusion.ending in (Ending.BLOCKED, Ending.FAILED)
    style = "bold red" if bad else "bold green" if conclusion.ending is Ending.RELEASED else "bold"
    title = _plain(f"{conclusion.symbol} {conclusion.title}", style)
    return Group(
        title.append(f"  {_clean(f'{record.shop}, run {record.run_id}')}", "dim"),
        _plain(conclusion.detail),
    )


def stage_table(record: RunRecord) -> Group:
    """The stages of a run with rows, seconds and notes; tenants apart where several.

    What :func:`run_summary` has told whole is cut short.
    """
    told = conclude(record, {}).detail
    parts: list[RenderableType] = [_stages(record.stages, told)]
    for tenant in record.tenants:
        if len(record.tenants) > 1:
            parts += ["", _plain(tenant.tenant, "bold")]
        parts.append(_stages(tenant.stages, told, show_header=False))
    return Group(*parts)


def leaderboard_table(candidates: Iterable[Candidate], winner: str = "") -> Group:
    """The candidates, the winner (★) first: metrics at 20 with half their 95% interval.

    A candidate that could not be fitted, or is excluded from winning (✗), has the reason below.
    """
    ranked = leaderboard.ranked(candidates, winner)
    shown = [m for m in SHOWN_METRICS if any(m in c.metrics for c in ranked)]
    table = _table()
    table.add_column("", width=1)
    table.add_column("candidate", overflow="fold", max_width=18)
    rows = [
        (
            *(_measured(candidate, name) for name in shown),
            numbers.seconds(candidate.fit_seconds),
            numbers.microseconds(candidate.p99_microseconds),
        )
        for candidate in ranked
    ]
    heads = [*(metric.replace("coverage", "cover") for metric in shown), "fit", "p99"]
    for head, *figures in zip(heads, *rows, strict=True):
        # Where it gets narrow the name gives way: half a figure is none.
        width = max(len(head), *(len(str(figure)) for figure in figures), 0)
        table.add_column(head, justify="right", no_wrap=True, min_width=width)
    for candidate, row in zip(ranked, rows, strict=True):
        won = candidate.name == winner
        table.add_row(
            _mark("✗" if candidate.error or candidate.excluded else "★" if won else ""),
            _plain(candidate.name, "bold" if won else ""),
            *row,
        )
    errors = (
        _plain(f"✗ {c.name}: {c.error or c.excluded}", "red")
        for c in ranked
        if c.error or c.excluded
    )
    return Group(table, *errors)


def verdict_table(verdict: Verdict) -> Table:
    """The checks of a verdict, failing ones first: ✗ blocks, ! is only shown, ✓ passed.

    The slices that a check passed on share one line, with the lowest of their figures.
    """
    checks = sorted(verdict.checks, key=lambda c: (not c.is_blocking, c.passed))
    table = _table()
    table.add_column("", width=1)
    table.add_column(verdict.subject, overflow="fold", min_width=_name_width(checks))
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("bound", overflow="fold", max_width=12)
    table.add_column("message", overflow="fold", ratio=1)
    for check in _gathered(checks):
        table.add_row(
            _mark(_symbol(check)),
            _check_name(check),
            numbers.figure(check.figure),
            _plain(check.bound),
            _plain(check.message, "dim" if check.passed else ""),
        )
    return table


def releases_table(releases: Iterable[Release], *, champion: int | None = None) -> Table:
    """The releases of one tenant, newest first, the champion's version marked (★)."""
    table = _table()
    table.add_column("", width=1)
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", ratio=1)
    table.add_column("mrr@20", justify="right", no_wrap=True)
    table.add_column("snapshot", justify="right", no_wrap=True)
    table.add_column("released", no_wrap=True)
    for release in sorted(releases, key=lambda r: -r.version):
        estimate = release.metrics.get("mrr@20")
        table.add_row(
            _mark("★" if release.version == champion else ""),
            f"v{release.version}",
            _plain(release.model),
            numbers.measured(estimate) if estimate is not None else numbers.ABSENT,
            str(release.snapshot),
            numbers.moment(release.released_at),
        )
    return table


def _stages(stages: tuple[Stage, ...], told: str, *, show_header: bool = True) -> Table:
    table = _table(show_header=show_header)
    table.add_column("stage", width=9, no_wrap=True)
    table.add_column("", width=13, no_wrap=True)
    table.add_column("rows", width=13, justify="right", no_wrap=True)
    table.add_column("took", width=11, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold", ratio=1)
    for stage in stages:
        table.add_row(
            _plain(stage.name),
            _mark(OUTCOME_SYMBOLS[stage.outcome]).append(f" {stage.outcome}", "default"),
            numbers.count(stage.rows) if stage.rows is not None else numbers.ABSENT,
            numbers.seconds(stage.seconds),
            _plain(shorten(stage.note, _NOTE) if _is_in(stage.note, told) else stage.note, "dim"),
        )
    return table


def _is_in(note: str, told: str) -> bool:
    return note.strip().rstrip(".") in told


def _measured(candidate: Candidate, name: str) -> str:
    estimate = candidate.metrics.get(name)
    if estimate is None:
        return numbers.ABSENT
    value = numbers.metric(estimate.value)
    return f"{value} ±{numbers.margin(estimate)}" if name in leaderboard.PREFERRED else value


def _gathered(checks: list[Check]) -> list[Check]:
    """One line for all slices that a check passed on; every failure stays a line of its own."""
    lines: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        is_quiet = check.passed and check.slice != "all"
        lines.setdefault((check.name, "" if is_quiet else check.slice), []).append(check)
    return [_gather(group) for group in lines.values()]


def _gather(group: list[Check]) -> Check:
    figures = [check.figure for check in group if check.figure is not None]
    if len(group) == 1:
        return group[0]
    return Check(
        name=group[0].name,
        slice=f"{len(group)} slices",
        passed=True,
        figure=min(figures, default=None),
        message="the lowest of them" if figures else "",
    )


def _check_name(check: Check) -> Text:
    name = _plain(check.name, "" if check.passed else "bold")
    return name if check.slice == "all" else name.append(f"\n[{_clean(check.slice)}]", "dim")


def _name_width(checks: list[Check]) -> int:
    return min(30, max((len(check.name) for check in checks), default=0))


def _symbol(check: Check) -> str:
    return "✓" if check.passed else "✗" if check.is_blocking else "!"


def indented(text: str, by: int) -> Padding:
    """A text whose every line, also one that the terminal makes, begins ``by`` columns in."""
    return Padding(_plain(text), (0, 0, 0, by))


def _table(*, show_header: bool = True) -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=show_header,
    )


def _mark(symbol: str) -> Text:
    return Text(symbol, COLOURS.get(symbol, ""))


def _plain(text: str, style: str = "") -> Text:
    """A text as it is: no markup of Rich's, no control character that a terminal would obey."""
    return Text(_clean(text), style)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)
