"""The behavioural tests before a release: named checks, each with a bound in the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherry.behave.answers import (
    answers_in_time,
    covers_catalogue,
    hides_what_was_bought,
    ignores_unknown_items,
    repeats_itself,
    shows_only_what_can_be_bought,
)
from wherry.behave.character import has_character
from wherry.behave.comparison import beats_baseline, holds_against_champion
from wherry.behave.own import OwnCheck, run_own_check
from wherry.behave.perturbation import stays_itself
from wherry.behave.subject import Subject
from wherry.domain import Check, Verdict


def nothing_leaks(subject: Subject) -> Iterator[Check]:
    """Nothing that is asked about could have been known to what was fitted."""
    yield from subject.leaks


CHECKS = (
    nothing_leaks,
    beats_baseline,
    holds_against_champion,
    covers_catalogue,
    shows_only_what_can_be_bought,
    hides_what_was_bought,
    ignores_unknown_items,
    repeats_itself,
    answers_in_time,
    has_character,
    stays_itself,
)
"""The packaged checks; the docstring of each is its law."""


def behave(subject: Subject, own: Mapping[str, OwnCheck]) -> Verdict:
    """Put a subject through every check, the packaged ones and the shop's own."""
    checks = [found for check in CHECKS for found in check(subject)]
    for name, own_check in own.items():
        checks += run_own_check(name, own_check, subject)
    return Verdict(subject="behave", tenant=subject.tenant, checks=tuple(checks))
