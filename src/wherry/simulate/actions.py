"""What visitors do beside browsing: searches, adds, removes and purchases."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.simulate.catalogue import Catalogue
from wherry.simulate.params import ShopShape
from wherry.simulate.visits import Ints, Visits, pauses


class Actions(msgspec.Struct, frozen=True, eq=False):
    """Actions of one kind: arrays of one length; ``subjects`` are items, or queries of searches."""

    sessions: Ints
    times: Ints
    subjects: NDArray[np.int64] | NDArray[np.int32]


def draw_searches(
    rng: np.random.Generator, shop: Catalogue, shape: ShopShape, visits: Visits
) -> Actions:
    """Draw searches: the longer a session the likelier, each for the item seen next."""
    searching = rng.random(len(visits.lengths)) > (1 - shape.search_chance) ** visits.lengths
    sessions = _repeated(rng, np.flatnonzero(searching), shape.further_searches)
    within = (rng.random(len(sessions)) * visits.moments[sessions]).astype(np.int64)
    moment = visits.moment_starts[sessions] + within
    times = visits.moment_times[moment] - rng.integers(1_000, 8_000, len(sessions))
    slots = shop.draw_anywhere(rng.random(len(sessions)))
    seen = visits.views[sessions] > 0
    # The number of views before a moment is the place of the view that comes next.
    following = np.cumsum(visits.is_view)[moment] - visits.is_view[moment]
    last = visits.view_starts + visits.views - 1
    slots[seen] = visits.slots[np.minimum(following, last[sessions])[seen]]
    return Actions(sessions, times, shop.query[shop.slot_items[slots]])


def draw_cart(
    rng: np.random.Generator, shop: Catalogue, shape: ShopShape, visits: Visits
) -> tuple[Actions, Actions, Actions]:
    """Draw adds, removes and purchases; only what was seen in the session is added or bought."""
    adding, buying, straight = _decisions(rng, shape, visits)
    adds = _adds(rng, shop, shape, visits, adding)
    removes = np.repeat(
        np.arange(len(adds.times)), rng.poisson(shape.removes_per_add, len(adds.times))
    )
    waits = pauses(rng, shape.seconds_to_remove, shape.action_spread, len(removes))
    removed = Actions(adds.sessions[removes], adds.times[removes] + waits, adds.subjects[removes])
    return adds, removed, _purchases(rng, shop, shape, visits, adds, buying, straight)


def _decisions(
    rng: np.random.Generator, shape: ShopShape, visits: Visits
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which sessions add, which of all buy what they added, and which buy without an add."""
    length, chance = np.array(shape.conversion).T
    buys = np.interp(np.log(visits.lengths), np.log(length), chance) * shape.conversion_scale
    buys[visits.views == 0] = 0
    adds = np.minimum(buys * (1 - shape.bought_without_add) / shape.adds_bought, 1)
    adding, buying, straight = rng.random((3, len(buys)))
    added = adding < adds
    # A straight purchase is drawn among the sessions that don't add, hence the division.
    rate = buys * shape.bought_without_add / np.maximum(1 - adds, 0.1)
    return added, added & (buying < shape.adds_bought), ~added & (straight < rate)


def _adds(
    rng: np.random.Generator,
    shop: Catalogue,
    shape: ShopShape,
    visits: Visits,
    adding: NDArray[np.bool_],
) -> Actions:
    sessions = _repeated(rng, np.flatnonzero(adding), shape.further_adds)
    view = _some_view(rng, visits, sessions)
    waits = pauses(rng, shape.seconds_to_add, shape.action_spread, len(view))
    return Actions(sessions, visits.view_times[view] + waits, shop.slot_items[visits.slots[view]])


def _purchases(
    rng: np.random.Generator,
    shop: Catalogue,
    shape: ShopShape,
    visits: Visits,
    adds: Actions,
    buying: NDArray[np.bool_],
    straight: NDArray[np.bool_],
) -> Actions:
    """Buy all that was added, at one time after the last add; or one item without an add."""
    wait = pauses(rng, shape.seconds_to_purchase, shape.action_spread, len(buying))
    last_add = np.zeros(len(buying), np.int64)
    np.maximum.at(last_add, adds.sessions, adds.times)
    bought = buying[adds.sessions]
    sessions = adds.sessions[bought]
    single = np.flatnonzero(straight)
    view = _some_view(rng, visits, single)
    return Actions(
        np.concatenate([sessions, single]),
        np.concatenate([(last_add + wait)[sessions], visits.view_times[view] + wait[single]]),
        np.concatenate([adds.subjects[bought], shop.slot_items[visits.slots[view]]]),
    )


def _some_view(rng: np.random.Generator, visits: Visits, sessions: Ints) -> Ints:
    """The place of one view of each session, the earlier the likelier."""
    within = rng.random(len(sessions)) ** 1.5 * visits.views[sessions]
    return visits.view_starts[sessions] + within.astype(np.int64)


def _repeated(rng: np.random.Generator, sessions: Ints, further: float) -> Ints:
    """Each session once, and as many times more as a geometric draw of mean ``further``."""
    return np.repeat(sessions, rng.geometric(1 / (1 + further), len(sessions)))
