"""The table of character: what the winner shows, beside the champion, with the bounds if any."""

from __future__ import annotations

import msgspec

from wherry.domain import Check, Verdict

MARK = "winner"
"""The key in the first row of a check's sample that says that it is a figure of character."""


class Trait(msgspec.Struct, frozen=True):
    """One figure beside the champion's, where that is known."""

    check: Check
    champion: float | None


def is_character(check: Check) -> bool:
    """Whether a check is a figure of character: ``{"winner": 0.4, "champion": 0.5}``."""
    return bool(check.sample) and MARK in check.sample[0]


def traits(verdict: Verdict) -> tuple[Trait, ...]:
    """The figures of character of a verdict, in its order, without those that can't be told."""
    found = []
    for check in verdict.checks:
        if is_character(check) and check.figure is not None:
            champion = check.sample[0].get("champion")
            is_number = isinstance(champion, int | float) and not isinstance(champion, bool)
            found.append(Trait(check, float(champion) if is_number else None))  # type: ignore[arg-type]
    return tuple(found)
