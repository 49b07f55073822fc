"""Segment's HTTP API, which RudderStack's clients speak as well.

The e-commerce events of Segment's specification become the envelope's types; any other track
call keeps its name, in lower case. Times are corrected for the client's clock by Segment's
formula: ``receivedAt - (sentAt - timestamp)``.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.protocols.body import Bounds, Misfit, read_rows
from wherry.collect.protocols.envelope import (
    item_of,
    items_of,
    make_event,
    moment_of,
    parse_rows,
    properties_of,
    text_of,
)
from wherry.domain import Event, EventItem

CALLS = ("track", "page", "screen", "identify", "group", "alias")
"""The calls: each a path, ``/v1/track``, and by its first letter another, ``/v1/t``."""

TYPES = {
    "product viewed": "view",
    "product added": "add",
    "product removed": "remove",
    "order completed": "purchase",
    "products searched": "search",
    "product list viewed": "impression",
    "product clicked": "click",
    "viewed product": "view",
    "added product": "add",
    "removed product": "remove",
    "completed order": "purchase",
}
"""Names of track calls, the older ones last, and what they are in the envelope."""

_ITEM_IDS = ("product_id", "sku")


def parse(delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
    """Read one call, or the messages of a batch.

    Raises:
        BodyError: If the body as a whole can't be read.
    """
    bounds = bounds or Bounds()
    call = call_of(delivery.context.get("path", ""))
    head, rows = read_rows(delivery.body, "batch" if call is None else None, bounds)

    def make(row: Any, position: int) -> Event:
        if not isinstance(row, dict):
            raise Misfit("the event is not a JSON object")
        message = {**head, **row}
        kind = call or text_of(message.get("type"), "type")
        if kind not in CALLS:
            raise Misfit(f"type: '{str(kind)[:100]}' is none of {', '.join(CALLS)}")
        return _event(delivery, message, kind, bounds)

    return parse_rows(rows, make)


def call_of(path: str) -> str | None:
    """The call that a path stands for, None for a batch.

    >>> call_of("/v1/track"), call_of("/v1/i"), call_of("/v1/batch")
    ('track', 'identify', None)
    """
    word = path.rsplit("/", 1)[-1]
    return next((call for call in CALLS if word in (call, call[0])), None)


def _event(delivery: Delivery, message: dict[str, Any], kind: str, bounds: Bounds) -> Event:
    user = text_of(message.get("userId"), "userId")
    device = text_of(message.get("anonymousId"), "anonymousId")
    if not (user or device):
        raise Misfit("userId is empty, and there is no anonymousId")
    event_type = kind
    if kind == "track":
        name = text_of(message.get("event"), "event")
        if name is None:
            raise Misfit("event is empty")
        event_type = TYPES.get(name.lower(), name.lower())
    told = _told(message, kind)
    if user and device:
        told["anonymous_id"] = device
    items = _items(told, event_type, bounds) if kind == "track" else ()
    query = text_of(told.pop("query", None), "query") if event_type == "search" else None
    order = told.get("order_id", told.get("orderId"))
    if event_type == "purchase" and order is not None:
        told.setdefault("transaction_id", order)
    return make_event(
        delivery,
        event_id=text_of(message.get("messageId"), "messageId"),
        event_type=event_type,
        occurred_at=occurred_at(message, delivery.received_at),
        visitor_id=user or device,
        session_id=_session(message, device or user),
        items=items,
        query=query,
        properties=properties_of(told, "properties", bounds),
    )


def _told(message: dict[str, Any], kind: str) -> dict[str, Any]:
    """What becomes the properties: traits of an identify or group, else the properties."""
    name = "traits" if kind in ("identify", "group") else "properties"
    value = message.get(name)
    context = message.get("context")
    if value is None and kind == "identify" and isinstance(context, dict):
        value = context.get("traits")  # where RudderStack's clients put them
    if value is not None and not isinstance(value, dict):
        raise Misfit(f"{name} is not a JSON object")
    told = dict(value or {})
    for key in ("name", "category", "groupId", "previousId"):
        if kind != "track" and message.get(key) is not None:
            told.setdefault(key, message[key])
    return told


def _items(told: dict[str, Any], event_type: str, bounds: Bounds) -> tuple[EventItem, ...]:
    """The products of a call; ``products`` leaves its properties."""
    if event_type in TYPES.values():
        ids = (*_ITEM_IDS, "id")
        if told.get("products") is not None:
            return items_of(told.pop("products"), "products", ids, bounds)
        item = item_of(told, ids)
        return () if item is None else (item,)
    # Another event may use these names for something else.
    with suppress(Misfit):
        listed = items_of(told.get("products"), "products", _ITEM_IDS, bounds)
        if listed:
            del told["products"]
            return listed
        item = item_of(told, _ITEM_IDS)
        return () if item is None else (item,)
    return ()


def occurred_at(message: dict[str, Any], received_at: datetime) -> datetime | None:
    """When a message happened by the server's clock; None if it doesn't say."""
    original = message.get("originalTimestamp")
    name = "timestamp" if original is None else "originalTimestamp"
    at = moment_of(message.get(name), name)
    sent_at = None
    with suppress(Misfit):
        sent_at = moment_of(message.get("sentAt"), "sentAt")
    if at is None or sent_at is None:
        return at
    try:
        return received_at - (sent_at - at)
    except OverflowError:
        raise Misfit(f"{name} is not a time by the clock of sentAt") from None


def _session(message: dict[str, Any], owner: str | None) -> str | None:
    """The session; its number is counted by each device, so it needs the device's name."""
    context = message.get("context")
    session = context.get("sessionId") if isinstance(context, dict) else None
    session = text_of(session, "context.sessionId")
    return None if session is None else f"{owner}.{session}"
