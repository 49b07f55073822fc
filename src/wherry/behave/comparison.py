"""Comparisons: the winner against the baseline and the champion, in pairs, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wherry.behave.slices import slices
from wherry.behave.subject import Subject
from wherry.domain import Check, Severity
from wherry.learn.metrics import Evaluation


def beats_baseline(subject: Subject) -> Iterator[Check]:
    """The winner is better than the baseline: the interval of the difference is above 0."""
    if subject.baseline is None:
        yield Check(
            name="beats the baseline",
            passed=False,
            bound="> 0 with its interval",
            message=f"The baseline {subject.rules.baseline!r} could not be fitted, so nothing "
            "shows that the winner is worth releasing. See the leaderboard for what went wrong.",
        )
        return
    difference = subject.winner.difference(subject.baseline, subject.metric, seed=subject.seed)
    passed = difference.low > 0
    yield Check(
        name="beats the baseline",
        passed=passed,
        figure=difference.value,
        bound=f"> 0 with its interval, {subject.metric}",
        message=""
        if passed
        else (
            f"The winner's {subject.metric} is {difference.value:+.4f} (from {difference.low:+.4f} "
            f"to {difference.high:+.4f}) beside {subject.rules.baseline!r}. A model that can't "
            "beat it is not worth releasing: look at the data first."
        ),
        sample=(_figures(subject, subject.baseline, "baseline"),),
    )


def holds_against_champion(subject: Subject) -> Iterator[Check]:
    """The winner is no worse than the champion's recipe, beyond a margin, whole or in a slice.

    A loss counts when it is larger than the margin and its interval lies below 0. The
    champion's recipe is fitted anew on the same sessions, so that neither side has seen the
    test window.
    """
    if subject.champion is None:
        if subject.champion_fault:
            yield Check(
                name="no worse than the champion",
                passed=False,
                severity=Severity.WARN,
                message="The champion's recipe can't be fitted any more, so nothing was compared "
                f"with it: {subject.champion_fault}",
            )
        return
    yield _held(subject, "no worse than the champion", "all", None, subject.rules.margin)
    for name, mask in slices(subject).items():
        if mask.any():
            yield _held(subject, "no worse in any slice", name, mask, subject.rules.slice_margin)


def _held(subject: Subject, name: str, part: str, mask: np.ndarray | None, margin: float) -> Check:
    assert subject.champion is not None
    winner, champion = subject.winner, subject.champion
    if mask is not None:
        winner, champion = winner.restrict(mask), champion.restrict(mask)
    before = champion.estimate(subject.metric, seed=subject.seed).value
    difference = winner.difference(champion, subject.metric, seed=subject.seed)
    passed = not (difference.value < -margin * before and difference.high < 0)
    sessions = len(np.unique(winner.sessions))
    small = mask is not None and sessions < subject.rules.min_slice_sessions
    return Check(
        name=name,
        passed=passed,
        figure=difference.value,
        bound=f"≥ {-margin * before:.4f} ({margin:.0%} of the champion's {subject.metric})",
        slice=part,
        severity=Severity.WARN if small else Severity.BLOCK,
        message=""
        if passed
        else (
            f"On {part} the winner's {subject.metric} is {difference.value:+.4f} "
            f"({difference.low:+.4f} to {difference.high:+.4f}) beside the champion's {before:.4f}."
        ),
        sample=(
            {
                "champion": before,
                "challenger": before + difference.value,
                "sessions": sessions,
            },
        ),
    )


def _figures(subject: Subject, other: Evaluation, name: str) -> dict[str, object]:
    metric, seed = subject.metric, subject.seed
    return {
        name: other.estimate(metric, seed=seed).value,
        "challenger": subject.winner.estimate(metric, seed=seed).value,
        "sessions": len(np.unique(other.sessions)),
    }
