"""The sessions of a part of a day: how long they are, when they happen, what they look at."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.simulate.catalogue import BACK, DRIFT, FOLLOW, FOLLOWERS, Catalogue
from wherry.simulate.params import ShopShape

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Visits(msgspec.Struct, frozen=True, eq=False):
    """Sessions (length S) as moments (length M) of browsing, and the views (length V) in them.

    Each moment is a page; where ``is_view``, a product's page. Moments and views lie session by
    session, in order. ``moment_times`` are milliseconds since the day began; ``slots`` are the
    catalogue's slots that the views are of.
    """

    lengths: Ints
    moments: Ints
    views: Ints
    moment_times: Ints
    is_view: NDArray[np.bool_]
    slots: NDArray[np.int32]

    @property
    def moment_starts(self) -> Ints:
        """The place of each session's first moment."""
        return starts(self.moments)

    @property
    def view_starts(self) -> Ints:
        """The place of each session's first view."""
        return starts(self.views)

    @property
    def view_times(self) -> Ints:
        """The times of the views."""
        return self.moment_times[self.is_view]


def starts(counts: Ints) -> Ints:
    """The place of each group's first row, for groups that lie one behind the other."""
    begins: Ints = np.cumsum(counts) - counts
    return begins


def draw_visits(
    rng: np.random.Generator, shop: Catalogue, shape: ShopShape, *, begins: Ints, tastes: Floats
) -> Visits:
    """Draw one session for each beginning (milliseconds of the day).

    ``tastes`` are the visitors' (uniform, one a session): the place in the shop that they like.
    """
    lengths = _lengths(rng, shape, len(begins))
    views = _views(rng, shape, lengths)
    moments = lengths - views
    return Visits(
        lengths=lengths,
        moments=moments,
        views=views,
        moment_times=_times(rng, shape, begins, moments),
        is_view=_spread(rng, views, moments),
        slots=_walk(rng, shop, shape, views, tastes),
    )


def _lengths(rng: np.random.Generator, shape: ShopShape, sessions: int) -> Ints:
    """Events of each session, pages of views included, along the curve of quantiles."""
    quantile, length = np.array(shape.lengths).T
    drawn = np.exp(np.interp(rng.random(sessions), quantile, np.log(length)))
    whole: Ints = drawn.astype(np.int64)
    return whole


def _views(rng: np.random.Generator, shape: ShopShape, lengths: Ints) -> Ints:
    """Views of each session: a view takes two events, its page and itself."""
    most = lengths // 2
    share = rng.random(len(lengths)) ** shape.view_bend
    views: Ints = np.maximum(np.rint(share * most).astype(np.int64), 1)
    views[(rng.random(len(lengths)) >= shape.view_chance) | (most == 0)] = 0
    return views


def _spread(rng: np.random.Generator, views: Ints, moments: Ints) -> NDArray[np.bool_]:
    """Which moments are views: evenly spread from a random phase, so the count is exact."""
    number = np.arange(moments.sum()) - np.repeat(starts(moments), moments)
    rate = np.repeat(views / moments, moments)
    phase = np.repeat(rng.random(len(moments)), moments)
    # The rate times the number of moments has to be whole: half a billionth forgives rounding.
    before = np.floor(number * rate + phase + 5e-10)
    is_view: NDArray[np.bool_] = np.floor((number + 1) * rate + phase + 5e-10) > before
    return is_view


def _times(rng: np.random.Generator, shape: ShopShape, begins: Ints, moments: Ints) -> Ints:
    """Times of the moments, by log-normal gaps that never reach a session's idle limit."""
    first = starts(moments)
    gaps = pauses(rng, shape.gap_seconds, shape.gap_spread, int(moments.sum()))
    gaps[first] = 0
    walked = np.cumsum(gaps)
    times: Ints = walked + np.repeat(begins - walked[first], moments)
    return times


def pauses(rng: np.random.Generator, median: float, spread: float, count: int) -> Ints:
    """Log-normal pauses in milliseconds, at most 25 minutes."""
    drawn = np.exp(rng.standard_normal(count, dtype=np.float32) * np.float32(spread))
    limited: Ints = np.minimum(drawn * np.float32(median * 1000), 1_500_000).astype(np.int64)
    return limited


def _walk(
    rng: np.random.Generator, shop: Catalogue, shape: ShopShape, views: Ints, tastes: Floats
) -> NDArray[np.int32]:
    """The slots that each session looks at: one step of all sessions at a time.

    A visitor comes back to an earlier slot, goes on to one that tends to follow the last,
    takes another of the session's theme, drifts to another theme of the department, or leaps
    anywhere for once. The session's theme is that of its ``home``, which only a drift changes.
    """
    first = starts(views)
    slots = np.empty(int(views.sum()), np.int32)
    homes = np.empty(len(views), np.int32)
    order = np.argsort(-views, kind="stable")
    alive = np.cumsum(np.bincount(views)[::-1])[::-1]
    for step in range(len(alive) - 1):
        who = order[: alive[step + 1]]
        if step == 0:
            slots[first[who]] = homes[who] = _first_slots(rng, shop, shape, tastes[who])
        else:
            taken, homes[who] = _next_slots(rng, shop, shape, slots, first[who], step, homes[who])
            slots[first[who] + step] = taken
    return slots


def _first_slots(
    rng: np.random.Generator, shop: Catalogue, shape: ShopShape, tastes: Floats
) -> NDArray[np.int32]:
    """Start in the theme of one's taste, or anywhere."""
    liked = shop.draw_in_theme(shop.draw_anywhere(tastes), rng.random(len(tastes)))
    anywhere = shop.draw_anywhere(rng.random(len(tastes)))
    return np.where(rng.random(len(tastes)) < shape.taste, liked, anywhere)


def _next_slots(
    rng: np.random.Generator,
    shop: Catalogue,
    shape: ShopShape,
    slots: NDArray[np.int32],
    first: Ints,
    step: int,
    homes: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The slots of the given step of the sessions whose views begin at ``first``; new homes."""
    last = slots[first + step - 1]
    uniform, again = rng.random((2, len(first)))
    limits = np.cumsum([shape.back, shape.follow, shape.theme, shape.department])
    way = np.searchsorted(limits, rng.random(len(first)), side="right")
    # Visitors come back to what they saw just before rather than to what is long past.
    back = slots[first + step - 1 - (uniform**3 * step).astype(np.int64)]
    # The first follower is the likeliest: its share of a squared uniform is the largest.
    follow = shop.followers[last, (uniform**2 * FOLLOWERS).astype(np.int64)]
    drawn = np.where(way == FOLLOW, follow, shop.draw(*shop.ranges(homes, way), uniform))
    # A popular item fills slots of many themes: to draw it twice in a row is to look on.
    same = np.flatnonzero(shop.slot_items[drawn] == shop.slot_items[last])
    around = shop.ranges(homes[same], np.full(len(same), DRIFT))
    drawn[same] = shop.draw(*around, again[same])
    return np.where(way == BACK, back, drawn), np.where(way == DRIFT, drawn, homes)
