"""The true effect of a recommender: what the same shoppers do with what it shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.simulate.catalogue import Catalogue
from wherry.simulate.shopper import Manner, visit

Ask = Callable[[Sequence[int]], Sequence[int]]
"""Recommends: gets the items of the visit so far, the latest last, and shows items, best first."""


class Effect(msgspec.Struct, frozen=True, eq=False):
    """What came of each visit, (V,): lists shown, clicks on them, and whether it bought."""

    shown: NDArray[np.int64]
    clicks: NDArray[np.int64]
    bought: NDArray[np.bool_]

    @property
    def click_through(self) -> float:
        """Clicks for each list shown."""
        return float(self.clicks.sum() / max(self.shown.sum(), 1))

    @property
    def conversion(self) -> float:
        """The share of visits that bought."""
        return float(self.bought.mean())

    def error(self) -> float:
        """The standard error of the click-through, by the delta method over visits."""
        rest = self.clicks - self.click_through * self.shown
        return float(np.sqrt((rest**2).sum()) / max(self.shown.sum(), 1))


def measure_effect(
    shop: Catalogue,
    ask: Ask,
    *,
    visits: int,
    seed: int,
    liking: float = 0.4,
    manner: Manner | None = None,
) -> Effect:
    """Send so many visitors through a shop whose pages show what ``ask`` recommends.

    The same seed sends the same visitors, each with random numbers of its own, so that two
    recommenders are compared on one crowd.
    """
    manner = manner or Manner()
    shown, clicks = np.zeros((2, visits), dtype=np.int64)
    bought = np.zeros(visits, dtype=np.bool_)
    for number in range(visits):
        rng = np.random.default_rng([seed, number])
        walk = visit(shop, manner, float(rng.random()), liking, rng)
        session: list[int] = []
        page = next(walk)
        while True:
            session.append(page.item)
            shown[number] += 1
            try:
                page = walk.send(ask(session))
            except StopIteration as end:
                acts = end.value
                break
            clicks[number] += any(act.kind == "click" for act in page.acts)
        clicks[number] += any(act.kind == "click" for act in acts)
        bought[number] = any(act.kind == "purchase" for act in acts)
    return Effect(shown, clicks, bought)
