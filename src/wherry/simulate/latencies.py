"""How long answers took: percentiles of any number of them, in bounded memory."""

from __future__ import annotations

import math

import msgspec

_STEP = math.log(1.01)
_BUCKETS = int(math.log(3.6e9) / _STEP) + 2


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long ``count`` answers took, in milliseconds, to within one per cent."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Latencies:
    """Counts durations in buckets that each are one per cent wider, up to an hour.

    >>> taken = Latencies()
    >>> for milliseconds in range(1, 101):
    ...     taken.add(milliseconds / 1e3)
    >>> round(taken.summary().p90)
    90
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._count = 0
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        microseconds = seconds * 1e6
        place = int(math.log(microseconds) / _STEP) + 1 if microseconds > 1 else 0
        self._counts[min(place, _BUCKETS - 1)] += 1
        self._count += 1
        self._longest = max(self._longest, seconds)

    def summary(self) -> Latency:
        """The percentiles of what was counted so far; all 0 if nothing was."""
        return Latency(
            count=self._count,
            p50=self._quantile(0.5),
            p90=self._quantile(0.9),
            p99=self._quantile(0.99),
            p999=self._quantile(0.999),
            max=round(self._longest * 1e3, 3),
        )

    def _quantile(self, share: float) -> float:
        """Milliseconds that this share of the durations did not exceed (nearest rank)."""
        wanted, seen = math.ceil(share * self._count), 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return round(min(math.exp((place - 0.5) * _STEP) / 1e3, self._longest * 1e3), 3)
        return 0.0
