"""The plot of quality against what it costs: each candidate by its metric and its p99."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from wherry.domain import Estimate
from wherry.report.axis import linear_ticks, log_ticks, place, tick_label
from wherry.report.numbers import measured, microseconds
from wherry.report.svg import element, shorten

HEIGHT, AXIS = 216, 40
LEFT, RIGHT = 7.0, 97.0
TOP, BOTTOM = 14.0, float(HEIGHT - AXIS)
_ROOM = 14.0
"""How far apart, in points, the names of two candidates stand at least."""


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
    names = _names(candidates, up)
    parts += [_mark(c, across, up, at) for c, at in zip(candidates, names, strict=True)]
    return element("svg", *parts, class_="plot price", role="img", width="100%", height=HEIGHT)


def _mark(candidate: Priced, across: list[float], up: list[float], name_at: float) -> Markup:
    e, x = candidate.estimate, _x(candidate.p99, across)
    low, at, high = (_y(v, up) for v in (e.low, e.value, e.high))
    is_right = x > (LEFT + RIGHT) / 2
    kind = "winner" if candidate.is_winner else "excluded" if candidate.is_excluded else ""
    told = f"{candidate.name}: {measured(e)}, p99 {microseconds(candidate.p99)}"
    return element(
        "g",
        element("title", told + (", excluded" if candidate.is_excluded else "")),
        element("line", x1=f"{x:.2f}%", x2=f"{x:.2f}%", y1=low, y2=high, class_="whisker"),
        element("circle", cx=f"{x:.2f}%", cy=at, r=5),
        element(
            "text",
            ("★ " if candidate.is_winner else "") + shorten(candidate.name, 24),
            x=f"{x:.2f}%",
            y=name_at + 4,
            dx=-11 if is_right else 11,
            class_="name",
            text_anchor="end" if is_right else "start",
        ),
        class_=f"dot {kind}".strip(),
    )


def _names(candidates: Sequence[Priced], up: list[float]) -> list[float]:
    """Where the names stand: beside their dots, moved down where two could touch."""
    at = [_y(c.estimate.value, up) for c in candidates]
    last = -math.inf
    for n in sorted(range(len(at)), key=at.__getitem__):
        at[n] = last = max(at[n], last + _ROOM)
    return at


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
