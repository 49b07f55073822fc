"""The guard's judgement: whether a release that is tried may go on being tried.

Three things are held against a release: its click-through, its errors and its p99. They share one
chance of stopping a release that is just as good, and so do the phases of a rollout.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wherry.domain import Rollout
from wherry.watch.evidence import Parts
from wherry.watch.sequential import Comparison, compare, evidence_above

CLICKS, ERRORS, SLOW = 0.6, 0.2, 0.2
"""How the chance of a false stop is parted between click-through, errors and p99."""

FIRST_PHASE = 0.7
"""How much of it the first phase of a rollout has; all later phases together have the rest."""


class Ruling(StrEnum):
    """What the guard makes of it."""

    GO_ON = "go on"
    STOP = "stop"
    BETTER = "better"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """When a release is stopped; see ``[release]`` in the settings."""

    margin: float = 0.0
    max_error_share: float = 0.01
    max_p99_ms: float = 50.0
    false_stops: float = 0.05
    effect: float = 0.2


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was found by now; ``clicks`` and ``slow`` compare shares of answers.

    ``error_evidence`` is an e-value; the release is stopped once it reaches ``error_limit``.
    ``why`` says in a sentence what the ruling rests on.
    """

    ruling: Ruling
    why: str
    challenger_visitors: int
    champion_visitors: int
    challenger_answers: int
    champion_answers: int
    clicks: Comparison | None
    slow: Comparison
    challenger_p99_ms: float
    champion_p99_ms: float
    failed_visitors: int
    errors: int
    error_evidence: float
    error_limit: float
    failures: dict[str, int] = {}

    @property
    def figures(self) -> dict[str, float]:
        """The figures for the log of decisions."""
        found = {
            "challenger_visitors": float(self.challenger_visitors),
            "champion_visitors": float(self.champion_visitors),
            "challenger_answers": float(self.challenger_answers),
            "champion_answers": float(self.champion_answers),
            "challenger_p99_ms": self.challenger_p99_ms,
            "champion_p99_ms": self.champion_p99_ms,
            "failed_visitors": float(self.failed_visitors),
            "errors": float(self.errors),
        }
        if self.clicks is not None and self.clicks.says_anything:
            found |= {
                "challenger_click_through": self.clicks.challenger,
                "champion_click_through": self.clicks.champion,
                "difference": self.clicks.difference,
                "low": self.clicks.low,
                "high": self.clicks.high,
            }
        return found


def chance(false_stops: float, phase: int) -> float:
    """The part of the chance of a false stop that a phase has; all phases together have it all.

    >>> chance(0.05, 1)
    0.035
    >>> round(sum(chance(0.05, phase) for phase in range(1, 2000)), 4)
    0.05
    """
    if phase == 1:
        return false_stops * FIRST_PHASE
    return false_stops * (1 - FIRST_PHASE) / ((phase - 1) * phase)


def judge(parts: Parts, rollout: Rollout, bounds: Bounds) -> Judgement:
    """Judge a release by the evidence of the present phase."""
    tried, champion = parts.challenger, parts.champion
    alpha = chance(bounds.false_stops, rollout.phase)
    clicks = None
    if rollout.is_shown:
        clicks = compare(tried.clicks, champion.clicks, alpha=alpha * CLICKS, effect=bounds.effect)
    slow = compare(tried.slow, champion.slow, alpha=alpha * SLOW, effect=1.0)
    evidence = evidence_above(tried.failed_visitors, tried.clicks.visitors, bounds.max_error_share)
    limit = 1 / (alpha * ERRORS)
    found = Judgement(
        ruling=Ruling.GO_ON,
        why="",
        challenger_visitors=tried.clicks.visitors,
        champion_visitors=champion.clicks.visitors,
        challenger_answers=int(tried.clicks.answers),
        champion_answers=int(champion.clicks.answers),
        clicks=clicks,
        slow=slow,
        challenger_p99_ms=tried.p99_ms,
        champion_p99_ms=champion.p99_ms,
        failed_visitors=tried.failed_visitors,
        errors=tried.errors,
        error_evidence=min(evidence, 1e12),
        error_limit=limit,
        failures=parts.failures,
    )
    ruling, why = _rule(found, bounds)
    return msgspec.structs.replace(found, ruling=ruling, why=why)


def _rule(found: Judgement, bounds: Bounds) -> tuple[Ruling, str]:
    """The ruling and its reason: what harms most is named first."""
    if found.error_evidence >= found.error_limit:
        share = found.failed_visitors / max(found.challenger_visitors, 1)
        return Ruling.STOP, (
            f"{share:.1%} of its visitors met an error of its, "
            f"more than {bounds.max_error_share:.1%} are allowed"
        )
    if found.challenger_p99_ms > bounds.max_p99_ms and found.slow.low > 0:
        return Ruling.STOP, (
            f"its p99 is {found.challenger_p99_ms:.3g} ms, above {bounds.max_p99_ms:.3g} ms, and "
            f"the champion's {found.champion_p99_ms:.3g} ms"
        )
    clicks = found.clicks
    if clicks is None or not clicks.says_anything:
        return Ruling.GO_ON, "there is too little to say anything of clicks yet"
    told = (
        f"its click-through is {clicks.challenger:.2%}, the champion's {clicks.champion:.2%}: "
        f"{clicks.difference:+.1%}, between {clicks.low:+.1%} and {clicks.high:+.1%}"
    )
    if clicks.high < -bounds.margin:
        return Ruling.STOP, told
    return (Ruling.BETTER if clicks.low > 0 else Ruling.GO_ON), told
