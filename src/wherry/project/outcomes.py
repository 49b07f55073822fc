"""Outcomes as people read them: a line for each part, each figure with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wherry.report import OutcomeLines, numbers
from wherry.watch import By, Outcomes, Rate

_BY_ITEM = ("position", "category")


def outcome_lines(found: Iterable[Outcomes], by: By) -> OutcomeLines:
    """Outcomes as a table; where items are counted there are no ranks to tell."""
    has_ranks = by not in _BY_ITEM
    ranks = ("hr@10", "mrr") if has_ranks else ()
    counted = "answers" if has_ranks else "shown"
    headings = (by, counted, "seen", "click-through", "conversion", "revenue/1000", *ranks)
    return OutcomeLines(headings, tuple(_line(each, has_ranks) for each in found))


def _line(each: Outcomes, has_ranks: bool) -> tuple[str, ...]:
    told = (
        each.part,
        numbers.count(each.answers),
        numbers.count(each.impressions),
        _with_interval(each.click_through, lambda share: f"{share:.2%}"),
        _with_interval(each.conversion, lambda share: f"{share:.2%}"),
        _with_interval(each.revenue_per_thousand, lambda sum: f"{sum:,.2f}"),
    )
    if not has_ranks:
        return told
    ranks = (each.hr_10, each.mrr)
    return (*told, *(_with_interval(rank, numbers.metric) for rank in ranks))


def _with_interval(rate: Rate | None, told: Callable[[float], str]) -> str:
    if rate is None:
        return numbers.ABSENT
    if rate.low is None or rate.high is None:
        return told(rate.value)
    return f"{told(rate.value)} [{told(rate.low)}–{told(rate.high)}]"
