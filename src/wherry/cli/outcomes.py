"""What the command does that tells what came of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.errors import UsageError, did_you_mean
from wherry.project import Project
from wherry.report import numbers
from wherry.watch import By, Outcomes, Rate

_NONE = (
    "No answer has been logged and loaded yet. Answers are logged by wherry serve "
    "(serve.log_answers) and loaded by wherry run."
)


def outcomes(folder: Path, by: str, days: int, tenant: str, output: Output) -> None:
    """Tell what came of the answers, by the word given."""
    words = get_args(By)
    if by not in words:
        raise UsageError(f"There is no --by {by!r}.{did_you_mean(by, words)} Say {_or(words)}.")
    found = Project.open(folder).outcomes(by=cast(By, by), days=days, tenant=tenant)
    output.answer(found, outcomes_table(found, by) if found else _NONE)


def outcomes_table(found: tuple[Outcomes, ...], by: str) -> Table:
    """Outcomes for the terminal: a line a part, each figure with its interval."""
    ranks = by not in ("position", "category")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(by, overflow="fold")
    for name in ("answers" if ranks else "shown", "seen", "click-through", "conversion"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("revenue/1000", justify="right", no_wrap=True)
    for name in ("hr@10", "mrr") if ranks else ():
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        row: list[Any] = [
            Text(each.part),
            numbers.count(each.answers),
            numbers.count(each.impressions),
            _share(each.click_through),
            _share(each.conversion),
            _money(each.revenue_per_thousand),
        ]
        if ranks:
            row += [_figure(each.hr_10), _figure(each.mrr)]
        table.add_row(*row)
    return table


def _share(rate: Rate | None) -> str:
    return _with_interval(rate, lambda share: f"{share:.2%}")


def _money(rate: Rate | None) -> str:
    return _with_interval(rate, lambda sum: f"{sum:,.2f}")


def _figure(rate: Rate | None) -> str:
    return _with_interval(rate, numbers.metric)


def _with_interval(rate: Rate | None, told: Any) -> str:
    if rate is None:
        return numbers.ABSENT
    if rate.low is None or rate.high is None:
        return str(told(rate.value))
    return f"{told(rate.value)} [{told(rate.low)}–{told(rate.high)}]"


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
