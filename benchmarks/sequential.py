"""Does the sequential test err as rarely as it says, and how soon does it stop a worse release?

A Monte-Carlo of its own: visitors come over time and come back, each with a taste of their own
(a visitor's answers are alike), and the test is looked at again and again. It knows nothing of
the simulator: what is true of a release is what is set here.

    python -m benchmarks.sequential [RUNS]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherry.watch.sequential import Tally, compare

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """``click`` of the champion's answers are clicked; ``alike`` is the correlation of a visitor's
    clicks, ``visits`` the mean of a visitor's answers, a few of whom ask for very many."""

    click: float
    share: float
    lift: float = 0.0
    alike: float = 0.1
    visits: float = 5.0
    visitors: int = 40_000


def answers(world: World, rng: np.random.Generator) -> tuple[NDArray[np.int64], Numbers, Numbers]:
    """Answers in the order in which they came: their visitor, whether clicked, and whether the
    visitor is the challenger's."""
    n = world.visitors
    tried = rng.random(n) < world.share
    # Lognormal numbers of answers: the busiest visitors ask a hundred times as often.
    counts = np.ceil(rng.lognormal(np.log(world.visits) - 0.5, 1.0, n)).astype(int).clip(1, 100)
    mean = np.where(tried, world.click * (1 + world.lift), world.click)
    weight = 1 / world.alike - 1
    taste = rng.beta(mean * weight, (1 - mean) * weight)
    visitor = np.repeat(np.arange(n), counts)
    at = np.repeat(rng.random(n), counts) + rng.exponential(0.1, len(visitor))
    order = np.argsort(at, kind="stable")
    visitor = visitor[order]
    clicked = (rng.random(len(visitor)) < taste[visitor]).astype(float)
    return visitor, clicked, tried[visitor].astype(float)


def sums(visitor: NDArray[np.int64], clicked: Numbers, mine: Numbers) -> list[Numbers]:
    """The running sums of a part's :class:`Tally`, after each answer."""
    order = np.argsort(visitor, kind="stable")
    starts = np.flatnonzero(np.diff(visitor[order], prepend=-1))
    first = np.repeat(starts, np.diff(np.append(starts, len(visitor))))
    n_before, x_before = np.empty(len(visitor)), np.empty(len(visitor))
    n_before[order] = np.arange(len(visitor)) - first
    total = np.concatenate(([0.0], np.cumsum(clicked[order])))
    x_before[order] = total[:-1] - total[first]
    steps = [
        (n_before == 0).astype(float),
        np.ones(len(visitor)),
        clicked,
        2 * n_before + 1,
        x_before + clicked * (n_before + 1),
        clicked * (2 * x_before + 1),
    ]
    return [np.cumsum(step * mine) for step in steps]


@dataclass(frozen=True)
class Verdicts:
    """When a run was stopped, found better, and told the naive way: visitors, or 0 for never."""

    stopped: int
    better: int
    naive: int


def run(
    world: World, seed: int, *, looks: int = 400, alpha: float, effect: float, margin: float = 0.0
) -> Verdicts:
    """One seeded run, looked at so many times."""
    rng = np.random.default_rng(seed)
    visitor, clicked, tried = answers(world, rng)
    one, other = sums(visitor, clicked, tried), sums(visitor, clicked, 1 - tried)
    stopped = better = naive = 0
    for at in np.linspace(0, len(visitor) - 1, looks + 1).astype(int)[1:]:
        mine = Tally(int(one[0][at]), *(float(each[at]) for each in one[1:]))
        theirs = Tally(int(other[0][at]), *(float(each[at]) for each in other[1:]))
        seen = mine.visitors + theirs.visitors
        found = compare(mine, theirs, alpha=alpha, effect=effect)
        if not stopped and found.high < -margin:
            stopped = seen
        if not better and found.low > 0:
            better = seen
        if not naive and found.says_anything and _naive(mine, theirs):
            naive = seen
    return Verdicts(stopped, better, naive)


def _naive(mine: Tally, theirs: Tally) -> bool:
    """A one-sided test at 5% of independent answers, at every look: what is done by hand."""
    error = np.sqrt(
        mine.share * (1 - mine.share) / mine.answers
        + theirs.share * (1 - theirs.share) / theirs.answers
    )
    return bool(mine.share - theirs.share < -1.645 * error)


def rates(world: World, runs: int, *, alpha: float, effect: float) -> dict[str, float]:
    """Shares of runs, and the median number of visitors until those that stopped did."""
    found = [run(world, seed, alpha=alpha, effect=effect) for seed in range(runs)]
    stops = [each.stopped for each in found if each.stopped]
    return {
        "stopped": len(stops) / runs,
        "better": sum(bool(each.better) for each in found) / runs,
        "naive": sum(bool(each.naive) for each in found) / runs,
        "median": float(np.median(stops)) if stops else 0.0,
        "most": float(np.quantile(stops, 0.9)) if stops else 0.0,
    }


def main(runs: int = 200) -> None:
    alpha, effect = 0.025, 0.2
    print(f"{runs} runs each, 400 looks, visitor-correlated clicks, alpha {alpha} a side\n")
    print("clicked  share   lift  stopped  better  naive   visitors until stopped (median, 90%)")
    for click in (0.05, 0.1):
        for share in (0.1, 0.5):
            for lift in (0.0, -0.1, -0.2, -0.4, 0.2):
                world = World(click, share, lift)
                found = rates(world, runs, alpha=alpha, effect=effect)
                print(
                    f"{click:7.0%} {share:6.0%} {lift:+6.0%} {found['stopped']:8.1%} "
                    f"{found['better']:7.1%} {found['naive']:6.1%} "
                    f"{found['median']:12,.0f} {found['most']:9,.0f}"
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
