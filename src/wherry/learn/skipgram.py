"""Skip-gram with negative sampling: vectors of items that tell what stands near them.

Mikolov et al., "Distributed representations of words and phrases" (2013), over sessions in
place of sentences: the "prod2vec" of Grbovic et al., "E-commerce in your inbox" (2015).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.learn.embedding import embed
from wherry.learn.kernel import kernel
from wherry.learn.sessions import Sessions

_URN = 1 << 20
"""Places of the table that negatives are drawn from."""

_SLOWEST = 0.01
"""The share of the first rate that the last step still has."""


def train(
    sessions: Sessions,
    *,
    dimensions: int,
    window: int,
    negatives: int,
    alpha: float,
    epochs: int,
    rate: float,
    seed: int,
) -> NDArray[np.float32]:
    """The items' vectors, float32 (n_items, dimensions), not of length 1; 0 where never seen.

    Every pair of items up to ``window`` events apart is told from ``negatives`` pairs with an
    item drawn by its events to the power of ``alpha``. Training begins with what
    :func:`wherry.learn.embedding.embed` says, and goes through the sessions in a new order in
    each of ``epochs``; the step falls from ``rate`` to next to nothing. One thread, so the same
    seed gives the same vectors.
    """
    inner = embed(sessions, seed=seed, dimensions=dimensions)
    outer = np.zeros_like(inner)
    counts = sessions.item_counts()
    urn = _urn(counts, alpha)
    rng = np.random.default_rng(seed)
    long_enough = np.flatnonzero(sessions.lengths > 1)
    for epoch in range(epochs if len(long_enough) else 0):
        _pass(
            rng.permutation(long_enough),
            sessions.offsets,
            sessions.items,
            urn,
            inner,
            outer,
            window,
            negatives,
            np.uint64(rng.integers(1, 1 << 62)),
            np.float32(rate),
            epoch / epochs,
            (epoch + 1) / epochs,
        )
    # All vectors share a direction, that of what is drawn as a negative; it tells nothing apart.
    inner -= inner[counts > 0].mean(axis=0) if counts.any() else 0
    inner[counts == 0] = 0
    return inner


def _urn(counts: NDArray[np.int64], alpha: float) -> NDArray[np.int32]:
    """Items, each as often as it is to be drawn."""
    weights = np.where(counts > 0, np.maximum(counts, 1).astype(float) ** alpha, 0.0)
    shares = np.cumsum(weights) / max(weights.sum(), 1e-12)
    places = (np.arange(_URN) + 0.5) / _URN
    return np.minimum(np.searchsorted(shares, places), len(counts) - 1).astype(np.int32)


@kernel
def _pass(
    order: NDArray[np.int64],
    offsets: NDArray[np.int64],
    items: NDArray[np.int32],
    urn: NDArray[np.int32],
    inner: NDArray[np.float32],
    outer: NDArray[np.float32],
    window: int,
    negatives: int,
    state: np.uint64,
    rate: np.float32,
    begun: float,
    ended: float,
) -> None:
    """Go through the sessions once, in an order; moves both tables in place."""
    d = inner.shape[1]
    moved = np.empty(d, dtype=np.float32)
    mask = np.uint64(len(urn) - 1)
    for turn in range(len(order)):
        done = begun + (ended - begun) * turn / len(order)
        step = np.float32(rate * max(1 - done, _SLOWEST))
        first, last = offsets[order[turn]], offsets[order[turn] + 1]
        for event in range(first, last):
            item = items[event]
            for other in range(max(first, event - window), min(last, event + window + 1)):
                if items[other] == item:
                    continue
                moved[:] = 0
                for draw in range(negatives + 1):
                    wanted = items[other]
                    if draw > 0:
                        # xorshift64 (Marsaglia, 2003): the kernel's own, so that a seed is a seed
                        state ^= state << np.uint64(13)
                        state ^= state >> np.uint64(7)
                        state ^= state << np.uint64(17)
                        wanted = urn[(state >> np.uint64(20)) & mask]
                        if wanted == items[other]:
                            continue
                    likeness = np.float32(0)
                    for place in range(d):
                        likeness += inner[item, place] * outer[wanted, place]
                    is_near = np.float32(1 if draw == 0 else 0)
                    gain = step * (is_near - np.float32(1) / (np.float32(1) + np.exp(-likeness)))
                    for place in range(d):
                        moved[place] += gain * outer[wanted, place]
                        outer[wanted, place] += gain * inner[item, place]
                for place in range(d):
                    inner[item, place] += moved[place]
