"""The behaviour table: a challenger's figures beside the champion's, slice by slice."""

from __future__ import annotations

import math

import msgspec

from wherry.domain import Check, Verdict
from wherry.report.numbers import change

REFERENCES = ("champion", "baseline")
"""What a challenger is held against; the key of a sample row that carries its figure."""

HEAT_STEPS = (0.005, 0.03, 0.1)
"""From which relative change on a cell is tinted faintly, plainly, strongly."""


class SliceRow(msgspec.Struct, frozen=True):
    """One slice: ``slice`` within its ``dimension`` (``weekday: Mon``), with both figures.

    ``heat`` runs from -3 (much worse) to 3 (much better). ``is_sure`` says that the change is
    larger than what is let pass as margin or chance; ``detectable`` is the relative loss that
    would be caught nine times in ten.
    """

    dimension: str
    slice: str
    reference: float | None
    challenger: float | None
    change: float | None
    heat: int
    sessions: int | None
    is_sure: bool
    detectable: float | None
    check: Check


class SliceTable(msgspec.Struct, frozen=True):
    """All slices of one check; ``reference`` says whose figures the first column holds."""

    name: str
    reference: str
    rows: tuple[SliceRow, ...]

    @property
    def dimensions(self) -> dict[str, tuple[SliceRow, ...]]:
        """The rows by their dimension, in order; a row of the whole has the dimension ""."""
        names = dict.fromkeys(row.dimension for row in self.rows)
        return {name: tuple(r for r in self.rows if r.dimension == name) for name in names}


def is_comparison(check: Check) -> bool:
    """Whether a check holds a challenger against the champion or the baseline.

    Such a check carries both figures in the first row of its sample:
    ``{"champion": 0.29, "challenger": 0.31, "sessions": 812}``.
    """
    return bool(check.sample) and "challenger" in check.sample[0]


def slice_tables(verdict: Verdict) -> tuple[SliceTable, ...]:
    """The comparisons of a verdict, one table for each check's name, in the verdict's order."""
    by_name: dict[str, list[Check]] = {}
    for check in verdict.checks:
        if is_comparison(check):
            by_name.setdefault(check.name, []).append(check)
    return tuple(
        SliceTable(name, _reference(checks), _rows(checks)) for name, checks in by_name.items()
    )


def _rows(checks: list[Check]) -> tuple[SliceRow, ...]:
    rows = [_row(check) for check in checks]
    first_seen = {d: n for n, d in reversed(list(enumerate(row.dimension for row in rows)))}
    return tuple(sorted(rows, key=lambda row: first_seen[row.dimension]))


def _row(check: Check) -> SliceRow:
    sample = check.sample[0]
    dimension, separator, part = check.slice.partition(":")
    before = next((_number(sample[key]) for key in REFERENCES if key in sample), None)
    after = _number(sample["challenger"])
    moved = change(before, after)
    sessions = _number(sample.get("sessions"))
    allowed = _number(sample.get("allowed"))
    moves = before is not None and after is not None and allowed is not None
    return SliceRow(
        dimension=dimension.strip() if separator else "",
        slice=part.strip() if separator else check.slice,
        reference=before,
        challenger=after,
        change=moved,
        heat=_heat(moved),
        sessions=None if sessions is None else round(sessions),
        is_sure=not moves or abs((after or 0.0) - (before or 0.0)) > (allowed or 0.0),
        detectable=_number(sample.get("detectable")),
        check=check,
    )


def _reference(checks: list[Check]) -> str:
    keys = {key for check in checks for key in check.sample[0]}
    return next((key for key in REFERENCES if key in keys), REFERENCES[0])


def _heat(moved: float | None) -> int:
    if moved is None:
        return 0
    steps = sum(abs(moved) >= step for step in HEAT_STEPS)
    return steps if moved > 0 else -steps


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
