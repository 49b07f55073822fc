"""One part of one day of a simulated shop, as a table of events in the order of their arrival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wherry.domain import TenantId
from wherry.simulate.actions import Actions, draw_cart, draw_searches
from wherry.simulate.catalogue import Catalogue, item_ids
from wherry.simulate.params import ShopShape
from wherry.simulate.visits import Floats, Ints, Visits, draw_visits
from wherry.simulate.words import query_words

DAY_MS = 86_400_000
KINDS = ("page", "view", "search", "add", "remove", "purchase")
PART_BITS = 24
"""Events of one part of a day are numbered in this many bits, its parts in the 8 above."""

_WORD = pa.dictionary(pa.int32(), pa.string())
EVENTS_SCHEMA = pa.schema(
    [
        ("tenant", _WORD),
        ("event_id", pa.string()),
        ("event_type", _WORD),
        ("occurred_at", pa.timestamp("ms")),
        ("visitor_id", _WORD),
        ("session_id", _WORD),
        ("item_id", _WORD),
        ("price", pa.float64()),
        ("quantity", pa.float64()),
        ("query", _WORD),
    ]
)


class Shop(msgspec.Struct, frozen=True, eq=False):
    """A tenant's shop: what stays the same from day to day.

    ``tastes`` (one uniform a visitor) say where in the shop each visitor likes to start;
    ``duplicates`` and ``disorder`` are the shares of events that arrive twice, and late.
    """

    tenant: TenantId
    entropy: tuple[int, ...]
    catalogue: Catalogue
    tastes: Floats
    shape: ShopShape
    sessions_given: bool
    duplicates: float
    disorder: float


class Part(msgspec.Struct, frozen=True):
    """Part ``number`` of the ``count`` equal parts of the sessions that begin on a day."""

    day: date
    number: int
    count: int
    sessions: int


class Events(msgspec.Struct, frozen=True, eq=False):
    """Events as columns of one length, in no order; -1 stands for no item and no query."""

    kinds: NDArray[np.int8]
    sessions: Ints
    times: Ints
    items: Ints
    queries: Ints


def simulate_part(shop: Shop, part: Part) -> pa.Table:
    """Simulate one part of a day, by its own random numbers: the order of parts is free."""
    days = part.day.toordinal() - date(1970, 1, 1).toordinal()
    rng = np.random.default_rng([*shop.entropy, days, part.number])
    begins = _begins(rng, shop.shape, part)
    visitors = (rng.random(len(begins)) ** 1.3 * len(shop.tastes)).astype(np.int64)
    visits = draw_visits(
        rng, shop.catalogue, shop.shape, begins=begins, tastes=shop.tastes[visitors]
    )
    searches = draw_searches(rng, shop.catalogue, shop.shape, visits)
    events = _gather(
        shop.catalogue, visits, searches, draw_cart(rng, shop.catalogue, shop.shape, visits)
    )
    arrival = _arrival(rng, shop, events.times)
    return _table(rng, shop, part, days, events, arrival, visitors)


def _begins(rng: np.random.Generator, shape: ShopShape, part: Part) -> Ints:
    """When the sessions of the part begin, by the rhythm of the hours; milliseconds, rising."""
    rate = np.asarray(shape.hours)
    hours = np.concatenate([[0.0], np.cumsum(rate) / rate.sum()])
    uniform = (part.number + np.sort(rng.random(part.sessions))) / part.count
    return np.interp(uniform, hours, np.linspace(0, DAY_MS - 1, len(hours))).astype(np.int64)


def _gather(
    shop: Catalogue, visits: Visits, searches: Actions, cart: tuple[Actions, Actions, Actions]
) -> Events:
    """Put all events in columns; the page before the view that it shares its millisecond with."""
    sessions = np.repeat(np.arange(len(visits.moments)), visits.moments)
    pages = Actions(sessions, visits.moment_times, np.full(len(sessions), -1))
    views = Actions(
        sessions[visits.is_view], visits.view_times, shop.slot_items[visits.slots].astype(np.int64)
    )
    blocks = (pages, views, searches, *cart)
    subjects = np.concatenate([block.subjects for block in blocks]).astype(np.int64)
    kinds = np.repeat(np.arange(len(blocks), dtype=np.int8), [len(b.times) for b in blocks])
    is_search = kinds == KINDS.index("search")
    return Events(
        kinds=kinds,
        sessions=np.concatenate([block.sessions for block in blocks]),
        times=np.concatenate([block.times for block in blocks]),
        items=np.where(is_search, -1, subjects),
        queries=np.where(is_search, subjects, -1),
    )


def _arrival(rng: np.random.Generator, shop: Shop, times: Ints) -> Ints:
    """The events' places in the order of their arrival, those that arrive twice twice."""
    count = len(times)
    late = rng.random(count) < shop.disorder
    seen = times.copy()
    seen[late] += _delays(rng, int(late.sum()))
    twice = np.flatnonzero(rng.random(count) < shop.duplicates)
    rows = np.concatenate([np.arange(count), twice])
    seen = np.concatenate([seen, seen[twice] + _delays(rng, len(twice))])
    # Time and row in one number: it sorts faster than an argsort, and ties have one order. A
    # search can come a few seconds before the day, so times may be negative; shifts keep signs.
    keys = np.sort((seen << PART_BITS) | rows)
    return keys & ((1 << PART_BITS) - 1)


def _delays(rng: np.random.Generator, count: int) -> Ints:
    return (rng.exponential(600_000, count)).astype(np.int64)


def _table(
    rng: np.random.Generator,
    shop: Shop,
    part: Part,
    days: int,
    events: Events,
    arrival: Ints,
    visitors: Ints,
) -> pa.Table:
    kinds, items = events.kinds[arrival], events.items[arrival]
    sessions, has_item = events.sessions[arrival], items >= 0
    price = np.where(has_item, shop.catalogue.price[items], np.nan)
    quantity = _quantities(rng, events.kinds)[arrival]
    session_ids = pa.nulls(len(arrival), _WORD)
    if shop.sessions_given:
        session_ids = _words(sessions, lambda used: [f"s{days}-{part.number}-{n:x}" for n in used])
    return pa.table(
        {
            "tenant": _words(np.zeros(len(arrival), np.int64), lambda used: [shop.tenant]),
            "event_id": _event_ids(days, part.number, arrival),
            "event_type": _words(kinds, lambda used: [KINDS[kind] for kind in used]),
            "occurred_at": pa.array((events.times[arrival] + days * DAY_MS).view("datetime64[ms]")),
            "visitor_id": _words(visitors[sessions], lambda used: [f"v{n:07x}" for n in used]),
            "session_id": session_ids,
            "item_id": _words(items, item_ids),
            "price": pa.array(price, mask=~has_item),
            "quantity": pa.array(quantity, mask=quantity == 0),
            "query": _words(events.queries[arrival], _queries),
        },
        schema=EVENTS_SCHEMA,
    )


def _quantities(rng: np.random.Generator, kinds: NDArray[np.int8]) -> Floats:
    """Pieces of an add, remove or purchase, mostly one; 0 for what has no quantity."""
    quantity = np.zeros(len(kinds))
    in_cart = kinds >= KINDS.index("add")
    quantity[in_cart] = rng.geometric(0.85, int(in_cart.sum()))
    return quantity


def _queries(used: Sequence[int]) -> list[str]:
    words = query_words()
    return [words[query] for query in used]


def _words(
    codes: NDArray[np.int64] | NDArray[np.int8], spell: Callable[[Sequence[int]], list[str]]
) -> pa.DictionaryArray:
    """Codes as dictionary-encoded words, of the codes that occur alone; -1 becomes null."""
    occurs = np.zeros(int(codes.max(initial=0)) + 1, np.bool_)
    occurs[codes[codes >= 0]] = True
    indices = (np.cumsum(occurs, dtype=np.int32) - 1)[codes]
    words = pa.array(spell(np.flatnonzero(occurs).tolist()), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=codes < 0), words)


def _event_ids(days: int, part: int, arrival: Ints) -> pa.StringArray:
    """``<days>-<part and place of first arrival, in hexadecimal>``: a duplicate repeats it."""
    place = np.empty(len(arrival), np.int64)
    place[arrival[::-1]] = np.arange(len(arrival))[::-1]
    number = place[arrival] + (part << PART_BITS)
    prefix = np.frombuffer(f"{days:05d}-".encode(), np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    width = len(prefix) + 8
    text = np.empty((len(arrival), width), np.uint8)
    text[:, : len(prefix)] = prefix
    for nibble in range(8):
        text[:, width - 1 - nibble] = digits[(number >> (4 * nibble)) & 15]
    offsets = np.arange(len(arrival) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(arrival), pa.py_buffer(offsets), pa.py_buffer(text))
