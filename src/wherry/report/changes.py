"""What has changed since the last release: model, parameters, data, code, packages, figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from wherry.domain import Candidate, Release, RunRecord, TenantRun
from wherry.report import numbers
from wherry.report.leaderboard import PREFERRED

Facts = Mapping[str, int | float | str]

ABSENT = "–"


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """The release before, and the facts of the data that it was made from, where still known."""

    release: Release
    facts: dict[str, int | float | str] = {}


class Change(msgspec.Struct, frozen=True):
    """One thing that is not as it was, in words; ``share`` is the relative change of a number."""

    kind: str
    name: str
    before: str
    after: str
    share: float | None = None


def changes(
    previous: Previous, record: RunRecord, run: TenantRun, winner: Candidate | None
) -> tuple[Change, ...]:
    """What the winner of a run would bring that the release before did not have.

    Figures are each of its own test window, so they move with the data as well.
    """
    return tuple(_changes(previous, record, run, winner))


def _changes(
    previous: Previous, record: RunRecord, run: TenantRun, winner: Candidate | None
) -> Iterator[Change]:
    before = previous.release
    if winner is not None:
        yield from _words("model", {"model": before.model}, {"model": winner.model})
        own, new = {**before.params, "seed": before.seed}, {**winner.params, "seed": winner.seed}
        if before.model == winner.model:
            yield from _words("parameter", own, new)
        for name in PREFERRED:
            if name in before.metrics and name in winner.metrics:
                old, now = before.metrics[name], winner.metrics[name]
                yield Change(
                    "figure",
                    name,
                    numbers.measured(old),
                    numbers.measured(now),
                    numbers.change(old.value, now.value),
                )
    if run.snapshot is not None:
        yield from _words("data", {"snapshot": before.snapshot}, {"snapshot": run.snapshot})
    yield from _facts(previous.facts, run.facts)
    yield from _words("code", {"code": before.code}, {"code": record.code})
    yield from _words("package", before.packages, record.packages)


def _facts(before: Facts, after: Facts) -> Iterator[Change]:
    for name in after:
        old, new = before.get(name), after[name]
        if old is None or old == new:
            continue
        is_number = not isinstance(old, str) and not isinstance(new, str)
        share = numbers.change(float(old), float(new)) if is_number else None
        yield Change(
            "data", numbers.words(name), numbers.fact(name, old), numbers.fact(name, new), share
        )


def _words(
    kind: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Change(kind, name, _told(old), _told(new))


def _told(value: object) -> str:
    return ABSENT if value is None else str(value)
