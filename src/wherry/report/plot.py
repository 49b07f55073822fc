"""The card's plots: estimates with their intervals, and where the time went.

Positions along x are per cent of the drawing's width, so that a plot fits a phone and a
wide page alike while its letters keep their size.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from wherry.domain import Estimate
from wherry.report.axis import linear_ticks, place, tick_label
from wherry.report.numbers import measured, metric, seconds
from wherry.report.svg import element, shorten

ROW, AXIS = 27, 24
LEFT, SPAN = 28.0, 43.0
BAR, PART = 26, 22


class Dot(msgspec.Struct, frozen=True):
    """One line of an interval plot; ``is_winner`` is drawn full."""

    name: str
    estimate: Estimate
    is_winner: bool = False


class Bar(msgspec.Struct, frozen=True):
    """One bar: how long something took; a part of it is set in below."""

    name: str
    seconds: float
    is_part: bool = False


def plot_intervals(title: str, dots: Sequence[Dot], *, baseline: str = "") -> Markup:
    """Draw dots with whiskers, one row each, over one axis.

    The interval of the dot named ``baseline`` is drawn through all rows as a band with a
    line, so that what clears it is seen at once.
    """
    ticks = linear_ticks(
        min(d.estimate.low for d in dots), max(d.estimate.high for d in dots), target=5
    )
    height = ROW * len(dots) + AXIS
    parts = [element("title", f"{title} with 95% intervals: {_listed(dots)}")]
    parts += [_tick(tick, ticks, height - AXIS) for tick in ticks]
    parts += [_band(d.estimate, ticks, height - AXIS) for d in dots if d.name == baseline]
    parts += [_dot(d, ticks, n * ROW) for n, d in enumerate(dots)]
    return element("svg", *parts, class_="plot", role="img", width="100%", height=height)


def plot_seconds(title: str, bars: Sequence[Bar]) -> Markup:
    """Draw durations as bars from zero, the longest one over the full width."""
    longest = max((bar.seconds for bar in bars), default=0.0) or 1.0
    listed = ", ".join(f"{bar.name} {seconds(bar.seconds)}" for bar in bars)
    parts, y = [element("title", f"{title}: {listed}")], 0
    for bar in bars:
        parts.append(_bar(bar, 100 * bar.seconds / longest, y))
        y += PART if bar.is_part else BAR
    return element("svg", *parts, class_="bars", role="img", width="100%", height=y)


def _dot(dot: Dot, ticks: list[float], y: float) -> Markup:
    e, line = dot.estimate, y + ROW / 2
    low, at, high = (_percent(v, ticks) for v in (e.low, e.value, e.high))
    name = ("★ " if dot.is_winner else "") + shorten(dot.name, 40)
    text = element("text", name, x="0", y=ROW / 2 + 4, class_="name")
    return element(
        "g",
        element("title", f"{dot.name}: {metric(e.value)} [{metric(e.low)}, {metric(e.high)}]"),
        element("svg", text, y=y, width=f"{LEFT - 2}%", height=ROW, class_="clip"),
        element("text", measured(e), x="100%", y=line + 4, class_="value", text_anchor="end"),
        element("line", x1=low, x2=high, y1=line, y2=line, class_="whisker"),
        *(
            element("line", x1=end, x2=end, y1=line - 4, y2=line + 4, class_="whisker")
            for end in (low, high)
        ),
        element("circle", cx=at, cy=line, r=4.5),
        class_="dot winner" if dot.is_winner else "dot",
    )


def _band(e: Estimate, ticks: list[float], height: float) -> Markup:
    low, at, high = (_position(v, ticks) for v in (e.low, e.value, e.high))
    width = f"{max(high - low, 0.1):.2f}%"
    return element(
        "g",
        element("rect", x=f"{low:.2f}%", y=0, width=width, height=height, class_="band"),
        element("line", x1=f"{at:.2f}%", x2=f"{at:.2f}%", y1=0, y2=height, class_="baseline"),
    )


def _tick(tick: float, ticks: list[float], height: float) -> Markup:
    x = _percent(tick, ticks)
    return element(
        "g",
        element("line", x1=x, x2=x, y1=0, y2=height, class_="grid"),
        element(
            "text", tick_label(tick, ticks), x=x, y=height + 16, class_="tick", text_anchor="middle"
        ),
    )


def _bar(bar: Bar, share: float, y: float) -> Markup:
    inset = "1.5%" if bar.is_part else "0"
    length = f"{max(share, 0.15):.2f}%"
    drawn = element("rect", x=0, y=0, width=length, height=10, rx=2)
    took = seconds(bar.seconds)
    return element(
        "g",
        element("text", shorten(bar.name, 40), x=inset, y=y + 16, class_="name"),
        element("svg", drawn, x="38%", y=y + 7, width="48%", height=10),
        element("text", took, x="100%", y=y + 16, class_="value", text_anchor="end"),
        class_="bar part" if bar.is_part else "bar",
    )


def _position(value: float, ticks: list[float]) -> float:
    """Where a value stands, in per cent: names have their place to its left, values right."""
    return LEFT + SPAN * place(value, ticks[0], ticks[-1])


def _percent(value: float, ticks: list[float]) -> str:
    return f"{_position(value, ticks):.2f}%"


def _listed(dots: Sequence[Dot]) -> str:
    return ", ".join(f"{d.name} {measured(d.estimate)}" for d in dots)
