"""The envelope: the one shape of every event, from the shop's page to the lake."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from wherry.domain.ids import EventId, ItemId, SessionId, TenantId, VisitorId

EVENT_TYPES = ("view", "add", "remove", "purchase", "click", "search", "impression", "page")
"""The event types with a meaning of their own; any other word is kept as it is."""

PROTOCOL_TYPES = ("screen", "identify", "group", "alias", "page_ping")
"""What shops' SDKs send by themselves beside those: kept, and as well known as they."""

INTERACTION_TYPES = ("view", "click", "add", "purchase")
"""The event types that count as a visitor's interest in an item."""

CLICK_TYPES: Final = ("click", "view")
"""The event types that are a click on what an answer showed, unless the settings say otherwise:
many a shop's page sends no more than the view of the item that was clicked."""


class EventItem(msgspec.Struct, frozen=True, gc=False):
    """One item of an event: ``price`` is per piece, in the shop's currency."""

    id: ItemId
    price: float | None = None
    quantity: float | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a visitor did. Times are UTC.

    ``event_id`` is unique in a tenant and makes delivery idempotent: the same id seen again
    is the same event. ``session_id`` is the shop's own, where it has one.
    """

    tenant: TenantId
    event_id: EventId
    event_type: str
    occurred_at: datetime
    received_at: datetime
    visitor_id: VisitorId
    session_id: SessionId | None = None
    items: tuple[EventItem, ...] = ()
    query: str | None = None
    properties: dict[str, object] | None = None
