"""A shopper who answers to what is shown: looks down the list, clicks, wanders on, buys, leaves.

How a shopper decides is known, so the true click-through of whatever recommends is known too:
the same shoppers can be sent to it again and again (:mod:`.effect`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec
import numpy as np

from wherry.simulate.catalogue import CATEGORIES_PER_DEPARTMENT, FOLLOWERS, Catalogue


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How shoppers take what they are shown.

    ``attention``: the chance to look at the next place of a list, having looked at the one
    before; so place *i*, from 0, is looked at with ``attention`` to the power of *i* (position
    bias). A look becomes a click with a chance of ``liked`` for an item of the theme that the
    visit is about, ``near`` for one of its department, ``other`` else; ``following`` times as
    much for what tends to come after the item at hand. Each showing before in the same visit
    leaves ``fatigue`` of it, and an item that was looked at already ``known``.

    Whoever clicks nothing leaves with a chance of ``leave``, or wanders on by the shop's own
    pages: within the theme, or with a chance of ``drift`` to another of the department. An item
    looked at is added with a chance of ``add``, and a visit with adds buys with ``buy``.
    """

    attention: float = 0.85
    liked: float = 0.10
    near: float = 0.02
    other: float = 0.003
    following: float = 1.5
    fatigue: float = 0.6
    known: float = 0.3
    leave: float = 0.35
    drift: float = 0.05
    add: float = 0.05
    buy: float = 0.4
    most_pages: int = 30


class Act(msgspec.Struct, frozen=True):
    """One thing that a shopper did with an item; ``position``, from 0, where it was clicked."""

    kind: str
    item: int
    position: int | None = None


class Page(msgspec.Struct, frozen=True):
    """A page that the shopper opened: the item on it, and what was done since the page before.

    The driver answers with the items that the page recommends, best first.
    """

    item: int
    acts: tuple[Act, ...]


Visit = Generator[Page, Sequence[int], tuple[Act, ...]]
"""A visit, page by page; what was done on the last page, purchases included, is its value."""


def visit(
    shop: Catalogue, manner: Manner, taste: float, liking: float, rng: np.random.Generator
) -> Visit:
    """Walk through a shop once.

    ``taste`` (0 to 1) is the place in the shop that the visitor likes; the visit begins there
    with a chance of ``liking``, else anywhere.
    """
    return _Shopper(shop, manner, rng).walk(taste, liking)


class _Shopper:
    """One visit: the theme that it is about, and what was seen and shown so far."""

    def __init__(self, shop: Catalogue, manner: Manner, rng: np.random.Generator) -> None:
        self._shop, self._manner, self._rng = shop, manner, rng
        self._seen: set[int] = set()
        self._shown: dict[int, int] = {}
        self._added: list[int] = []

    def walk(self, taste: float, liking: float) -> Visit:
        slot = self._begin(taste, liking)
        item = self._item(slot)
        acts: tuple[Act, ...] = ()
        for _ in range(self._manner.most_pages):
            self._seen.add(item)
            shown = yield Page(item, (*acts, Act("view", item)))
            added = self._add(item)
            position = self._click(shown)
            if position is not None:
                item = shown[position]
                slot = self._slot_of(item, slot)
                acts = (*added, Act("click", item, position))
            elif self._rng.random() < self._manner.leave:
                return (*added, *self._buy())
            else:
                slot = self._wander(slot)
                item, acts = self._item(slot), added
        return (*acts, *self._buy())

    def _begin(self, taste: float, liking: float) -> int:
        start = taste if self._rng.random() < liking else self._rng.random()
        return self._about(int(self._shop.draw_anywhere(np.array([start]))[0]), self._rng.random())

    def _about(self, home: int, place: float) -> int:
        """Make a slot's theme what the visit is about, and take a slot of it."""
        shop = self._shop
        low, high = int(shop.theme_low[home]), int(shop.theme_high[home])
        self._theme = frozenset(shop.slot_items[low:high].tolist())
        self._department = self._department_of(self._item(home))
        self._home = home
        return int(shop.draw_in_theme(np.array([home]), np.array([place]))[0])

    def _wander(self, slot: int) -> int:
        """The next slot by the shop's own pages."""
        if self._rng.random() < self._manner.drift:
            low, high = self._shop.department_slots[self._department :][:2].tolist()
            home = int(self._shop.draw(low, high, self._rng.random(1))[0])
            return self._about(home, self._rng.random())
        return int(self._shop.draw_in_theme(np.array([self._home]), self._rng.random(1))[0])

    def _click(self, shown: Sequence[int]) -> int | None:
        """Look down the list until something is clicked, or attention ends."""
        manner, clicked = self._manner, None
        looks = self._rng.random((2, len(shown)))
        for position, item in enumerate(shown):
            if position and looks[0, position] >= manner.attention:
                break
            appeal = self._appeal(item)
            self._shown[item] = self._shown.get(item, 0) + 1
            if looks[1, position] < appeal:
                clicked = position
                break
        return clicked

    def _appeal(self, item: int) -> float:
        """The chance that a look at an item becomes a click."""
        manner = self._manner
        if item in self._theme:
            appeal = manner.liked
        elif self._department_of(item) == self._department:
            appeal = manner.near
        else:
            appeal = manner.other
        if item in self._next:
            appeal *= manner.following
        if item in self._seen:
            appeal *= manner.known
        return appeal * float(manner.fatigue ** self._shown.get(item, 0))

    def _item(self, slot: int) -> int:
        self._next = frozenset(
            self._shop.slot_items[self._shop.followers[slot, :FOLLOWERS]].tolist()
        )
        return int(self._shop.slot_items[slot])

    def _slot_of(self, item: int, before: int) -> int:
        """A slot that a clicked item fills: of the theme where it has one, else any."""
        places = np.flatnonzero(self._shop.slot_items == item)
        if not len(places):
            return before
        low, high = self._shop.theme_low[self._home], self._shop.theme_high[self._home]
        within = places[(places >= low) & (places < high)]
        slot = int((within if len(within) else places)[0])
        self._item(slot)
        return slot

    def _department_of(self, item: int) -> int:
        if not 0 <= item < self._shop.size:
            return -1
        return int(self._shop.category[item]) // CATEGORIES_PER_DEPARTMENT

    def _add(self, item: int) -> tuple[Act, ...]:
        if item in self._added or self._rng.random() >= self._manner.add:
            return ()
        self._added.append(item)
        return (Act("add", item),)

    def _buy(self) -> tuple[Act, ...]:
        if not self._added or self._rng.random() >= self._manner.buy:
            return ()
        return tuple(Act("purchase", item) for item in self._added)
