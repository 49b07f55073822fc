"""The plot of quality against what it costs: each candidate by its metric and its p99."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
from markupsafe import Markup
from rich.cells import cell_len

from wherry.domain import Estimate
from wherry.report.axis import linear_ticks, log_ticks, place, tick_label
from wherry.report.labels import GAP, Label, Mark, place_labels
from wherry.report.numbers import measured, microseconds
from wherry.report.svg import element, shorten

HEIGHT, AXIS = 216, 40
LEFT, RIGHT = 7.0, 97.0
TOP, BOTTOM = 14.0, float(HEIGHT - AXIS)
_CHARACTER = 7.6
"""The width of a name's character, in points, generously."""

_NEAR = 8.0
"""A name that stands further up or down from its dot than this is led to by a line."""


class Priced(msgspec.Struct, frozen=True):
    """One candidate: its figure, the p99 of one answer in microseconds, and whether a bound of
    the shop's keeps it from winning."""

    name: str
    estimate: Estimate
    p99: float
    is_winner: bool = False
    is_excluded: bool = False


def plot_price(title: str, candidates: Sequence[Priced], *, p99_bound: float = 0.0) -> Markup:
    """Draw candidates over a logarithmic axis of their p99, the better the higher.

    ``p99_bound``, in microseconds, is drawn as a line, and what lies beyond it is shaded: no
    candidate there can win. 0: no bound.
    """
    times = [c.p99 for c in candidates]
    across = log_ticks(min(times), max(times))
    up = linear_ticks(
        min(c.estimate.low for c in candidates), max(c.estimate.high for c in candidates), target=4
    )
    parts = [element("title", f"{title} against p99: {_listed(candidates)}")]
    parts += [_row(tick, up) for tick in up]
    parts += [_column(tick, across) for tick in across]
    parts.append(
        element("text", "p99 of one answer", x=f"{RIGHT}%", y=HEIGHT - 4, class_="tick",
                text_anchor="end")
    )  # fmt: skip
    if p99_bound > 0 and across[0] < p99_bound < across[-1]:
        parts.append(_bound(p99_bound, across))
    labels = _labels(candidates, across, up)
    parts += [_mark(c, across, up, label) for c, label in zip(candidates, labels, strict=True)]
    return element("svg", *parts, class_="plot price", role="img", width="100%", height=HEIGHT)


def _mark(candidate: Priced, across: list[float], up: list[float], label: Label | None) -> Markup:
    e, x = candidate.estimate, _x(candidate.p99, across)
    low, at, high = (_y(v, up) for v in (e.low, e.value, e.high))
    kind = "winner" if candidate.is_winner else "excluded" if candidate.is_excluded else ""
    told = f"{candidate.name}: {measured(e)}, p99 {microseconds(candidate.p99)}"
    return element(
        "g",
        element("title", told + (", excluded" if candidate.is_excluded else "")),
        element("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=low, y2=high, class_="whisker"),
        *(_named(candidate, x, at, label) if label is not None else ()),
        element("circle", cx=f"{x:.2f}%", cy=at, r=5),
        class_=f"dot {kind}".strip(),
    )


def _named(candidate: Priced, x: float, at: float, label: Label) -> Iterator[Markup]:
    """A candidate's name, and a line that leads to it from the dot where it stands apart."""
    side = 1 if label.is_right else -1
    if abs(label.y - at) > _NEAR:
        line = element("line", x1=0, y1=at, x2=side * (GAP - 2), y2=label.y, class_="leader")
        yield element("svg", line, x=f"{x:.2f}%", overflow="visible")
    yield element(
        "text",
        _name(candidate),
        x=f"{x:.2f}%",
        y=label.y + 4,
        dx=side * GAP,
        class_="name",
        text_anchor="start" if label.is_right else "end",
    )


def _name(candidate: Priced) -> str:
    return ("★ " if candidate.is_winner else "") + shorten(candidate.name, 24)


def _labels(
    candidates: Sequence[Priced], across: list[float], up: list[float]
) -> list[Label | None]:
    marks = [
        Mark(
            x=_x(c.p99, across) / 100,
            y=_y(c.estimate.value, up),
            low=_y(c.estimate.low, up),
            high=_y(c.estimate.high, up),
            length=_CHARACTER * cell_len(_name(c)),
        )
        for c in candidates
    ]
    return place_labels(marks, top=0.0, bottom=BOTTOM)


def _bound(p99: float, across: list[float]) -> Markup:
    x = _x(p99, across)
    rest = f"{RIGHT - x:.2f}%"
    return element(
        "g",
        element("title", f"slo: p99 of at most {microseconds(p99)}"),
        element("rect", x=f"{x:.2f}%", y=TOP, width=rest, height=BOTTOM - TOP, class_="beyond"),
        element("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=TOP, y2=BOTTOM, class_="slo"),
        element("text", "slo", x=f"{x:.2f}%", y=TOP - 3, class_="tick", text_anchor="middle"),
    )


def _row(tick: float, up: list[float]) -> Markup:
    y = _y(tick, up)
    return element(
        "g",
        element("line", x1=f"{LEFT}%", x2=f"{RIGHT}%", y1=y, y2=y, class_="grid"),
        element("text", tick_label(tick, up), x=f"{LEFT - 1}%", y=y + 4, class_="tick",
                text_anchor="end"),
    )  # fmt: skip


def _column(tick: float, across: list[float]) -> Markup:
    x = f"{_x(tick, across):.2f}%"
    return element(
        "g",
        element("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="grid"),
        element("text", microseconds(tick), x=x, y=BOTTOM + 16, class_="tick",
                text_anchor="middle"),
    )  # fmt: skip


def _x(value: float, across: list[float]) -> float:
    low, high = math.log(across[0]), math.log(across[-1])
    return LEFT + (RIGHT - LEFT) * place(math.log(max(value, across[0])), low, high)


def _y(value: float, up: list[float]) -> float:
    return BOTTOM - (BOTTOM - TOP) * place(value, up[0], up[-1])


def _listed(candidates: Sequence[Priced]) -> str:
    return ", ".join(
        f"{c.name} {measured(c.estimate)} at {microseconds(c.p99)}" for c in candidates
    )
