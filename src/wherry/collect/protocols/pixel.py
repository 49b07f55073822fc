"""The pixel: one event in the address of an image, for pages that run no script.

The parameters are the native fields; every other one becomes a property. ``event_type`` is
``view`` where there is an item and none is named, else ``page``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.protocols.body import Bounds, Rows
from wherry.collect.protocols.envelope import (
    item_of,
    make_event,
    moment_of,
    parse_rows,
    properties_of,
    text_of,
)
from wherry.domain import Event

_FIELDS = frozenset(
    {"event_type", "visitor_id", "occurred_at", "event_id", "session_id", "query", "tenant"}
    | {"item_id", "price", "quantity", "key"}
)


def parse(delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
    """Read the event of a query; of a parameter that is repeated the last one counts."""
    bounds = bounds or Bounds()
    query = delivery.context.get("query", "")
    row = dict(parse_qsl(query, errors="replace"))

    def make(row: Any, position: int) -> Event:
        return _event(delivery, row, bounds)

    return parse_rows(Rows([row], lambda place: query), make)


def _event(delivery: Delivery, row: dict[str, str], bounds: Bounds) -> Event:
    item = item_of(row, ("item_id",))
    rest = {name: value for name, value in row.items() if name not in _FIELDS}
    return make_event(
        delivery,
        event_id=text_of(row.get("event_id"), "event_id"),
        event_type=text_of(row.get("event_type"), "event_type") or ("view" if item else "page"),
        occurred_at=moment_of(row.get("occurred_at"), "occurred_at"),
        visitor_id=text_of(row.get("visitor_id"), "visitor_id"),
        session_id=text_of(row.get("session_id"), "session_id"),
        items=(item,) if item else (),
        query=text_of(row.get("query"), "query"),
        properties=properties_of(rest, "properties", bounds),
    )
