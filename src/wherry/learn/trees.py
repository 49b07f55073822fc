"""Boosted trees as LightGBM writes them, read as text and added up without LightGBM.

A server then needs neither the library nor its threads, and ``trees.txt`` stays a file that
LightGBM itself can load.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wherry.errors import ModelError
from wherry.learn.kernel import kernel

_NUMERIC = 2
"""LightGBM's ``decision_type`` of a split on a number that is never missing."""


class Trees(NamedTuple):
    """Trees one after the other: ``roots`` (T,) are nodes, negative ones leaves.

    Node ``n`` sends a row whose ``features[n]`` is at most ``thresholds[n]`` to ``left[n]``,
    else to ``right[n]``; a child ``c`` < 0 is the leaf ``~c``, worth ``leaves[~c]``.
    """

    roots: NDArray[np.int32]
    features: NDArray[np.int32]
    thresholds: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaves: NDArray[np.float64]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text that LightGBM saves a model as.

        Raises:
            ModelError: the text is no such model, or one with splits by category.
        """
        try:
            trees = list(sections(text))
            return cls._joined(trees)
        except (KeyError, ValueError) as error:
            raise ModelError(
                f"These trees can't be read ({error!r}). Fit the model again."
            ) from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of LightGBM's; ModelError where it can't be."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"{path} can't be read ({error}). Fit the model again.") from error

    @classmethod
    def _joined(cls, trees: list[dict[str, str]]) -> Self:
        roots, nodes, leaves = [], 0, 0
        columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name in _COLUMNS}
        for tree in trees:
            values = {name: numbers(tree.get(name, "")) for name in _COLUMNS}
            n_splits = int(tree["num_leaves"]) - 1
            if (values["decision_type"] != _NUMERIC).any():
                raise ValueError("a split that is not on a number")
            if any(len(values[name]) != n_splits for name in _COLUMNS[:-1]):
                raise ValueError(f"a tree without its {n_splits} splits")
            roots.append(nodes if n_splits else ~leaves)
            for name in ("left_child", "right_child"):
                child = values[name]
                values[name] = np.where(child < 0, child - leaves, child + nodes)
            for name in _COLUMNS:
                columns[name].append(values[name])
            nodes, leaves = nodes + n_splits, leaves + n_splits + 1
        flat = {n: np.concatenate(parts) if parts else numbers("") for n, parts in columns.items()}
        if len(flat["leaf_value"]) != leaves:
            raise ValueError(f"{len(flat['leaf_value'])} leaves of {leaves}")
        return cls(
            np.array(roots, dtype=np.int32),
            flat["split_feature"].astype(np.int32),
            flat["threshold"],
            flat["left_child"].astype(np.int32),
            flat["right_child"].astype(np.int32),
            flat["leaf_value"],
        )


_COLUMNS = (
    "split_feature", "threshold", "left_child", "right_child", "decision_type", "leaf_value",
)  # fmt: skip


def sections(text: str) -> Iterator[dict[str, str]]:
    """The ``key=value`` lines of each tree."""
    if not text.startswith("tree\n") or "end of trees" not in text:
        raise ValueError("no model of LightGBM's, or one cut short")
    for section in text.split("end of trees")[0].split("\nTree=")[1:]:
        lines = (line.partition("=") for line in section.splitlines()[1:])
        yield {key: value for key, sign, value in lines if sign}


def numbers(text: str) -> NDArray[np.float64]:
    """The numbers of one line."""
    return np.array([float(word) for word in text.split()], dtype=np.float64)


@kernel
def add_up(trees: Trees, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the trees say of each row of features, (n,)."""
    sums = np.zeros(len(rows), dtype=np.float64)
    for root in trees.roots:  # one tree after the other: its nodes then stay in the cache
        for place in range(len(rows)):
            node = root
            while node >= 0:
                if rows[place, trees.features[node]] <= trees.thresholds[node]:
                    node = trees.left[node]
                else:
                    node = trees.right[node]
            sums[place] += trees.leaves[~node]
    return sums.astype(np.float32)
