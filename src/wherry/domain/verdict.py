"""What an audit of data and a test of behaviour both return: named checks and a verdict."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.domain.ids import TenantId


class Severity(StrEnum):
    """Whether a failed check blocks what comes next, or is only shown."""

    BLOCK = "block"
    WARN = "warn"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One named check: the figure that was found, held against its bound.

    ``slice`` names the part of the data that the figure is of (``all`` is the whole);
    ``sample`` holds a few offending rows, and ``sql`` finds all of them.
    """

    name: str
    passed: bool
    figure: float | None = None
    bound: str = ""
    slice: str = "all"
    severity: Severity = Severity.BLOCK
    message: str = ""
    sample: tuple[dict[str, object], ...] = ()
    sql: str = ""

    @property
    def is_blocking(self) -> bool:
        """Whether this check stands in the way."""
        return not self.passed and self.severity is Severity.BLOCK


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one subject (``audit`` or ``behave``) for one tenant."""

    subject: str
    tenant: TenantId
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way."""
        return not any(check.is_blocking for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that stand in the way."""
        return tuple(check for check in self.checks if check.is_blocking)
