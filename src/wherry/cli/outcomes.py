"""What the command does that tells what came of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.errors import UsageError, did_you_mean
from wherry.project import Project
from wherry.project.outcomes import outcome_lines
from wherry.watch import By, Outcomes

_NONE = (
    "No answer has been logged and loaded yet. Answers are logged by wherry serve "
    "(serve.log_answers) and loaded by wherry run."
)


def outcomes(folder: Path, by: str, days: int, tenant: str, output: Output) -> None:
    """Tell what came of the answers, by the word given."""
    words = get_args(By)
    if by not in words:
        either = f"{', '.join(words[:-1])} or {words[-1]}"
        raise UsageError(f"There is no --by {by!r}.{did_you_mean(by, words)} Say {either}.")
    chosen = cast(By, by)
    found = Project.open(folder).outcomes(by=chosen, days=days, tenant=tenant)
    output.answer(found, outcomes_table(found, chosen) if found else _NONE)


def outcomes_table(found: tuple[Outcomes, ...], by: By) -> Table:
    """Outcomes for the terminal."""
    lines = outcome_lines(found, by)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(lines.headings[0], overflow="fold")
    for name in lines.headings[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in lines.rows:
        table.add_row(*map(Text, row))
    return table
