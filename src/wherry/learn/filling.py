"""What fills the places that a model leaves: the heads of lists, without what may not be shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.learn.ranking import Ranking

SPARE = 16
"""How many more than k are looked at at first, where some items may not be shown."""


def kept(ranking: Ranking, allowed: NDArray[np.bool_], taken: set[int]) -> Ranking:
    """A ranking without what is not allowed or is taken."""
    keep = np.array([code not in taken for code in ranking.items.tolist()], dtype=np.bool_)
    keep &= allowed[ranking.items]
    return Ranking(ranking.items[keep], ranking.scores[keep])


def by_category(
    popular: NDArray[np.int32], categories: NDArray[np.int32]
) -> dict[int, NDArray[np.int32]]:
    """Part a list of items by their category, keeping its order."""
    of = categories[popular]
    order = np.argsort(of, kind="stable")
    rows, starts = np.unique(of[order], return_index=True)
    parts = np.split(popular[order], starts[1:])
    return {int(row): part for row, part in zip(rows, parts, strict=False) if row >= 0}


def head_of(
    ranked: NDArray[np.int32], need: int, allowed: NDArray[np.bool_], taken: set[int]
) -> list[int]:
    """The first ``need`` of a list that are allowed and not taken."""
    depth = need + len(taken) + SPARE
    for head in (ranked[:depth], ranked):  # mostly most of them are allowed
        shown = head[allowed[head]][: need + len(taken)].tolist()
        found = [code for code in shown if code not in taken][:need]
        if len(found) == need or len(ranked) <= depth:
            break
    return found
