"""The catalogue as a model's answers need it: what may be shown, and by what it is filtered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain.rule import Filter, Range, Word
from wherry.errors import ModelError, UsageError, did_you_mean
from wherry.learn.arrays import frozen, load_array, save_arrays

LONGEST_WORD = 200
"""Values with more characters are texts to read, not something to filter by."""

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

_DTYPES = {
    "showable": np.bool_,
    "prices": np.float64,
    "categories": np.int32,
    "offsets": np.int64,
    "members": np.int32,
    "told_at": np.int64,
}
_TOLD_AT = "told_at.npy"


class _Words(msgspec.Struct, frozen=True):
    """The file ``catalogue.json``: the part of a catalogue that is no array."""

    names: tuple[str | None, ...]
    facets: dict[str, dict[str, int]]
    elsewhere: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Facts about the items of a vocabulary, by their numbers; the arrays are read-only.

    * ``names``: what a person calls each item, None if unknown
    * ``showable`` bool (n,): it exists and is available
    * ``prices`` float64 (n,), NaN if unknown
    * ``categories`` int32 (n,): each item's category, a row of ``facets["category"]``, or -1
    * ``facets``: attribute → value → row; the items with that value are
      ``members[offsets[row]:offsets[row + 1]]`` (int32 (M,) and int64 (R + 1,))
    * ``told_at`` int64 (n,): when it was told whether the item is available, in microseconds
      since 1970, UTC; 0 if it never was
    * ``elsewhere``: category of the items that the catalogue has and the vocabulary has not
    """

    names: tuple[str | None, ...]
    showable: NDArray[np.bool_]
    prices: NDArray[np.float64]
    categories: NDArray[np.int32]
    facets: Mapping[str, Mapping[str, int]]
    offsets: NDArray[np.int64]
    members: NDArray[np.int32]
    elsewhere: Mapping[str, int]
    told_at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if len(self.told_at) == 0:
            object.__setattr__(self, "told_at", np.zeros(len(self.names), dtype=np.int64))
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, frozen(getattr(self, name), dtype))
        by_item = (self.names, self.showable, self.prices, self.categories, self.told_at)
        sizes = {len(each) for each in by_item}
        rows = sum(len(values) for values in self.facets.values())
        if len(sizes) > 1 or len(self.offsets) != rows + 1 or self.offsets[-1] != len(self.members):
            raise ModelError(
                f"This catalogue doesn't fit together ({sorted(sizes)} items, {rows} values, "
                f"{len(self.offsets)} offsets). Build it with Catalogue.from_table."
            )

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def unknown(cls, n_items: int) -> Self:
        """What is known of items where there is no catalogue: nothing, and all may be shown."""
        return cls(
            names=(None,) * n_items,
            showable=np.ones(n_items, dtype=np.bool_),
            prices=np.full(n_items, np.nan),
            categories=np.full(n_items, -1, dtype=np.int32),
            facets={},
            offsets=np.zeros(1, dtype=np.int64),
            members=np.empty(0, dtype=np.int32),
            elsewhere={},
        )

    @classmethod
    def from_table(cls, ids: Sequence[str], table: Any) -> Self:
        """Read the facts about a vocabulary's items off an Arrow table of one tenant's items.

        Columns: ``item_id``, and where they exist ``name``, ``category``, ``price``,
        ``available`` (null: yes), ``available_told_at`` (UTC), ``attributes`` (a JSON object as
        text) and ``in_catalogue``. Where any item is in the catalogue, those that are not don't
        exist and are not shown, unless they were told to be available.

        Raises:
            ModelError: there is no ``item_id``, or attributes are no JSON object.
        """
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        if "item_id" not in columns:
            raise ModelError(f"A table of items needs item_id; it has {', '.join(columns)}.")
        blank = [None] * len(columns["item_id"])
        known = columns.get("in_catalogue", blank)
        has_catalogue = any(known)
        codes = {each: code for code, each in enumerate(ids)}
        names: list[str | None] = [None] * len(ids)
        showable = np.full(len(ids), not has_catalogue)
        prices = np.full(len(ids), np.nan)
        told_at = np.zeros(len(ids), dtype=np.int64)
        facets = _Facets()
        for item, name, category, price, available, told, attributes, is_known in zip(
            columns["item_id"],
            *(columns.get(c, blank) for c in ("name", "category", "price", "available")),
            columns.get("available_told_at", blank),
            columns.get("attributes", blank),
            known,
            strict=True,
        ):
            code = codes.get(item)
            if code is None:
                facets.elsewhere(item, category)
                continue
            names[code] = name
            is_told = available is True and told is not None
            is_listed = is_known or not has_catalogue or is_told
            showable[code] = available is not False and is_listed
            told_at[code] = 0 if told is None else (told - _EPOCH) // _MICROSECOND
            prices[code] = np.nan if price is None else float(price)
            facets.add(code, {**attributes_of(item, attributes), "category": category})
        return cls(
            names=tuple(names),
            showable=showable,
            prices=prices,
            told_at=told_at,
            **facets.arrays(len(ids)),
        )

    def with_availability(self, told: Mapping[int, bool]) -> Self:
        """The same catalogue where some items, by their numbers, may be shown or not."""
        showable = self.showable.copy()
        showable[[*told]] = [*told.values()]
        return replace(self, showable=showable)

    def category_of(self, item: str) -> int:
        """The category of an item that the vocabulary doesn't have; -1 if it isn't known."""
        return self.elsewhere.get(item, -1)

    def matching(self, wanted: Filter) -> NDArray[np.bool_]:
        """Which items may be shown and have all that is wanted, a new mask (n,).

        A value that no item has matches nothing.

        Raises:
            UsageError: no item has such an attribute, or a range isn't one of prices.
        """
        return self.showable & self.having(wanted)

    def having(self, wanted: Filter) -> NDArray[np.bool_]:
        """Which items have all that is wanted, available or not; see :meth:`matching`."""
        mask = np.ones(len(self), dtype=np.bool_)
        for attribute, value in wanted.items():
            mask &= self._having(attribute, value)
        return mask

    def _having(self, attribute: str, value: Word | Sequence[Word] | Range) -> NDArray[np.bool_]:
        if isinstance(value, Range):
            return self._priced(attribute, value)
        if attribute == "price":
            raise UsageError('Prices are filtered by a range such as {"min": 5, "max": 20}.')
        values = self.facets.get(attribute)
        if values is None:
            known = [*self.facets, "price"]
            raise UsageError(
                f"No item has an attribute {attribute!r}.{did_you_mean(attribute, known)} "
                f"Items can be filtered by {', '.join(sorted(known))}."
            )
        mask = np.zeros(len(self), dtype=np.bool_)
        for each in value if isinstance(value, (list, tuple)) else [value]:
            row = values.get(word(each))
            if row is not None:
                mask[self.members[self.offsets[row] : self.offsets[row + 1]]] = True
        return mask

    def _priced(self, attribute: str, bounds: Range) -> NDArray[np.bool_]:
        if attribute != "price":
            raise UsageError(f"A range can be asked of price alone, not of {attribute!r}.")
        low = -np.inf if bounds.min is None else bounds.min
        high = np.inf if bounds.max is None else bounds.max
        if not low <= high:
            raise UsageError(f"The price range from {low:g} to {high:g} is empty; swap the two.")
        return (self.prices >= low) & (self.prices <= high)

    def save(self, folder: Path) -> None:
        """Write the arrays as ``.npy`` and the words as ``catalogue.json`` into a folder."""
        save_arrays(folder, **{name: getattr(self, name) for name in _DTYPES})
        words = _Words(self.names, _plain(self.facets), dict(self.elsewhere))
        (folder / "catalogue.json").write_bytes(msgspec.json.encode(words))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ModelError where it can't be."""
        path = folder / "catalogue.json"
        try:
            words = msgspec.json.decode(path.read_bytes(), type=_Words)
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} can't be read ({error}). Release the model again.") from error
        # Releases from before availability could be told over HTTP know of no telling.
        names = [name for name in _DTYPES if name != "told_at" or (folder / _TOLD_AT).exists()]
        arrays = {name: load_array(folder, name) for name in names}
        return cls(names=words.names, facets=words.facets, elsewhere=words.elsewhere, **arrays)


def word(value: Word) -> str:
    """One spelling for a value, whether it comes from JSON, a link or the catalogue.

    >>> word(True), word(5), word(5.0), word("5")
    ('true', '5', '5', '5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _plain(facets: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {attribute: dict(values) for attribute, values in facets.items()}


def attributes_of(item: str, text: str | None) -> dict[str, Any]:
    """An item's attributes, off their JSON; none where there is no text.

    Raises:
        ModelError: the text is no JSON object.
    """
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ModelError(
            f"The attributes of item {item!r} are no JSON object ({error}): {text[:80]!r}. "
            "Correct the catalogue file and import it again."
        ) from error


class _Facets:
    """The rows of facets while a catalogue is read."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, int]] = {}
        self._members: list[list[int]] = []
        self._elsewhere: dict[str, int] = {}

    def add(self, code: int, attributes: dict[str, Any]) -> None:
        for attribute, value in attributes.items():
            if attribute in ("price", "name"):
                continue  # told by columns of their own
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, (str, bool, int, float)):
                    text = word(each)
                    if len(text) <= LONGEST_WORD:
                        self._members[self._row(attribute, text)].append(code)

    def elsewhere(self, item: str, category: str | None) -> None:
        if category is not None:
            self._elsewhere[item] = self._row("category", category)

    def _row(self, attribute: str, text: str) -> int:
        values = self._rows.setdefault(attribute, {})
        if text not in values:
            values[text] = len(self._members)
            self._members.append([])
        return values[text]

    def arrays(self, n_items: int) -> dict[str, Any]:
        members = np.array([c for row in self._members for c in row], dtype=np.int32)
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in self._members])))
        categories = np.full(n_items, -1, dtype=np.int32)
        for row in self._rows.get("category", {}).values():
            categories[self._members[row]] = row
        return {
            "facets": self._rows,
            "offsets": offsets,
            "members": members,
            "categories": categories,
            "elsewhere": self._elsewhere,
        }


def category_rows(catalogue: Catalogue, wanted: Iterable[Word]) -> list[int]:
    """The rows of the categories with these names, without those that no item has."""
    values = catalogue.facets.get("category", {})
    return [values[word(each)] for each in wanted if word(each) in values]
