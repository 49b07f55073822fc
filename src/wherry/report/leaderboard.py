"""The order of candidates, and which of their metrics stand in which column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from wherry.domain import Candidate, Estimate

PREFERRED = ("mrr@20", "hr@20")
"""The metrics that a leaderboard is ordered and drawn by, as far as they were measured."""

FAMILIES = ("hr", "mrr", "ndcg", "coverage", "popularity")
"""The families of metrics, in the order of their columns; others follow by name."""

HIGHER_IS_BETTER = frozenset({"hr", "mrr", "ndcg", "coverage"})


def ranked(candidates: Iterable[Candidate], winner: str = "") -> tuple[Candidate, ...]:
    """The winner, then the others by their first preferred metric, failed ones last."""

    def key(candidate: Candidate) -> tuple[bool, bool, float]:
        figures = [candidate.metrics[m].value for m in PREFERRED if m in candidate.metrics]
        best = figures[0] if figures and not math.isnan(figures[0]) else -math.inf
        return bool(candidate.error), candidate.name != winner, -best

    return tuple(sorted(candidates, key=key))


def families(candidates: Iterable[Candidate]) -> dict[str, tuple[str, ...]]:
    """The metrics that any candidate has, by family: ``{"hr": ("hr@5", "hr@10"), …}``."""
    names = {name for candidate in candidates for name in candidate.metrics}
    known = sorted(names, key=lambda name: (_family_rank(name), _family(name), _cutoff(name)))
    grouped: dict[str, list[str]] = {}
    for name in known:
        grouped.setdefault(_family(name), []).append(name)
    return {family: tuple(members) for family, members in grouped.items()}


def best_values(candidates: Iterable[Candidate]) -> Mapping[str, float]:
    """The highest value of each metric of which more is better."""
    best: dict[str, float] = {}
    for candidate in candidates:
        for name, estimate in candidate.metrics.items():
            if _family(name) in HIGHER_IS_BETTER and is_finite(estimate):
                best[name] = max(best.get(name, -math.inf), estimate.value)
    return best


def is_finite(estimate: Estimate) -> bool:
    """Whether an estimate and both ends of its interval are numbers."""
    return all(math.isfinite(v) for v in (estimate.value, estimate.low, estimate.high))


def _family(name: str) -> str:
    return name.partition("@")[0]


def _family_rank(name: str) -> int:
    family = _family(name)
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)


def _cutoff(name: str) -> int:
    cutoff = name.partition("@")[2]
    return int(cutoff) if cutoff.isdecimal() else 0
