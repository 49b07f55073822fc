"""The plot of training: the loss of each epoch, a line for each candidate that is trained so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from markupsafe import Markup

from wherry.domain import Epoch
from wherry.report.axis import linear_ticks, place
from wherry.report.numbers import figure, seconds
from wherry.report.svg import element, shorten

HEIGHT, AXIS = 180, 40
LEFT, RIGHT = 7.0, 80.0
TOP, BOTTOM = 8.0, float(HEIGHT - AXIS)
_ROOM = 14.0


class Curve(msgspec.Struct, frozen=True):
    """A candidate's training, epoch by epoch; one epoch or more."""

    name: str
    epochs: tuple[Epoch, ...]
    is_winner: bool = False


def plot_curves(curves: Sequence[Curve]) -> Markup:
    """Draw the mean loss of each epoch, and say at each line's end how long training took."""
    losses = [epoch.loss for curve in curves for epoch in curve.epochs]
    up = linear_ticks(min(losses), max(losses), target=4)
    last = max(epoch.epoch for curve in curves for epoch in curve.epochs)
    parts = [element("title", f"Loss by epoch: {_listed(curves)}")]
    parts += [_row(tick, up) for tick in up]
    parts += [_number(n, last) for n in range(1, last + 1) if last <= 12 or n % 5 == 0]
    parts.append(element("text", "epoch", x=f"{RIGHT}%", y=HEIGHT - 4, class_="tick",
                         text_anchor="end"))  # fmt: skip
    below = -_ROOM
    for curve in sorted(curves, key=lambda curve: -curve.epochs[-1].loss):
        below = max(_y(curve.epochs[-1].loss, up), below + _ROOM)
        parts.append(_line(curve, up, last, below))
    return element("svg", *parts, class_="plot curves", role="img", width="100%", height=HEIGHT)


def _line(curve: Curve, up: list[float], last: int, name_at: float) -> Markup:
    points = [(_x(e.epoch, last), _y(e.loss, up)) for e in curve.epochs]
    segments = [
        element("line", x1=f"{x1:.2f}%", y1=y1, x2=f"{x2:.2f}%", y2=y2, class_="whisker")
        for (x1, y1), (x2, y2) in pairwise(points)
    ]
    took = seconds(curve.epochs[-1].seconds)
    return element(
        "g",
        element("title", _told(curve)),
        *segments,
        *(element("circle", cx=f"{x:.2f}%", cy=y, r=3) for x, y in points),
        element("text", shorten(curve.name, 20), element("tspan", f" · {took}", class_="took"),
                x=f"{points[-1][0] + 1.5:.2f}%", y=name_at + 4, class_="name"),
        class_="dot winner" if curve.is_winner else "dot",
    )  # fmt: skip


def _row(tick: float, up: list[float]) -> Markup:
    y = _y(tick, up)
    return element(
        "g",
        element("line", x1=f"{LEFT}%", x2=f"{RIGHT}%", y1=y, y2=y, class_="grid"),
        element("text", figure(tick), x=f"{LEFT - 1}%", y=y + 4, class_="tick", text_anchor="end"),
    )


def _number(epoch: int, last: int) -> Markup:
    return element("text", str(epoch), x=f"{_x(epoch, last):.2f}%", y=BOTTOM + 16, class_="tick",
                   text_anchor="middle")  # fmt: skip


def _x(epoch: int, last: int) -> float:
    return LEFT + 2 + (RIGHT - LEFT - 2) * place(epoch, 1, max(last, 2))


def _y(loss: float, up: list[float]) -> float:
    return BOTTOM - (BOTTOM - TOP) * place(loss, up[0], up[-1])


def _told(curve: Curve) -> str:
    losses = " ".join(figure(epoch.loss) for epoch in curve.epochs)
    return f"{curve.name}: {losses}, {seconds(curve.epochs[-1].seconds)}"


def _listed(curves: Sequence[Curve]) -> str:
    return "; ".join(_told(curve) for curve in curves)
