"""Comparisons: the winner against the baseline and the champion, in pairs, slice by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wherry.behave.paired import compare
from wherry.behave.slices import Mask, slices
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
    """The winner is no worse than the champion's recipe, on the whole and in every slice.

    A loss blocks when it is larger than the margin and larger than what chance brings about
    somewhere among all that is looked at; see :mod:`wherry.behave.paired`. The champion's
    recipe is fitted anew on the same sessions, so that neither side has seen the test window.
    """
    if subject.champion is None:
        if subject.champion_fault:
            yield Check(
                name="no worse than the champion",
                passed=False,
                severity=Severity.WARN,
                message=f"Nothing was compared with the champion: {subject.champion_fault}",
            )
        return
    masks = {"all": np.ones(len(subject.instances), dtype=np.bool_)}
    masks |= {name: mask for name, mask in slices(subject).items() if mask.any()}
    sizes = {name: _sessions_in(subject, mask) for name, mask in masks.items()}
    # Small slices are a family of their own: they are only shown, and would make the bounds
    # of those that block wider.
    small = {name for name, size in sizes.items() if size < subject.rules.min_slice_sessions}
    small -= {"all"}
    judged = _judge(subject, {name: masks[name] for name in masks if name not in small})
    judged |= _judge(subject, {name: masks[name] for name in masks if name in small})
    yield from (judged[name] for name in masks)


def _judge(subject: Subject, masks: dict[str, Mask]) -> dict[str, Check]:
    """One family of slices, compared at once; a check for each."""
    if not masks or subject.champion is None:
        return {}
    rules = subject.rules
    paired = compare(
        subject.winner.sessions,
        subject.champion.values(subject.metric),
        subject.winner.values(subject.metric),
        np.stack(list(masks.values())),
        seed=subject.seed,
        significance=rules.significance,
    )
    margins = np.array([rules.margin if name == "all" else rules.slice_margin for name in masks])
    return {
        name: _held(subject, name, _Row(*row))
        for name, *row in zip(
            masks,
            margins.tolist(),
            paired.champion.tolist(),
            paired.difference.tolist(),
            paired.allowed(margins).tolist(),
            paired.detectable(margins).tolist(),
            paired.sessions.tolist(),
            strict=True,
        )
    }


class _Row(NamedTuple):
    """One slice of a comparison."""

    margin: float
    champion: float
    difference: float
    allowed: float
    detectable: float
    sessions: int


def _held(subject: Subject, part: str, row: _Row) -> Check:
    is_whole = part == "all"
    passed = row.difference >= -row.allowed
    small = not is_whole and row.sessions < subject.rules.min_slice_sessions
    why = (
        f"{row.margin:.0%} of the champion's"
        if row.allowed <= row.margin * row.champion
        else ("what chance brings about")
    )
    return Check(
        name="no worse than the champion" if is_whole else "no worse in any slice",
        passed=passed,
        figure=row.difference,
        bound=f"≥ −{row.allowed:.4f}",
        slice=part,
        severity=Severity.WARN if small else Severity.BLOCK,
        message=""
        if passed
        else (
            f"On {'the whole' if is_whole else part} the winner's {subject.metric} is "
            f"{row.difference:+.4f} beside the champion's {row.champion:.4f}, over "
            f"{row.sessions:,} sessions; a loss of up to "
            f"{row.allowed:.4f} would pass ({why})."
        ),
        sample=(
            {
                "champion": row.champion,
                "challenger": row.champion + row.difference,
                "sessions": row.sessions,
                "allowed": row.allowed,
                "detectable": row.detectable if math.isfinite(row.detectable) else None,
            },
        ),
    )


def _sessions_in(subject: Subject, mask: Mask) -> int:
    return len(np.unique(subject.winner.sessions[mask]))


def _figures(subject: Subject, other: Evaluation, name: str) -> dict[str, object]:
    metric, seed = subject.metric, subject.seed
    return {
        name: other.estimate(metric, seed=seed).value,
        "challenger": subject.winner.estimate(metric, seed=seed).value,
        "sessions": len(np.unique(other.sessions)),
    }
