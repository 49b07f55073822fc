"""Does the sequential test err as rarely as it says, and how soon does it stop a worse release?

A Monte-Carlo of its own: visitors come over time and come back, each with a taste of their own
(a visitor's answers are alike), and the test is looked at again and again. It knows nothing of
the simulator: what is true of a release is what is set here.

    python -m benchmarks.sequential [RUNS]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from wherry.domain import DEFAULT_TENANT, Mode, Rollout
from wherry.watch import Bounds, Part, Parts, Ruling, judge
from wherry.watch.sequential import MIN_MARKS, Tally

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


class Running:
    """The running sums of both parts' tallies, after each answer."""

    def __init__(self, visitor: NDArray[np.int64], tried: Numbers) -> None:
        self._order = np.argsort(visitor, kind="stable")
        starts = np.flatnonzero(np.diff(visitor[self._order], prepend=-1))
        self._first = np.repeat(starts, np.diff(np.append(starts, len(visitor))))
        self._parts = (tried, 1 - tried)
        self._before = np.empty(len(visitor))
        self._before[self._order] = np.arange(len(visitor)) - self._first
        self.is_first = self._before == 0

    def of(self, mark: Numbers) -> list[list[Numbers]]:
        """The sums that make a :class:`Tally` of answers with this mark, for each part."""
        total = np.concatenate(([0.0], np.cumsum(mark[self._order])))
        marked = np.empty(len(mark))
        marked[self._order] = total[:-1] - total[self._first]
        steps = [
            self.is_first.astype(float),
            np.ones(len(mark)),
            mark,
            2 * self._before + 1,
            marked + mark * (self._before + 1),
            mark * (2 * marked + 1),
        ]
        return [[np.cumsum(step * part) for step in steps] for part in self._parts]


@dataclass(frozen=True)
class Verdicts:
    """When a run was stopped, found better, and told the naive way: visitors, or 0 for never."""

    stopped: int
    better: int
    naive: int


def run(world: World, seed: int, *, looks: int = 200, bounds: Bounds | None = None) -> Verdicts:
    """One seeded run, looked at so many times, by the guard's own judgement.

    One answer in fifty is slow and one visitor in two hundred meets an error, in both parts.
    """
    bounds = bounds or Bounds()
    rng = np.random.default_rng(seed)
    visitor, clicked, tried = answers(world, rng)
    slow = (rng.random(len(visitor)) < 0.02).astype(float)
    failing = rng.random(world.visitors)[visitor] < 0.005
    running = Running(visitor, tried)
    marks = [part for mark in (clicked, slow) for part in running.of(mark)]
    failed = np.cumsum(running.is_first * failing * tried)
    mode = Mode.AB if world.share == 0.5 else Mode.CANARY
    rollout = Rollout(
        rollout_id="r1",
        tenant=DEFAULT_TENANT,
        mode=mode,
        version=2,
        share=world.share,
        started_at=datetime(2026, 1, 1),
    )
    stopped = better = naive = 0
    for at in np.linspace(0, len(visitor) - 1, looks + 1).astype(int)[1:]:
        mine, theirs, my_slow, their_slow = (_tally(each, at) for each in marks)
        challenger = Part(mine, my_slow, int(failed[at]), int(failed[at]), 60.0)
        found = judge(Parts(challenger, Part(theirs, their_slow, 0, 0, 60.0), {}), rollout, bounds)
        seen = mine.visitors + theirs.visitors
        if not stopped and found.ruling is Ruling.STOP:
            stopped = seen
        if not better and found.ruling is Ruling.BETTER:
            better = seen
        if not naive and min(mine.marks, theirs.marks) >= MIN_MARKS and _naive(mine, theirs):
            naive = seen
    return Verdicts(stopped, better, naive)


def _tally(running: list[Numbers], at: int) -> Tally:
    return Tally(int(running[0][at]), *(float(each[at]) for each in running[1:]))


def _naive(mine: Tally, theirs: Tally) -> bool:
    """A one-sided test at 5% of independent answers, at every look: what is done by hand."""
    error = np.sqrt(
        mine.share * (1 - mine.share) / mine.answers
        + theirs.share * (1 - theirs.share) / theirs.answers
    )
    return bool(mine.share - theirs.share < -1.645 * error)


def rates(world: World, runs: int) -> dict[str, float]:
    """Shares of runs, and the median number of visitors until those that stopped did."""
    found = [run(world, seed) for seed in range(runs)]
    stops = [each.stopped for each in found if each.stopped]
    return {
        "stopped": len(stops) / runs,
        "better": sum(bool(each.better) for each in found) / runs,
        "naive": sum(bool(each.naive) for each in found) / runs,
        "median": float(np.median(stops)) if stops else 0.0,
        "most": float(np.quantile(stops, 0.9)) if stops else 0.0,
    }


WORLDS = (
    World(0.05, 0.5, visitors=20_000),
    World(0.1, 0.5, visitors=20_000),
    World(0.05, 0.1),
    World(0.1, 0.1),
    World(0.05, 0.5, -0.2),
    World(0.1, 0.5, -0.2, visitors=20_000),
    World(0.05, 0.1, -0.2, visitors=80_000),
    World(0.1, 0.1, -0.2),
    World(0.05, 0.5, -0.4, visitors=10_000),
    World(0.05, 0.1, -0.4, visitors=20_000),
    World(0.05, 0.5, +0.2),
)


def main(runs: int = 200) -> None:
    print(f"{runs} runs each, 200 looks, clicks alike within a visitor (0.1)\n")
    print("clicked  share   lift  visitors  stopped  better  naive   stopped after (median, 90%)")
    for world in WORLDS:
        found = rates(world, runs)
        print(
            f"{world.click:7.0%} {world.share:6.0%} {world.lift:+6.0%} {world.visitors:9,} "
            f"{found['stopped']:8.1%} {found['better']:7.1%} {found['naive']:6.1%} "
            f"{found['median']:12,.0f} {found['most']:9,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
