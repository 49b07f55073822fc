"""Figures as people read them: 1,469,307; 3.2 s; .312 ± .004; 2026-11-24 09:30 UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from wherry.domain import Estimate

ABSENT = "–"
"""What stands where there is no figure."""


def count(number: int) -> str:
    """A whole number with separators.

    >>> count(1469307)
    '1,469,307'
    """
    return f"{number:,}".replace("-", "−")


def seconds(duration: float) -> str:
    """A duration in the largest unit that keeps it readable; none is ``–``.

    >>> [seconds(s) for s in (0, 0.00004, 0.032, 3.21, 59.97, 252, 3900)]
    ['–', '40 µs', '32 ms', '3.2 s', '1 min 00 s', '4 min 12 s', '1 h 05 min']
    """
    if not math.isfinite(duration) or duration <= 0:
        return ABSENT
    if duration < 0.0009995:
        return f"{duration * 1e6:.0f} µs"
    if duration < 0.9995:
        return f"{duration * 1e3:.0f} ms"
    if duration < 59.95:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def microseconds(duration: float) -> str:
    """A duration given in microseconds, as :func:`seconds` writes it.

    >>> microseconds(104.2), microseconds(0)
    ('104 µs', '–')
    """
    return seconds(duration / 1e6)


def size(n_bytes: int) -> str:
    """A size in decimal units.

    >>> [size(n) for n in (0, 812, 1_200_000)]
    ['–', '812 B', '1.2 MB']
    """
    if n_bytes <= 0:
        return ABSENT
    scaled, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB"]
    while scaled >= 999.95 and len(units) > 1:
        scaled, units = scaled / 1000, units[1:]
    return f"{scaled:.0f} B" if units[0] == "B" else f"{scaled:.1f} {units[0]}"


def metric(value: float) -> str:
    """A metric to three decimals; a share loses its leading zero.

    >>> metric(0.31249), metric(1.0), metric(-0.02)
    ('.312', '1.000', '−.020')
    """
    if not math.isfinite(value):
        return ABSENT
    text = f"{abs(value):.3f}"
    sign = "−" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0" if abs(value) < 1 else "")


def margin(estimate: Estimate) -> str:
    """Half the width of an estimate's interval.

    >>> margin(Estimate(0.312, 0.308, 0.316))
    '.004'
    """
    return metric((estimate.high - estimate.low) / 2)


def measured(estimate: Estimate) -> str:
    """An estimate with its interval.

    >>> measured(Estimate(0.312, 0.308, 0.316))
    '.312 ± .004'
    """
    return f"{metric(estimate.value)} ± {margin(estimate)}"


def figure(value: float | None) -> str:
    """A figure of unknown kind: whole numbers whole, others to three significant digits.

    >>> [figure(x) for x in (1469307.0, 4.8213, 0.00312, 52.75, None)]
    ['1,469,307', '4.82', '0.00312', '52.8', '–']
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == round(value) or abs(value) >= 1000:
        return count(round(value))
    return f"{value:.3g}".replace("-", "−")


def change(before: float | None, after: float | None) -> float | None:
    """The relative change from one figure to another; None where it has no meaning.

    >>> change(0.20, 0.25), change(0.0, 0.1), change(None, 0.1)
    (0.25, None, None)
    """
    if before is None or after is None or not before > 0 or not math.isfinite(after / before):
        return None
    return after / before - 1


def percent(share: float | None) -> str:
    """A relative change, signed.

    >>> percent(0.0234), percent(-0.1), percent(0.0001), percent(None)
    ('+2.3%', '−10.0%', '±0.0%', '–')
    """
    if share is None:
        return ABSENT
    text = f"{abs(share) * 100:.1f}%"
    sign = "±" if text == "0.0%" else "+" if share > 0 else "−"
    return sign + text


def moment(time: datetime) -> str:
    """A time to the minute, in UTC; a time without a zone is UTC already.

    >>> moment(datetime(2026, 11, 24, 9, 30))
    '2026-11-24 09:30 UTC'
    """
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def fact(key: str, value: object) -> str:
    """A fact about the data: its key says the unit of a number (``…_share``, ``…_seconds``).

    >>> fact("events", 1469307), fact("rejected_share", 0.0021), fact("last_day", "2026-11-23")
    ('1,469,307', '0.21%', '2026-11-23')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if key.endswith("_share"):
        return f"{figure(value * 100)}%"
    if key.endswith("_seconds"):
        return seconds(value)
    return figure(value)


def words(key: str) -> str:
    """A key as words.

    >>> words("first_day")
    'first day'
    """
    return key.replace("_", " ")
