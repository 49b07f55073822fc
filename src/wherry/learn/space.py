"""The ranges in which a model's parameters may be searched."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Value = int | float | str | bool


class Range(msgspec.Struct, frozen=True):
    """The values that a parameter may take, both ends included: whole numbers if both ends are.

    With ``log`` the logarithm is searched evenly, for values that span orders of magnitude.

    >>> Range(1, 4).is_whole, Range(0.5, 4).is_whole
    (True, False)
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Space = Mapping[str, Range | tuple[Value, ...]]
"""What may be searched: a range, or a few values to choose from, by the parameter's name."""
