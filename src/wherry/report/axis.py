"""Axes of the card's plots: round numbers that hold what is drawn, and places between them."""

from __future__ import annotations

import math

from wherry.report.numbers import metric

_LEAST = 1e-12
"""Figures nearer to each other than this, relatively, are one."""


def linear_ticks(low: float, high: float, *, target: int) -> list[float]:
    """Round numbers from just below ``low`` to just above ``high``, about ``target`` steps.

    >>> linear_ticks(0.012, 0.33, target=4)
    [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]
    """
    span = high - low if high - low > _LEAST * max(abs(high), 1.0) else abs(high)
    span = span if span > _LEAST else 1.0
    power = 10.0 ** math.floor(math.log10(span / target))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= span / target * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from just below ``low`` to just above ``high``, both above 0.

    >>> log_ticks(4.1, 310)
    [1.0, 10.0, 100.0, 1000.0]
    """
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    return [10.0**n for n in range(first, max(last, first + 1) + 1)]


def place(value: float, low: float, high: float) -> float:
    """Where a value stands between two others, as a share."""
    return (value - low) / (high - low)


def tick_label(tick: float, ticks: list[float]) -> str:
    """A tick as a metric, with as many decimals as its neighbours need.

    >>> tick_label(0.2, [0.1, 0.2])
    '.20'
    """
    return metric(tick) if ticks[1] - ticks[0] < 0.01 else metric(tick)[:-1]
