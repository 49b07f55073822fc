"""Batches: sessions as rows of equal length, each item beside the one that came next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wherry.learn.sessions import Sessions

WIDTHS = (3, 7, 20)
"""How many items a row may hold: each session goes into the narrowest that it fits."""

LONGEST = WIDTHS[-1]
"""Items, counted from a session's end, that a question looks at."""


class Batch(NamedTuple):
    """Rows of items and of what came next; -1 where a row has ended.

    * ``inputs``, ``targets`` int32 (rows, width)
    * ``negatives`` int32 (negatives,)
    * ``log_chances`` float32 (negatives,): ln of the expected number of draws of each
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    negatives: NDArray[np.int32]
    log_chances: NDArray[np.float32]


class Pieces(NamedTuple):
    """Where the pieces of sessions lie in ``Sessions.items``: a long session makes several."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, sessions: Sessions) -> Self:
        """Cut sessions into pieces of up to ``LONGEST`` steps; those of one event have none."""
        steps = sessions.lengths - 1
        counts = -(-steps // LONGEST)
        owner = np.repeat(np.arange(len(sessions)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return cls(
            sessions.offsets[:-1][owner] + within * LONGEST,
            np.minimum(steps[owner] - within * LONGEST, LONGEST),
        )

    def batches(self, tokens: int) -> int:
        """How many batches an epoch has."""
        sizes = np.bincount(np.searchsorted(WIDTHS, self.lengths), minlength=len(WIDTHS))
        per_batch = [max(tokens // width, 1) for width in WIDTHS]
        return int(sum(-(-size // n) for size, n in zip(sizes, per_batch, strict=True)))


class Draw(NamedTuple):
    """The chances by which negatives are drawn: of an item's events, to the power of alpha."""

    cumulated: NDArray[np.float64]
    log_chances: NDArray[np.float32]

    @classmethod
    def of(cls, counts: NDArray[np.int64], alpha: float, negatives: int) -> Self:
        """Chances from the items' events; ``log_chances`` is ln of the expected draws."""
        weights = np.where(counts > 0, np.maximum(counts, 1).astype(float) ** alpha, 0.0)
        chances = weights / max(weights.sum(), 1e-12)
        with np.errstate(divide="ignore"):
            expected = np.log(chances * negatives)
        return cls(np.cumsum(chances), expected.astype(np.float32))


def epoch_batches(
    sessions: Sessions,
    pieces: Pieces,
    draw: Draw,
    *,
    tokens: int,
    negatives: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """All pieces once, in a new order, about ``tokens`` items a batch."""
    kinds = np.searchsorted(WIDTHS, pieces.lengths)
    batches = []
    for kind, width in enumerate(WIDTHS):
        rows = rng.permutation(np.flatnonzero(kinds == kind))
        size = max(tokens // width, 1)
        batches += [(width, size, rows[i : i + size]) for i in range(0, len(rows), size)]
    for place in rng.permutation(len(batches)):
        width, size, rows = batches[place]
        yield _batch(sessions, pieces, draw, width, size, rows, negatives, rng)


def _batch(
    sessions: Sessions,
    pieces: Pieces,
    draw: Draw,
    width: int,
    size: int,
    rows: NDArray[np.int64],
    negatives: int,
    rng: np.random.Generator,
) -> Batch:
    columns = np.arange(width + 1)
    last = np.zeros(size, dtype=np.int64)
    last[: len(rows)] = pieces.lengths[rows]
    starts = np.zeros(size, dtype=np.int64)
    starts[: len(rows)] = pieces.starts[rows]
    places = starts[:, None] + np.minimum(columns, last[:, None])
    whole = sessions.items[places]
    drawn = np.searchsorted(draw.cumulated, rng.random(negatives) * draw.cumulated[-1], "right")
    drawn = np.minimum(drawn, sessions.n_items - 1).astype(np.int32)
    is_step = columns[:-1] < last[:, None]
    return Batch(
        np.where(is_step, whole[:, :-1], -1).astype(np.int32),
        np.where(is_step, whole[:, 1:], -1).astype(np.int32),
        drawn,
        draw.log_chances[drawn],
    )
