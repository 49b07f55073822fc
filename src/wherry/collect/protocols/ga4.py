"""GA4's Measurement Protocol: events of a client or a user, named as in Google's e-commerce."""

from __future__ import annotations

from typing import Any

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.protocols.body import Bounds, Misfit, read_rows
from wherry.collect.protocols.envelope import (
    items_of,
    make_event,
    moment_of,
    parse_rows,
    properties_of,
    text_of,
)
from wherry.domain import Event

TYPES = {
    "view_item": "view",
    "add_to_cart": "add",
    "remove_from_cart": "remove",
    "purchase": "purchase",
    "view_item_list": "impression",
    "select_item": "click",
    "search": "search",
    "view_search_results": "search",
    "page_view": "page",
}
"""GA4's names, and what they are in the envelope; any other name is kept in lower case."""

_SESSIONS = ("session_id", "ga_session_id")


def parse(delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
    """Read the events of a request. They have no ids, so that of each is a hash of what it
    says and of its place; a request sent again counts once if it says when it happened.

    Raises:
        BodyError: If the body as a whole can't be read.
    """
    bounds = bounds or Bounds()
    head, rows = read_rows(delivery.body, "events", bounds)

    def make(row: Any, position: int) -> Event:
        if not isinstance(row, dict) or "name" not in row:
            raise Misfit("the event is not a JSON object with a name")
        return _event(delivery, head, row, position, bounds)

    return parse_rows(rows, make)


def _event(
    delivery: Delivery, head: dict[str, Any], row: dict[str, Any], position: int, bounds: Bounds
) -> Event:
    user = text_of(head.get("user_id"), "user_id")
    device = text_of(head.get("client_id", head.get("app_instance_id")), "client_id")
    if not (user or device):
        raise Misfit("client_id is empty, and there is no user_id")
    name = text_of(row.get("name"), "name")
    event_type = TYPES.get(name.lower(), name.lower()) if name else None
    params = row.get("params")
    if params is not None and not isinstance(params, dict):
        raise Misfit("params is not a JSON object")
    told = dict(params or {})
    items = items_of(told.pop("items", None), "items", ("item_id", "item_name"), bounds)
    query = text_of(told.pop("search_term", None), "search_term")
    session = next((told[key] for key in _SESSIONS if told.get(key) is not None), None)
    if user and device:
        told["client_id"] = device
    at = row.get("timestamp_micros", head.get("timestamp_micros"))
    return make_event(
        delivery,
        event_type=event_type,
        occurred_at=moment_of(at, "timestamp_micros"),
        visitor_id=user or device,
        # Google counts sessions within a client: the number alone is not unique.
        session_id=None
        if session is None
        else f"{device or user}.{text_of(session, 'session_id')}",
        items=items,
        query=query,
        properties=properties_of(told, "params", bounds),
        salt=f" {position}",
    )
