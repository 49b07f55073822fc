"""What the command does that tells what came of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.errors import UsageError, did_you_mean
from wherry.project import Project
from wherry.project.outcomes import outcome_lines
from wherry.report import OutcomeLines
from wherry.watch import By

_NONE = (
    "No answer has been logged and loaded yet. Answers are logged by wherry serve "
    "(serve.log_answers) and loaded by wherry run."
)

_FIRST_COLUMNS = 5
"""How many stand in the first of two tables: the name, the counts, and what was clicked and
bought. They take 80 columns of a terminal."""


def outcomes(folder: Path, by: str, days: int, tenant: str, output: Output) -> None:
    """Tell what came of the answers, by the word given."""
    words = get_args(By)
    if by not in words:
        either = f"{', '.join(words[:-1])} or {words[-1]}"
        raise UsageError(f"There is no --by {by!r}.{did_you_mean(by, words)} Say {either}.")
    chosen = cast(By, by)
    found = Project.open(folder).outcomes(by=chosen, days=days, tenant=tenant)
    output.answer(found, OutcomesTable(outcome_lines(found, chosen)) if found else _NONE)


class OutcomesTable:
    """Outcomes for the terminal: one table, or two below each other where one is too wide."""

    def __init__(self, lines: OutcomeLines) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What is printed."""
        end = len(self._lines.headings)
        whole = self._table(range(1, end))
        needed = Measurement.get(console, options.update(max_width=1_000), whole).maximum
        if needed <= options.max_width:
            yield whole
            return
        yield self._table(range(1, _FIRST_COLUMNS))
        yield ""
        yield self._table(range(_FIRST_COLUMNS, end))

    def _table(self, columns: range) -> Table:
        """Some of the figures of every part."""
        names = self._lines.headings
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(names[0], overflow="fold")
        for column in columns:
            table.add_column(names[column], justify="right", no_wrap=True)
        for row in self._lines.rows:
            table.add_row(*(Text(row[column]) for column in (0, *columns)))
        return table
