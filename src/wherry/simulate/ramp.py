"""A ramp: which rate to try next, to find the highest that a server keeps up with."""

from __future__ import annotations

FIRST_RATE = 100.0
"""Where a ramp begins, a second."""
DOUBLINGS = 9
HALVINGS = 3
MOST_STEPS = DOUBLINGS + 1 + HALVINGS
"""How many rates are tried at the most."""


class Ramp:
    """Doubles the rate until one fails, then halves the way between the best and the worst.

    >>> ramp = Ramp()
    >>> while (rate := ramp.next()) is not None:
    ...     ramp.tell(rate, passed=rate <= 1000)
    >>> ramp.best
    1000.0
    """

    def __init__(self, first: float = FIRST_RATE) -> None:
        self._next: float | None = first
        self._failed: float | None = None
        self._steps = 0
        self._halvings = 0
        self.best: float | None = None
        """The highest rate that passed."""

    def next(self) -> float | None:
        """The rate to try now; None at the end."""
        return self._next

    def tell(self, rate: float, *, passed: bool) -> None:
        """Say how it went at a rate."""
        self._steps += 1
        if passed:
            self.best = max(self.best or 0.0, rate)
        else:
            self._failed = rate if self._failed is None else min(self._failed, rate)
        self._next = self._following()

    def _following(self) -> float | None:
        if self.best is None:
            return None  # not even the first rate: there is nothing below it to look for
        if self._failed is None:
            return self.best * 2 if self._steps <= DOUBLINGS else None
        if self._halvings == HALVINGS:
            return None
        self._halvings += 1
        return (self.best + self._failed) / 2
