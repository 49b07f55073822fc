"""Figures of character: what a model shows, beside how often it is right.

``shown`` int32 (I, k) are the answers to I instances, best first, -1 where one ended. ``vectors``
(n_items, d) are unit vectors, or zeros for an item that nothing is known of, which then counts
nowhere. A figure of nothing is NaN.

None of them is better the higher it is, without end: they tell two models of equal quality apart.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wherry.learn.instances import Instances

Shown = NDArray[np.int32]
Mask = NDArray[np.bool_]
Vectors = NDArray[np.float32]

SMOOTHING = 0.01
"""How much of the session's own categories is mixed into the answer's in :func:`miscalibration`."""

_CELLS = 4_000_000  # numbers that are held at once


def found(shown: Shown, targets: NDArray[np.int32]) -> Mask:
    """Whether the right item is among the shown, (I,)."""
    return np.asarray(((shown == targets[:, None]) & (shown >= 0)).any(axis=1))


def miss_difference(is_found: Mask, parts: Iterable[Mask]) -> float:
    """Mean, over the parts of a dimension, of |their share of misses − that of all|.

    The miss-rate equality difference of EvalRS (Tagliabue et al., 2022); 0 is equality.
    """
    missed = ~is_found
    rates = [missed[part].mean() for part in parts if part.any()]
    return float(np.mean(np.abs(np.array(rates) - missed.mean()))) if rates else np.nan


def miss_category(
    shown: Shown, targets: NDArray[np.int32], categories: NDArray[np.int32], k: int = 1
) -> float:
    """Of what the first k show where they miss, the share in the right category.

    Misses whose right item has no category are left out; an item shown without one is wrong.
    """
    misses = _misses(shown, targets)
    first, right = shown[misses, :k], categories[targets[misses]]
    there = (first >= 0) & (right[:, None] >= 0)
    is_right = np.equal(categories[first], right[:, None])
    return _mean(is_right[there])


def miss_distance(shown: Shown, targets: NDArray[np.int32], vectors: Vectors, k: int = 1) -> float:
    """Mean cosine distance of the first k shown from the right item, where all were misses."""
    misses = _misses(shown, targets)
    first, right = shown[misses, :k], targets[misses]
    known = _known(vectors)
    there = (first >= 0) & known[first] & known[right[:, None]]
    rows, columns = np.nonzero(there)
    cosines = np.einsum("nd,nd->n", vectors[first[rows, columns]], vectors[right[rows]])
    return _mean(1 - cosines)


def _known(vectors: Vectors) -> Mask:
    """Which items have a vector, (n_items,)."""
    return np.asarray(vectors.any(axis=1))


def _misses(shown: Shown, targets: NDArray[np.int32]) -> Mask:
    missed: Mask = ~found(shown, targets)
    return missed & (targets >= 0)


def diversity(shown: Shown, vectors: Vectors) -> float:
    """Mean cosine distance of two items of an answer, over answers with two known items.

    The intra-list distance of Ziegler et al. (2005), in the space of co-occurrence. By
    ``Σ_{i≠j} v_i·v_j = |Σ v|² − n`` for n unit vectors.
    """
    known = _known(vectors)
    distances = []
    for row in shown:
        listed = row[row >= 0]
        listed = listed[known[listed]]
        n = len(listed)
        if n > 1:
            total = vectors[listed].sum(axis=0, dtype=np.float64)
            distances.append(1 - (total @ total - n) / (n * (n - 1)))
    return float(np.mean(distances)) if distances else np.nan


def price_ratio(shown: Shown, instances: Instances, prices: NDArray[np.float64]) -> float:
    """By what factor the prices of an answer and of its session differ: 1 is the same level.

    ``exp(mean |ln p̄(answer) − ln p̄(session)|)``, p̄ the geometric mean of the known prices.
    """
    logs = np.log(np.where(prices > 0, prices, np.nan))
    gaps = []
    for i, row in enumerate(shown):
        after, before = logs[row[row >= 0]], logs[instances.prefix(i)]
        after, before = after[~np.isnan(after)], before[~np.isnan(before)]
        if len(after) and len(before):
            gaps.append(abs(after.mean() - before.mean()))
    return float(np.exp(np.mean(gaps))) if gaps else np.nan


def novelty(shown: Shown, counts: NDArray[np.int64]) -> float:
    """Mean self-information of what is shown, in bits: −log2 of its share of training's events.

    Mean over answers (Vargas and Castells, 2011); every count is one more, so that an item
    never seen has a share.
    """
    bits = -np.log2((counts + 1) / (counts.sum() + len(counts)))
    there = shown >= 0
    n = there.sum(axis=1)
    sums = np.where(there, bits[shown], 0.0).sum(axis=1)
    return _mean((sums / np.maximum(n, 1))[n > 0])


def serendipity(shown: Shown, instances: Instances, counts: NDArray[np.int64]) -> float:
    """Share of answers that hold the right item where nothing simple would have shown it.

    Useful and unexpected (Ge et al., 2010): it is neither one of the k most popular in
    training, k the depth of ``shown``, nor in the session already.
    """
    popular = np.argsort(-counts, kind="stable")[: shown.shape[1]]
    right = found(shown, instances.targets) & ~np.isin(instances.targets, popular)
    for i in np.flatnonzero(right):
        right[i] = instances.targets[i] not in instances.prefix(int(i))
    return _mean(right)


def gini(shown: Shown, n_items: int) -> float:
    """How unequally the items are shown: 0 all alike, 1 only one; items never shown count.

    ``Σ (2 r − n − 1) x_r / (n Σ x)`` over the n items by how often each is shown, x.
    """
    times = np.sort(np.bincount(shown[shown >= 0], minlength=n_items))
    places = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(places @ times / (n_items * times.sum())) if times.sum() else np.nan


def miscalibration(shown: Shown, instances: Instances, categories: NDArray[np.int32]) -> float:
    """Mean divergence of an answer's categories from its session's, in nats (Steck, 2018).

    ``Σ_c p(c) ln(p(c) / q̃(c))``, p the shares of categories among the session's items, q
    among the shown, ``q̃ = 0.99 q + 0.01 p``. 0 is the same mixture.
    """
    used, codes = np.unique(categories, return_inverse=True)
    codes = np.where(categories >= 0, codes, len(used))
    width = len(used) + 1
    step = max(_CELLS // width, 1)
    divergences = []
    for start in range(0, len(shown), step):
        rows = range(start, min(start + step, len(shown)))
        p = _shares([codes[instances.prefix(i)] for i in rows], width)
        q = _shares([codes[shown[i][shown[i] >= 0]] for i in rows], width)
        both = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
        p, q = p[both], q[both]
        mixed = (1 - SMOOTHING) * q + SMOOTHING * p
        there = p > 0
        terms = np.zeros_like(p)
        terms[there] = p[there] * np.log(p[there] / mixed[there])
        divergences.append(terms.sum(axis=1))
    return _mean(np.concatenate(divergences)) if divergences else np.nan


def _shares(rows: list[NDArray[np.int64]], width: int) -> NDArray[np.float64]:
    """Shares of each code, (rows, width); the last code, of what is unknown, has none."""
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    flat = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    counts = np.bincount(owner * width + flat, minlength=len(rows) * width)
    counts = counts.reshape(len(rows), width).astype(np.float64)
    counts[:, -1] = 0
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _mean(values: NDArray[np.float64] | Mask) -> float:
    return float(np.mean(values)) if len(values) else np.nan
