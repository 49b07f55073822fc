"""What the command does that computes logged answers again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.errors import VerdictFailed
from wherry.project import Project
from wherry.report import numbers
from wherry.watch.skew import Skew

TOLD = 5
"""How many differences are told one by one in the terminal; JSON has more."""

_ITEMS = 6
_NONE = (
    "There is no answer to compute again yet. Answers are logged by wherry serve "
    "(serve.log_answers); wherry run loads them, and the events that they follow."
)


def skew(folder: Path, sample: int, days: int, seed: int, tenant: str, output: Output) -> int:
    """Compute logged answers again; 1 where one is not what it had to be."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        report("computing answers again")
        found = project.skew(sample=sample, days=days, seed=seed, tenant=tenant)
    output.answer(found, *skew_report(found))
    return 0 if found.is_clean else VerdictFailed.exit_code


def skew_report(found: Skew) -> list[Any]:
    """What was computed again, what was the same, the faults, and some of the differences."""
    if not found.answers:
        return [_NONE]
    differing = found.answers - found.same
    count = numbers.count
    parts: list[Any] = [
        Text(
            f"{count(found.answers)} answers from {found.since:%Y-%m-%d %H:%M:%S} to "
            f"{found.until:%Y-%m-%d %H:%M:%S} UTC: {count(found.sessions)} sessions and "
            f"{count(found.rankings)} rankings computed again."
        ),
        Text(
            "No difference."
            if found.is_clean
            else f"{count(differing)} answers are NOT what they had to be.",
            style="" if found.is_clean else "bold red",
        ),
    ]
    if found.in_flight:
        words = f"{count(found.in_flight)} are the same without what came in the second before."
        parts.append(Text(words, style="dim"))
    for reason, n in found.skipped.items():
        parts.append(Text(f"not compared: {count(n)} × {reason}", style="dim"))
    if found.faults:
        parts += ["", _faults(found), ""]
        parts += [line for each in found.differences[:TOLD] for line in _difference(each)]
    return parts


def _faults(found: Skew) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("differences", justify="right", no_wrap=True)
    table.add_column("cause", no_wrap=True)
    table.add_column("such as", overflow="fold")
    for each in found.faults:
        table.add_row(numbers.count(each.count), Text(each.cause), Text(each.words))
    return table


def _difference(each: Any) -> list[Text]:
    who = each.visitor_id or each.session_id or "nobody known"
    return [
        Text(f"✗ {each.part} of {each.answer_id}, {each.release}, for {who}: {each.words}"),
        Text(f"    served:   {_some(each.served)}", style="dim"),
        Text(f"    expected: {_some(each.expected)}", style="dim"),
    ]


def _some(items: tuple[str, ...]) -> str:
    """The first items of a list."""
    more = len(items) - _ITEMS
    return (", ".join(items[:_ITEMS]) or "nothing") + (f" and {more} more" if more > 0 else "")
