"""The envelope from loose values: the rules of an import, for events that come over HTTP.

Each function takes what stands in a request, of whatever type, and what it is called there.
It raises :class:`~wherry.collect.protocols.body.Misfit` with a reason worded as an import's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.collect.incoming import FUTURE
from wherry.collect.protocols.body import Bounds, Misfit, Rows
from wherry.collect.reasons import EARLIEST, LARGEST
from wherry.domain import Event, EventId, EventItem, ItemId, SessionId, TenantId, VisitorId

_SHOWN_LETTERS = 200
_EPOCH = datetime(1970, 1, 1)
_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3))
"""Below which size a number of time counts what, in microseconds."""

PLAIN = frozenset({str, bool, type(None)})
"""The types of JSON's values that are carried as they are."""

WHOLE = range(-(2**63), 2**64)
"""The whole numbers that every format of the inbox and the lake can carry."""


def refused(name: str, value: object, why: str) -> Misfit:
    """A reason that names the field, what stands there, and what is wrong with it."""
    return Misfit(f"{name}: '{str(value)[:_SHOWN_LETTERS]}' {why}")


def text_of(value: object, name: str) -> str | None:
    """A text without blanks around it, None if it is empty; a number is written out."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Misfit(f"{name} is not a text")
    return str(value)


def number_of(value: object, name: str) -> float | None:
    """A finite number; ``NaN`` stands for a missing one."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Misfit(f"{name} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise refused(name, _short(value), "is not a number") from None
    if math.isnan(number):
        return None
    if abs(number) > LARGEST:
        raise refused(name, _short(value), "is out of range")
    return number


def _short(value: object) -> str:
    # Python refuses to write a whole number of thousands of digits.
    return value if isinstance(value, str) else f"{value:.6g}" if _fits(value) else "a huge number"


def _fits(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and value.bit_length() < 1000)


def moment_of(value: object, name: str) -> datetime | None:
    """A time in UTC without a zone, from ISO 8601 or a number since 1970, by its size in
    seconds, milliseconds, microseconds or nanoseconds; None where nothing stands."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return without_zone(value, name)
    if isinstance(value, str):
        text = value.strip().removesuffix(" UTC")
        try:
            return without_zone(datetime.fromisoformat(text), name)
        except ValueError:
            pass
        try:
            return _since_1970(float(text), name, value)
        except ValueError:
            raise refused(name, value, "is not a time") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _fits(value):
        raise Misfit(f"{name} is not a time")
    return _since_1970(float(value), name, value)


def without_zone(moment: datetime, name: str) -> datetime:
    """A time as UTC without a zone; one that names no zone is UTC."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise refused(name, moment, "is not a time") from None


def _since_1970(number: float, name: str, value: object) -> datetime:
    for limit, unit in _UNITS:
        if abs(number) < limit:
            try:
                return _EPOCH + timedelta(microseconds=round(number * unit))
            except OverflowError:
                break
    raise refused(name, value, "is not a time")


def in_range(moment: datetime, received_at: datetime, name: str) -> datetime:
    """A time that an event can have: from 1990 on, and at most a day after it came."""
    if moment < EARLIEST:
        raise refused(name, moment, f"is before {EARLIEST.year}")
    if moment - received_at > FUTURE:
        raise refused(name, moment, "is in the future")
    return moment


def item_of(
    told: Mapping[str, Any], ids: Iterable[str], price: str = "price", quantity: str = "quantity"
) -> EventItem | None:
    """An item from an object: its id from the first of ``ids`` that has one, else None."""
    for name in ids:
        item = text_of(told.get(name), name)
        if item is not None:
            return EventItem(
                ItemId(item),
                number_of(told.get(price), price),
                number_of(told.get(quantity), quantity),
            )
    return None


def items_of(value: object, name: str, ids: Iterable[str], bounds: Bounds) -> tuple[EventItem, ...]:
    """A list of items, each an object with an id."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Misfit(f"{name} is not a list of items, each with an id")
    if len(value) > bounds.max_items:
        raise Misfit(f"{name} holds {len(value)} items; at most {bounds.max_items} are taken")
    found = []
    for each in value:
        item = item_of(each, ids) if isinstance(each, dict) else None
        if item is None:
            raise Misfit(f"{name} is not a list of items, each with an id")
        found.append(item)
    return tuple(found)


def properties_of(value: object, name: str, bounds: Bounds) -> dict[str, object] | None:
    """An object that every format can carry; None if it is empty.

    ``NaN`` and infinite numbers become null, whole numbers beyond 64 bits texts.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Misfit(f"{name} is not a JSON object")
    return _portable(value, name, bounds.max_depth) or None


def _portable(value: Any, name: str, levels: int) -> Any:
    kind = type(value)
    if kind in PLAIN or (kind is int and value in WHOLE):
        return value
    if kind is int:
        # As text, which has all its digits; hexadecimal has no limit on how many.
        return str(value) if _fits(value) else hex(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if levels == 0:
        raise Misfit(f"{name} is nested too deeply")
    if kind is dict:
        return {key: _portable(each, name, levels - 1) for key, each in value.items()}
    return [_portable(each, name, levels - 1) for each in value]


def make_event(
    delivery: Delivery,
    *,
    event_type: str | None,
    occurred_at: datetime | None,
    visitor_id: str | None,
    tenant: TenantId | None = None,
    event_id: str | None = None,
    session_id: str | None = None,
    items: tuple[EventItem, ...] = (),
    query: str | None = None,
    properties: dict[str, object] | None = None,
    salt: str = "",
) -> Event:
    """An event of a delivery, held to what every event must have.

    One without a time happened when it came; one of no visitor is its session's. One without
    an id gets :func:`content_id`, of which ``salt`` becomes part.
    """
    if not event_type:
        raise Misfit("event_type is empty")
    if visitor_id is None and session_id is None:
        raise Misfit("visitor_id is empty, and there is no session_id")
    received_at = delivery.received_at
    at = received_at if occurred_at is None else in_range(occurred_at, received_at, "occurred_at")
    event = Event(
        tenant=tenant or delivery.tenant,
        event_id=EventId(event_id or ""),
        event_type=event_type,
        occurred_at=at,
        received_at=received_at,
        visitor_id=VisitorId(visitor_id or session_id or ""),
        session_id=None if session_id is None else SessionId(session_id),
        items=items,
        query=query,
        properties=properties,
    )
    if event_id:
        return event
    return msgspec.structs.replace(event, event_id=content_id(event, salt))


def content_id(event: Event, salt: str = "") -> EventId:
    """The id of an event that has none: a hash of what its envelope says.

    It is the hash that an import gives (:mod:`wherry.collect.incoming`), so that an event
    counts once, whether it comes in a file or over HTTP.
    """
    texts = [event.event_type, event.visitor_id, event.session_id or ""]
    lengths = 0
    for place, text in enumerate(texts):
        lengths |= (len(text.encode()) & 2097151) << (21 * place)
    query = "" if event.query is None else f"{len(event.query.encode())}"
    items = "".join(map(_item_text, event.items)) or "   "
    told = msgspec.json.encode(event.properties).decode() if event.properties else ""
    micros = (event.occurred_at - _EPOCH) // timedelta(microseconds=1)
    whole = (
        f"{event.tenant} {micros} {lengths} {query} {''.join(texts)}{event.query or ''}{items}"
        f"{told}{salt}"
    )
    return EventId(hashlib.md5(whole.encode(), usedforsecurity=False).hexdigest()[:24])


def _item_text(item: EventItem) -> str:
    return (
        f"{len(item.id.encode())} {_millionths(item.price)} {_millionths(item.quantity)} {item.id}"
    )


def _millionths(number: float | None) -> str:
    if number is None:
        return ""
    count = math.floor(abs(number) * 1e6 + 0.5)
    return str(count if number >= 0 else -count)


def parse_rows(rows: Rows, make: Any) -> Parsed:
    """Make every row of a body an event by ``make(row, position)``, or a refusal."""
    events: list[Event] = []
    refusals: list[Refusal] = []
    for position, row in enumerate(rows.values):
        try:
            if isinstance(row, Misfit):
                raise row
            events.append(make(row, position))
        except Misfit as misfit:
            refusals.append(Refusal(position, str(misfit), rows.text(position)))
    return Parsed(events, refusals)
