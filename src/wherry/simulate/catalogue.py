"""The products of a simulated shop, and the latent themes that visitors follow."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wherry.domain import TenantId
from wherry.simulate.words import (
    ADJECTIVES,
    CATEGORIES,
    MATERIALS,
    NOUNS,
    NOUNS_EACH,
    product_words,
)

THEME_SLOTS = 40
FOLLOWERS = 3
SLOTS_PER_ITEM = 5
SPREAD = 0.75
CATEGORIES_PER_DEPARTMENT = 4
DEPARTMENTS = len(CATEGORIES) // CATEGORIES_PER_DEPARTMENT
BACK, FOLLOW, THEME, DRIFT, LEAP = range(5)
"""A visitor's ways to the next item; see ``visits``."""

ITEMS_SCHEMA = pa.schema(
    [
        ("tenant", pa.string()),
        ("item_id", pa.string()),
        ("name", pa.string()),
        ("category", pa.string()),
        ("price", pa.float64()),
        ("available", pa.bool_()),
    ]
)


class Catalogue(msgspec.Struct, frozen=True, eq=False):
    """A shop's items (arrays of length I) and the slots that they fill in themes (length S).

    A theme is a run of about ``THEME_SLOTS`` slots of one department. An item fills the more
    slots the more popular it is, so one item alone doesn't tell which theme a session follows,
    and several together do: that a model of sessions can learn, and a popularity list can't.
    ``edges`` (S + 1) cumulates the slots' weights, so that a draw from one theme, one department
    or the whole shop is a uniform draw between two edges, and each keeps the item's popularity.
    ``followers`` (S, ``FOLLOWERS``) holds the slots of the same theme that tend to come next.
    """

    category: NDArray[np.int64]
    price: NDArray[np.float64]
    available: NDArray[np.bool_]
    query: NDArray[np.int64]
    names: list[str]
    slot_items: NDArray[np.int32]
    edges: NDArray[np.float64]
    department_slots: NDArray[np.int64]
    theme_low: NDArray[np.int64]
    theme_high: NDArray[np.int64]
    followers: NDArray[np.int32]

    @property
    def size(self) -> int:
        """The number of items."""
        return len(self.category)

    def draw(
        self,
        low: NDArray[np.int64] | int,
        high: NDArray[np.int64] | int,
        uniform: NDArray[np.float64],
    ) -> NDArray[np.int32]:
        """Draw one slot from each range of slots [low, high), by weight."""
        return _draw(self.edges, low, high, uniform)

    def draw_anywhere(self, uniform: NDArray[np.float64]) -> NDArray[np.int32]:
        """Draw slots from the whole shop, by weight."""
        return self.draw(0, len(self.slot_items), uniform)

    def draw_in_theme(
        self, slots: NDArray[np.int32], uniform: NDArray[np.float64]
    ) -> NDArray[np.int32]:
        """Draw slots from the themes of the given slots, by weight."""
        return self.draw(self.theme_low[slots], self.theme_high[slots], uniform)

    def ranges(
        self, slots: NDArray[np.int32], way: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where to draw from: the slot's department (``DRIFT``), the shop (``LEAP``), its theme."""
        department = self.category[self.slot_items[slots]] // CATEGORIES_PER_DEPARTMENT
        wide, whole = way == DRIFT, way == LEAP
        low = np.where(
            whole, 0, np.where(wide, self.department_slots[department], self.theme_low[slots])
        )
        ends = self.department_slots[department + 1]
        return low, np.where(
            whole, len(self.slot_items), np.where(wide, ends, self.theme_high[slots])
        )

    def table(self, tenant: TenantId) -> pa.Table:
        """The catalogue as rows of ``items.parquet``."""
        return pa.table(
            {
                "tenant": [tenant] * self.size,
                "item_id": item_ids(range(self.size)),
                "name": self.names,
                "category": [CATEGORIES[code] for code in self.category],
                "price": self.price,
                "available": self.available,
            },
            schema=ITEMS_SCHEMA,
        )


def item_ids(items: Iterable[int]) -> list[str]:
    """The shop's words for items, such as ``P000042``."""
    return [f"P{item:06d}" for item in items]


def build_catalogue(
    rng: np.random.Generator, *, items: int, popularity: tuple[tuple[float, float], ...]
) -> Catalogue:
    """Make a shop of ``items`` products.

    ``popularity`` is the curve of concentration that item weights follow: points (share of
    the products, the most popular first; share of interactions that they take).
    """
    weight = rng.permutation(_weights(items, popularity))
    category = np.sort(rng.integers(len(CATEGORIES), size=items))
    slot_items, edges, theme = _slots(rng, weight, category // CATEGORIES_PER_DEPARTMENT)
    low = np.searchsorted(theme, theme, side="left")
    high = np.searchsorted(theme, theme, side="right")
    serial = np.arange(items) - np.searchsorted(category, category)
    adjective, material, noun, mark = product_words(serial)
    level = np.exp(rng.normal(3.2, 0.6, len(CATEGORIES)))
    return Catalogue(
        category=category,
        price=np.round(level[category] * np.exp(rng.normal(0, 0.5, items)), 2),
        available=rng.random(items) < 0.97,
        query=_queries(rng, category, material, noun),
        names=_names(category, adjective, material, noun, mark),
        slot_items=slot_items,
        edges=edges,
        department_slots=np.searchsorted(
            category[slot_items] // CATEGORIES_PER_DEPARTMENT, np.arange(DEPARTMENTS + 1)
        ),
        theme_low=low,
        theme_high=high,
        followers=_followers(rng, edges, low, high),
    )


def _weights(items: int, popularity: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Weights of items, most popular first, along the curve of concentration."""
    rank = np.arange(items + 1) / items
    share, taken = np.array([(0.0, 0.0), *popularity, (1.0, 1.0)]).T
    # On this scale the curve is nearly straight between the points, so no steps show.
    bend = 0.3
    return np.diff(np.interp(rank**bend, share**bend, taken))


def _slots(
    rng: np.random.Generator, weight: NDArray[np.float64], department: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Deal the items into slots; returns items and edges, as above, and where themes begin (S + 1).

    A department's items, shuffled, are dealt to its themes in turn. So an item that fills
    several slots fills them in different themes, as long as there are enough of them.
    """
    wanted = weight**SPREAD / (weight**SPREAD).sum() * SLOTS_PER_ITEM * len(weight)
    in_department = np.bincount(department, wanted, minlength=DEPARTMENTS)
    themes = np.ceil(in_department / THEME_SLOTS).astype(np.int64)
    count = np.clip(np.rint(wanted).astype(np.int64), 1, np.maximum(1, themes[department]))
    shuffled = np.lexsort((rng.random(len(weight)), department))
    items = np.repeat(shuffled.astype(np.int32), count[shuffled])
    place = np.arange(len(items)) - np.searchsorted(department[items], department[items])
    theme = (np.cumsum(themes) - themes)[department[items]] + place % themes[department[items]]
    order = np.argsort(theme, kind="stable")
    items, theme = items[order], theme[order]
    edges = np.concatenate([[0.0], np.cumsum((weight / count)[items])])
    return items, edges, theme


def _followers(
    rng: np.random.Generator,
    edges: NDArray[np.float64],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Draw for each slot the slots of its theme that tend to come next, by weight."""
    draws = [_draw(edges, low, high, rng.random(len(low))) for _ in range(FOLLOWERS)]
    return np.stack(draws, axis=1)


def _draw(
    edges: NDArray[np.float64],
    low: NDArray[np.int64] | int,
    high: NDArray[np.int64] | int,
    uniform: NDArray[np.float64],
) -> NDArray[np.int32]:
    bottom = edges[low]
    point = bottom + uniform * (edges[high] - bottom)
    # The last point of a range may round up to its end.
    drawn = np.searchsorted(edges[1:-1], point, side="right")
    return np.minimum(drawn, np.subtract(high, 1)).astype(np.int32)


def _queries(
    rng: np.random.Generator,
    category: NDArray[np.int64],
    material: NDArray[np.int64],
    noun: NDArray[np.int64],
) -> NDArray[np.int64]:
    """What a visitor types to find each item: an index into ``query_words()``."""
    nouns = len(CATEGORIES) * NOUNS_EACH
    typed = np.where(rng.random(len(noun)) < 0.5, material + 1, 0)
    return typed * nouns + category * NOUNS_EACH + noun


def _names(
    category: NDArray[np.int64],
    adjective: NDArray[np.int64],
    material: NDArray[np.int64],
    noun: NDArray[np.int64],
    mark: NDArray[np.int64],
) -> list[str]:
    """Readable names, each once: ``Quiet Walnut Desk``, and ``... Mk 2`` when words run out."""
    nouns = [NOUNS[name] for name in CATEGORIES]
    rows = zip(
        *(part.tolist() for part in (category, adjective, material, noun, mark)), strict=True
    )
    return [
        f"{ADJECTIVES[a]} {MATERIALS[m]} {nouns[c][n]}" + (f" Mk {k + 1}" if k else "")
        for c, a, m, n, k in rows
    ]
