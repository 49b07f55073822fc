"""Evaluation: a full ranking of the catalogue for every instance, and figures with intervals.

Never sampled, and ties count against the model: the rank of the target is the number of items
that score at least as high. A target that is unscored, or outside the vocabulary, is a miss.

========== =====================================================================
hr@k       share of instances whose target is among the first k (also P@k, recall)
mrr@k      mean of 1 / rank, 0 beyond k
ndcg@k     mean of 1 / log2(1 + rank), 0 beyond k: there is one right answer
coverage@k share of the catalogue that is among the first k of any instance
popularity@k mean percentile, by events in training, of what is among the first k
           (0: items hardly seen; 1: the most seen)
========== =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Estimate
from wherry.errors import ModelError, UsageError, did_you_mean
from wherry.learn.arrays import Array, frozen, load_array, save_arrays
from wherry.learn.instances import Instances
from wherry.learn.model import Model
from wherry.learn.ranking import rank, top

SHOWN = 20
"""Items that are kept of each answer: the deepest k of a figure."""

_GAINS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "hr": lambda ranks: np.ones(len(ranks)),
    "mrr": lambda ranks: 1.0 / ranks,
    "ndcg": lambda ranks: 1.0 / np.log2(1.0 + ranks),
}
METRICS = (
    *(f"{name}@{k}" for name in _GAINS for k in (5, 10, 20)),
    "coverage@20",
    "popularity@20",
)
"""What :meth:`Evaluation.summary` reports."""

_DTYPES = {
    "sessions": np.int32,
    "lengths": np.int32,
    "targets": np.int32,
    "ranks": np.int32,
    "shown": np.int32,
    "percentiles": np.float32,
}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a model answered to each of I instances; read-only arrays, in their order.

    * ``sessions``, ``lengths``, ``targets`` int32 (I,): of which session, with how long a prefix
    * ``ranks`` int32 (I,): of the target, from 1; 0 if it was not ranked
    * ``shown`` int32 (I, 20): the first items of the answer, best first, -1 where it ended
    * ``percentiles`` float32 (n_items,): of each item by popularity in training
    """

    sessions: NDArray[np.int32]
    lengths: NDArray[np.int32]
    targets: NDArray[np.int32]
    ranks: NDArray[np.int32]
    shown: NDArray[np.int32]
    percentiles: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, frozen(getattr(self, name), dtype))

    def __len__(self) -> int:
        return len(self.ranks)

    def values(self, metric: str) -> NDArray[np.float64]:
        """One figure per instance, (I,), whose mean is the metric (``hr@20``, …).

        Raises:
            UsageError: the metric is unknown, or is coverage, which no instance has alone.
        """
        name, k = _parse(metric)
        if name == "popularity":
            shown = self.shown[:, :k]
            there = shown >= 0
            sums = np.where(there, self.percentiles[shown], 0.0).sum(axis=1, dtype=np.float64)
            return np.asarray(sums / np.maximum(there.sum(axis=1), 1))
        if name not in _GAINS:
            raise UsageError(f"{metric} is a figure of all answers together; use estimate().")
        values = np.zeros(len(self))
        hit = (self.ranks > 0) & (self.ranks <= k)
        values[hit] = _GAINS[name](self.ranks[hit].astype(np.float64))
        return values

    def estimate(self, metric: str, *, seed: int = 0) -> Estimate:
        """A metric with its 95% interval, by bootstrap over sessions.

        Coverage is a count over all answers, whose spread the bootstrap can't tell: its
        interval is its value. No instances give 0.
        """
        return self.summary((metric,), seed=seed)[metric]

    def summary(self, metrics: Sequence[str] = METRICS, *, seed: int = 0) -> dict[str, Estimate]:
        """All metrics at once, from the same resamples."""
        means = [metric for metric in metrics if not metric.startswith("coverage@")]
        columns = np.column_stack([self.values(m) for m in means]) if means else np.empty((0, 0))
        estimates = dict(zip(means, _bootstrap(self.sessions, columns, seed), strict=True))
        return {m: estimates[m] if m in estimates else self._coverage(m) for m in metrics}

    def _coverage(self, metric: str) -> Estimate:
        _, k = _parse(metric)
        shown = np.unique(self.shown[:, :k])
        share = float(np.count_nonzero(shown >= 0)) / max(len(self.percentiles), 1)
        return Estimate(share, share, share)

    def difference(self, other: Evaluation, metric: str, *, seed: int = 0) -> Estimate:
        """How much better this is than another on the same instances, compared in pairs.

        Raises:
            UsageError: the two are not of the same instances.
        """
        if not (
            np.array_equal(self.sessions, other.sessions)
            and np.array_equal(self.lengths, other.lengths)
            and np.array_equal(self.targets, other.targets)
        ):
            raise UsageError(
                "Two evaluations can be compared on the same instances only; "
                "evaluate both models on one Instances."
            )
        column = (self.values(metric) - other.values(metric))[:, None]
        return _bootstrap(self.sessions, column, seed)[0]

    def restrict(self, mask: NDArray[np.bool_]) -> Evaluation:
        """The evaluation of a slice: the instances where the mask, (I,), is true."""
        parts = {name: getattr(self, name)[mask] for name in _DTYPES if name != "percentiles"}
        return replace(self, **parts)

    def save(self, folder: Path) -> None:
        """Write the arrays as ``.npy`` into a folder."""
        save_arrays(folder, **{name: getattr(self, name) for name in _DTYPES})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an evaluation back; ModelError where a file is missing or the files disagree."""
        arrays = {name: load_array(folder, name) for name in _DTYPES}
        if len({len(arrays[name]) for name in _DTYPES if name != "percentiles"}) != 1:
            raise ModelError(f"The arrays in {folder} are of unequal length; evaluate again.")
        return cls(**arrays)


def evaluate(model: Model, instances: Instances, *, popularity: Array) -> Evaluation:
    """Ask a model about every instance and rank the whole catalogue each time.

    ``popularity`` (n_items,) is how often each item stands in training, as
    ``Sessions.item_counts`` gives it.
    """
    ranks = np.zeros(len(instances), dtype=np.int32)
    shown = np.full((len(instances), SHOWN), -1, dtype=np.int32)
    for i in range(len(instances)):
        scores = model.score(instances.prefix(i), now=int(instances.times[i]))
        ranks[i] = rank(scores, int(instances.targets[i]))
        best = top(scores, SHOWN).items
        shown[i, : len(best)] = best
    return Evaluation(
        sessions=instances.sessions,
        lengths=instances.lengths.astype(np.int32),
        targets=instances.targets,
        ranks=ranks,
        shown=shown,
        percentiles=percentiles(popularity),
    )


def percentiles(popularity: Array) -> NDArray[np.float32]:
    """The share of items that are seen less than each one; equals stand in their middle.

    >>> percentiles(np.array([9, 0, 5, 5])).tolist()
    [0.875, 0.125, 0.5, 0.5]
    """
    counts = np.sort(popularity)
    below = np.searchsorted(counts, popularity, side="left")
    up_to = np.searchsorted(counts, popularity, side="right")
    return ((below + up_to) / (2 * max(len(counts), 1))).astype(np.float32)


def _parse(metric: str) -> tuple[str, int]:
    name, _, k = metric.partition("@")
    if name not in {*_GAINS, "coverage", "popularity"} or not k.isdigit() or int(k) < 1:
        raise UsageError(
            f"There is no metric {metric!r}: write a name and a depth, like mrr@20."
            + did_you_mean(metric, METRICS)
        )
    if name in ("coverage", "popularity") and int(k) > SHOWN:
        raise UsageError(f"{metric} looks too deep: only the first {SHOWN} items are kept.")
    return name, int(k)


def _bootstrap(
    sessions: NDArray[np.int32], columns: NDArray[np.float64], seed: int, resamples: int = 1000
) -> list[Estimate]:
    """Mean and 2.5 and 97.5 percentiles of each column, resampling whole sessions."""
    if columns.size == 0:
        return [Estimate(0.0, 0.0, 0.0)] * columns.shape[1]
    _, group = np.unique(sessions, return_inverse=True)
    # Sums and a count for each session are all that a resample needs.
    values = np.column_stack((columns, np.ones(len(columns))))
    sums = np.column_stack([np.bincount(group, weights=column) for column in values.T])
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, columns.shape[1]))
    for i in range(resamples):
        drawn = np.bincount(rng.integers(0, len(sums), len(sums)), minlength=len(sums))
        totals = drawn @ sums
        means[i] = totals[:-1] / totals[-1]
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    centre = columns.mean(axis=0)
    return [Estimate(*map(float, figures)) for figures in zip(centre, low, high, strict=True)]
