"""Texts: what the catalogue says of items in words, as weighted terms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherry.learn.catalogue import attributes_of

LONGEST_TEXT = 200
"""Words of one item that are looked at; what comes later in a description says little."""

CATEGORY_WEIGHT = 2.0
"""How much more than one word the category as a whole weighs, before its rarity counts."""

_WORD = re.compile(r"\w+")


class Terms(NamedTuple):
    """The terms of item ``i`` are ``terms[offsets[i]:offsets[i + 1]]``, the rarest first.

    ``weights`` (T,) are the coordinates of a unit vector each, of no length for an item
    without a text. ``n_terms`` is the number of different terms.
    """

    offsets: NDArray[np.int64]
    terms: NDArray[np.int32]
    weights: NDArray[np.float32]
    n_terms: int


def read_texts(ids: Sequence[str], table: Any) -> list[dict[str, float]]:
    """The terms of each item with their weights, off an Arrow table of one tenant's items.

    Columns: ``item_id``, and where they exist ``name``, ``category`` and ``attributes`` (a JSON
    object as text). Each word counts once an item, wherever it stands; the category counts as
    a whole besides. Numbers say too little about likeness and are left out.
    """
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    blank = [None] * len(columns["item_id"])
    codes = {each: code for code, each in enumerate(ids)}
    texts: list[dict[str, float]] = [{} for _ in ids]
    for item, name, category, attributes in zip(
        columns["item_id"],
        *(columns.get(column, blank) for column in ("name", "category", "attributes")),
        strict=True,
    ):
        code = codes.get(item)
        if code is not None:
            texts[code] = _terms(name, category, attributes_of(item, attributes))
    return texts


def _terms(name: str | None, category: str | None, attributes: dict[str, Any]) -> dict[str, float]:
    terms: dict[str, float] = {}
    for text in (name, category, *_strings(attributes.values())):
        for word in _WORD.findall((text or "").casefold()):
            if len(terms) < LONGEST_TEXT:
                terms[word] = 1.0
    if category:
        terms[f"category: {category}"] = CATEGORY_WEIGHT  # no word has a space in it
    return terms


def _strings(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield each


def weigh(texts: Sequence[dict[str, float]]) -> Terms:
    """Weigh terms by their rarity (tf-idf), as a unit vector an item.

    A term's coordinate is its weight times ln(items with a text / items with the term).
    """
    numbers: dict[str, int] = {}
    for text in texts:
        for term in text:
            numbers.setdefault(term, len(numbers))
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    n = int(offsets[-1])
    terms = np.fromiter((numbers[t] for text in texts for t in text), np.int32, n)
    weights = np.fromiter((w for text in texts for w in text.values()), np.float64, n)
    frequency = np.bincount(terms, minlength=len(numbers))
    owner = np.repeat(np.arange(len(texts)), lengths)
    order = np.lexsort((terms, frequency[terms], owner))
    terms, weights = terms[order], weights[order]
    weights = weights * np.log(np.count_nonzero(lengths) / frequency[terms])
    norms = np.sqrt(np.bincount(owner, weights**2, minlength=len(texts)))[owner]
    return Terms(
        offsets, terms, (weights / np.maximum(norms, 1e-12)).astype(np.float32), len(numbers)
    )
