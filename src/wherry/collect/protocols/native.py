"""The native protocol: the envelope as JSON, one event, an array of them, or one a line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.incoming import FUTURE
from wherry.collect.protocols.body import (
    UNREADABLE,
    Bounds,
    Misfit,
    Rows,
    TextsOf,
    read_lines,
    read_rows,
    read_value,
)
from wherry.collect.protocols.envelope import (
    PLAIN,
    WHOLE,
    item_of,
    items_of,
    make_event,
    moment_of,
    number_of,
    parse_rows,
    properties_of,
    text_of,
)
from wherry.collect.reasons import EARLIEST, LARGEST
from wherry.domain import Event, EventId, EventItem, ItemId, SessionId, TenantId, VisitorId
from wherry.domain.ids import TENANT_PATTERN
from wherry.errors import did_you_mean

LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
"""Content types of a body that holds one event a line."""

_TENANT = re.compile(TENANT_PATTERN)


class NativeEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """An event as it is sent. One item stands in ``item_id``, ``price`` and ``quantity``,
    several in ``items``."""

    event_type: str | None = None
    visitor_id: VisitorId | None = None
    occurred_at: datetime | int | float | None = None
    event_id: EventId | None = None
    session_id: SessionId | None = None
    tenant: str | None = None
    item_id: str | None = None
    price: float | None = None
    quantity: float | None = None
    items: list[EventItem] | None = None
    query: str | None = None
    properties: dict[str, Any] | None = None


FIELDS = NativeEvent.__struct_fields__

_ARRAY = msgspec.json.Decoder(list[NativeEvent])
_ONE = msgspec.json.Decoder(NativeEvent)


def parse(delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
    """Read a native delivery.

    An event may name its tenant only where the server has no keys (context ``keyless``);
    elsewhere the key says whose it is.

    Raises:
        BodyError: If the body as a whole can't be read.
    """
    bounds = bounds or Bounds()
    rows = _read(delivery, bounds)

    def make(row: Any, position: int) -> Event:
        row = _native(row, bounds)
        return _as_it_stands(delivery, row, bounds) or _event(delivery, row, bounds)

    return parse_rows(rows, make)


def _read(delivery: Delivery, bounds: Bounds) -> Rows:
    body = delivery.body
    content_type = delivery.context.get("content_type", "").partition(";")[0].strip().lower()
    if content_type in LINE_TYPES or _is_lines(body):
        return read_lines(body, bounds, _read_line)
    if body[:1] == b"[":
        # Well-formed events are decoded at once; whatever else there is takes the slow way.
        try:
            values = _ARRAY.decode(body)
        except UNREADABLE:
            pass
        else:
            if len(values) <= bounds.max_events:
                return Rows(values, TextsOf(body))
    return read_rows(body, None, bounds)[1]


def _is_lines(body: bytes) -> bool:
    """Whether a body begins as one object on a line and goes on with another."""
    first, _, rest = body.strip().partition(b"\n")
    if not first.startswith(b"{") or not rest.lstrip().startswith(b"{"):
        return False
    return first.rstrip().endswith(b"}")


def _read_line(line: bytes) -> Any:
    try:
        return _ONE.decode(line)
    except UNREADABLE:
        return read_value(line)


def _native(row: Any, bounds: Bounds) -> NativeEvent:
    if type(row) is NativeEvent:
        return row
    try:
        return msgspec.convert(row, NativeEvent)
    except (msgspec.ValidationError, RecursionError):
        return _read_loosely(row, bounds)


def _read_loosely(row: Any, bounds: Bounds) -> NativeEvent:
    """An event whose values have other types than they should, such as numbers for ids."""
    if not isinstance(row, dict):
        raise Misfit("the event is not a JSON object")
    for name in row:
        if name not in FIELDS:
            raise Misfit(f"unknown field '{name[:100]}'.{did_you_mean(name[:100], FIELDS)}")
    texts = ("event_type", "visitor_id", "event_id", "session_id", "tenant", "item_id", "query")
    told: dict[str, Any] = {name: text_of(row.get(name), name) for name in texts}
    items = row.get("items")
    if items is not None:
        told["items"] = list(items_of(items, "items", ("id",), bounds))
    properties = row.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise Misfit("properties is not a JSON object")
    return NativeEvent(
        occurred_at=moment_of(row.get("occurred_at"), "occurred_at"),
        price=number_of(row.get("price"), "price"),
        quantity=number_of(row.get("quantity"), "quantity"),
        properties=properties,
        **told,
    )


def _as_it_stands(delivery: Delivery, row: NativeEvent, bounds: Bounds) -> Event | None:
    """The event of a row that needs no mending, as most do; ``None`` for any other.

    It is what :func:`_event` makes of it, found with a few comparisons.
    """
    at, properties = row.occurred_at, row.properties
    items: Sequence[EventItem] = row.items or ()
    if type(at) is not datetime or row.tenant is not None:
        return None
    if row.items is None and row.item_id is not None:
        items = (EventItem(cast(ItemId, row.item_id), row.price, row.quantity),)
    if at.tzinfo is UTC:
        at = at.replace(tzinfo=None)
    if at.tzinfo is not None or not EARLIEST <= at <= delivery.received_at + FUTURE:
        return None
    event_id, kind, visitor, session = row.event_id, row.event_type, row.visitor_id, row.session_id
    if not event_id or not kind or not visitor or session == "" or row.query == "":
        return None
    for text in (event_id, kind, visitor, session, row.query):
        if text is not None and text != text.strip():
            return None
    if len(items) > bounds.max_items or not all(map(_is_plain, items)):
        return None
    if properties is not None and (not properties or not _is_flat(properties)):
        return None
    return Event(
        tenant=delivery.tenant,
        event_id=event_id,
        event_type=kind,
        occurred_at=at,
        received_at=delivery.received_at,
        visitor_id=visitor,
        session_id=session,
        items=tuple(items),
        query=row.query,
        properties=properties,
    )


def _is_plain(item: EventItem) -> bool:
    item_id, price, quantity = item.id, item.price, item.quantity
    return (
        item_id != ""
        and item_id == item_id.strip()
        and (price is None or -LARGEST <= price <= LARGEST)
        and (quantity is None or -LARGEST <= quantity <= LARGEST)
    )


def _is_flat(properties: dict[str, Any]) -> bool:
    for value in properties.values():
        kind = type(value)
        if kind in PLAIN or (kind is int and value in WHOLE):
            continue
        if kind is not float or not math.isfinite(value):
            return False
    return True


def _event(delivery: Delivery, row: NativeEvent, bounds: Bounds) -> Event:
    return make_event(
        delivery,
        tenant=_tenant(delivery, row.tenant),
        event_id=_trim(row.event_id),
        event_type=_trim(row.event_type),
        occurred_at=moment_of(row.occurred_at, "occurred_at"),
        visitor_id=_trim(row.visitor_id),
        session_id=_trim(row.session_id),
        items=_items(row, bounds),
        query=_trim(row.query),
        properties=properties_of(row.properties, "properties", bounds),
    )


def _trim(text: str | None) -> str | None:
    return text.strip() or None if text else None


def _items(row: NativeEvent, bounds: Bounds) -> tuple[EventItem, ...]:
    if row.items is None:
        item = _trim(row.item_id)
        if item is None:
            return ()
        price, quantity = number_of(row.price, "price"), number_of(row.quantity, "quantity")
        return (EventItem(ItemId(item), price, quantity),)
    if len(row.items) > bounds.max_items:
        raise Misfit(f"items holds {len(row.items)} items; at most {bounds.max_items} are taken")
    return tuple(_checked(each) for each in row.items)


def _checked(item: EventItem) -> EventItem:
    found = item_of(msgspec.structs.asdict(item), ("id",))
    if found is None:
        raise Misfit("items is not a list of items, each with an id")
    return found


def _tenant(delivery: Delivery, named: str | None) -> TenantId:
    named = _trim(named)
    if named is None or named == delivery.tenant:
        return delivery.tenant
    if "keyless" not in delivery.context:
        raise Misfit(f"tenant: '{named[:100]}' is not the tenant of the key")
    if not _TENANT.fullmatch(named):
        raise Misfit(f"tenant: '{named[:100]}' is no tenant: 1-64 letters, digits, - or _")
    return cast(TenantId, named)
