"""What each feature adds to what boosted trees say of a row: Shapley values, exactly.

Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles"
(2018), in the variant that takes a feature away by following both branches, each by its share of
the training rows. LightGBM's ``pred_contrib`` computes the same.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wherry.learn.kernel import kernel
from wherry.learn.trees import Trees, numbers, sections


class Covers(NamedTuple):
    """How many training rows came to each node, (N,), and to each leaf, (L,), of some trees; and
    the node above each, -1 above a root."""

    nodes: NDArray[np.float64]
    leaves: NDArray[np.float64]
    above_nodes: NDArray[np.int32]
    above_leaves: NDArray[np.int32]

    @classmethod
    def parse(cls, text: str, trees: Trees) -> Self:
        """Read the counts off the text that ``trees`` were read from."""
        parts = list(sections(text))
        nodes = np.concatenate([numbers(part.get("internal_count", "")) for part in parts])
        leaves = np.concatenate(
            [
                numbers(part.get("leaf_count", "") if "internal_count" in part else "1")
                for part in parts
            ]
        )
        above_nodes = np.full(len(nodes), -1, dtype=np.int32)
        above_leaves = np.full(len(leaves), -1, dtype=np.int32)
        for children in (trees.left, trees.right):
            above = np.arange(len(children), dtype=np.int32)
            is_leaf = children < 0
            above_leaves[~children[is_leaf]] = above[is_leaf]
            above_nodes[children[~is_leaf]] = above[~is_leaf]
        return cls(nodes, leaves, above_nodes, above_leaves)


@kernel
def contributions(trees: Trees, covers: Covers, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each feature adds for each row, and in the last column the mean: (n, F + 1).

    A row of it sums to what :func:`wherry.learn.trees.add_up` says. A leaf's value counts, for a
    set of known features, with the product over the features above it: 1 or 0 if known, as the
    row goes; else the share of training rows that go there. The polynomial of (share + goes · x)
    over the features has, by degree, the sums over sets of each size.
    """
    n_features = rows.shape[1]
    found = np.zeros((len(rows), n_features + 1), dtype=np.float64)
    used = np.empty(n_features, dtype=np.int32)
    place_of = np.full(n_features, -1, dtype=np.int32)
    share = np.empty(n_features, dtype=np.float64)
    goes = np.empty(n_features, dtype=np.float64)
    sums = np.empty(n_features + 1, dtype=np.float64)
    by_size = _by_size(n_features)
    for leaf in range(len(trees.leaves)):
        value = trees.leaves[leaf]
        for place in range(len(rows)):
            depth = 0
            child, cover = ~leaf, covers.leaves[leaf]
            node = covers.above_leaves[leaf]
            while node >= 0:
                feature = trees.features[node]
                at = place_of[feature]
                if at < 0:
                    at = place_of[feature] = depth
                    used[depth], share[depth], goes[depth] = feature, 1.0, 1.0
                    depth += 1
                share[at] *= cover / covers.nodes[node]
                is_left = rows[place, feature] <= trees.thresholds[node]
                if is_left != (trees.left[node] == child):
                    goes[at] = 0.0
                child, cover = node, covers.nodes[node]
                node = covers.above_nodes[node]
            for at in range(depth):
                place_of[used[at]] = -1
            mean = _share_out(share[:depth], goes[:depth], sums, by_size, used, value, found[place])
            found[place, n_features] += value * mean
    return found


@kernel
def _share_out(
    share: NDArray[np.float64],
    goes: NDArray[np.float64],
    sums: NDArray[np.float64],
    by_size: NDArray[np.float64],
    used: NDArray[np.int32],
    value: float,
    found: NDArray[np.float64],
) -> float:
    """Add one leaf's value to the features above it; returns the share of rows that come there."""
    depth, known, all_shares = len(share), 0, 1.0
    sums[0] = 1.0
    for at in range(depth):
        all_shares *= share[at]
        if goes[at] == 1:
            known += 1
            sums[known] = 0.0
            for size in range(known, 0, -1):
                sums[size] = sums[size] * share[at] + sums[size - 1]
            sums[0] *= share[at]
        else:
            for size in range(known + 1):
                sums[size] *= share[at]
    for at in range(depth):
        total, above = 0.0, 0.0
        if goes[at] == 1:  # divide by (share + x), from the highest degree down
            for size in range(known, 0, -1):
                above = sums[size] - share[at] * above
                total += above * by_size[depth, size - 1]
        else:
            for size in range(known + 1):
                total += sums[size] / share[at] * by_size[depth, size]
        found[used[at]] += value * (goes[at] - share[at]) * total
    return all_shares


@kernel
def _by_size(n_features: int) -> NDArray[np.float64]:
    """The weight of a set of ``s`` of ``d`` features in a Shapley value: s! (d - 1 - s)! / d!."""
    weights = np.zeros((n_features + 1, n_features + 1), dtype=np.float64)
    for d in range(1, n_features + 1):
        weight = 1.0 / d
        for s in range(d):
            weights[d, s] = weight
            if s + 1 < d:
                weight *= (s + 1) / (d - 1 - s)
    return weights
