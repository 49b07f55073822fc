"""Vectors of items, such that items which occur with the same others lie close together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.learn.sessions import Sessions

DIMENSIONS = 64
MAX_EVENTS = 2_000_000
"""The newest events that are looked at; more of them move the vectors little."""

_CHUNK = 8  # dimensions at once: what is held is events × chunk


def embed(sessions: Sessions, *, seed: int, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    """Unit vectors float32 (n_items, dimensions); zeros for an item that was never seen.

    With A the sessions × items matrix of counts, normalised on both sides to
    ``B = D_s^(-1/2) A D_i^(-1/2)``, these are the rows of ``BᵀB R`` for a random normal R: one
    step of a randomised range finder (Halko, Martinsson and Tropp, 2011), which keeps the angles
    between rows of the co-occurrence matrix up to about 1 / √dimensions. The common direction of
    all, along which popular items lie, is taken out.
    """
    recent = _newest(sessions)
    vectors = np.empty((sessions.n_items, dimensions), dtype=np.float32)
    counts = recent.item_counts()
    per_item = 1 / np.sqrt(np.maximum(counts, 1))
    per_session = 1 / recent.lengths
    owner = np.repeat(np.arange(len(recent)), recent.lengths)
    order = np.argsort(recent.items, kind="stable")
    seen, starts = np.unique(recent.items[order], return_index=True)
    common = np.sqrt(counts / max(recent.n_events, 1))
    rng = np.random.default_rng(seed)
    for first in range(0, dimensions, _CHUNK):
        width = min(_CHUNK, dimensions - first)
        drawn = rng.standard_normal((sessions.n_items, width), dtype=np.float32)
        drawn -= np.outer(common, common @ drawn).astype(np.float32)
        spread = (drawn * per_item[:, None])[recent.items]
        if len(seen):
            sums = np.add.reduceat(spread, recent.offsets[:-1], axis=0) * per_session[:, None]
            gathered = np.add.reduceat(sums[owner[order]], starts, axis=0)
            vectors[seen, first : first + width] = gathered * per_item[seen, None]
    vectors[counts == 0] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _newest(sessions: Sessions) -> Sessions:
    """The newest sessions, whole, with at most :data:`MAX_EVENTS` events (but at least one)."""
    if sessions.n_events <= MAX_EVENTS:
        return sessions
    first = int(np.searchsorted(sessions.offsets, sessions.n_events - MAX_EVENTS))
    return sessions.take(np.arange(min(first, len(sessions) - 1), len(sessions)))
