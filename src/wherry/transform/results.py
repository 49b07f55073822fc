"""What dbt reported: models with their seconds, and tests with the rows that they found."""

from __future__ import annotations

import msgspec

from wherry.domain import Severity


class ModelRun(msgspec.Struct, frozen=True):
    """One model that was built, and the seconds that it took."""

    name: str
    seconds: float


class DataTest(msgspec.Struct, frozen=True, kw_only=True):
    """One dbt test. ``sql`` finds the offending rows; ``error`` says why it could not be run."""

    name: str
    model: str
    severity: Severity
    passed: bool
    failures: int
    sql: str
    error: str = ""
