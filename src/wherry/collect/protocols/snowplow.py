"""Snowplow's tracker protocol: a list of payloads by POST, or one as a query by GET.

Times are Snowplow's ``derived_tstamp``: ``ttm`` where it is given, else the time of receipt
less what passed on the device between making (``dtm``) and sending (``stm``) the event.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.protocols.body import Bounds, Misfit, Rows, read_rows, read_value
from wherry.collect.protocols.envelope import (
    item_of,
    make_event,
    moment_of,
    parse_rows,
    properties_of,
    text_of,
)
from wherry.domain import Event, EventItem

ACTIONS = {
    "product_view": "view",
    "add_to_cart": "add",
    "remove_from_cart": "remove",
    "transaction": "purchase",
    "list_view": "impression",
    "list_click": "click",
    "site_search": "search",
}
"""Types of e-commerce actions and names of schemas, and what they are in the envelope; any
other word is kept."""

_KINDS = {"pv": "page", "pp": "page_ping", "tr": "purchase", "ti": "purchase"}
_VISITORS = ("uid", "duid", "nuid", "tnuid")
_PRODUCT = "com.snowplowanalytics.snowplow.ecommerce/product"
_ACTION = "snowplow_ecommerce_action"
_KEPT = {
    "url": "url",
    "page": "title",
    "refr": "referrer",
    "se_ca": "category",
    "se_la": "label",
    "se_pr": "property",
    "se_va": "value",
    "tr_id": "transaction_id",
    "ti_id": "transaction_id",
    "tr_tt": "revenue",
    "tr_cu": "currency",
    "ti_cu": "currency",
    "ti_nm": "name",
    "ti_ca": "category",
}
"""Fields of the payload that become properties, and as what."""


def parse(delivery: Delivery, bounds: Bounds | None = None) -> Parsed:
    """Read the payloads of a POST, or the one that a GET's query is.

    Raises:
        BodyError: If the body as a whole can't be read.
    """
    bounds = bounds or Bounds()
    query = delivery.context.get("query", "")
    if delivery.body:
        rows = read_rows(delivery.body, "data", bounds)[1]
    else:
        rows = Rows([dict(parse_qsl(query, errors="replace"))], lambda place: query)

    first = next((row for row in rows.values if isinstance(row, dict)), {})
    keyed_by = {"aid": first.get("aid")} if delivery.context.get("keyed_by") == "aid" else {}

    def make(row: Any, position: int) -> Event:
        if not isinstance(row, dict):
            raise Misfit("the event is not a JSON object")
        if row.get("aid") != keyed_by.get("aid", row.get("aid")):
            raise Misfit("aid is not the key that this request came with; send them apart")
        return _event(delivery, row, bounds)

    return parse_rows(rows, make)


def _event(delivery: Delivery, row: dict[str, Any], bounds: Bounds) -> Event:
    entities = _entities(row)
    event_type, told = _kind(row)
    items = _items(row, told, entities, bounds)
    for key, name in _KEPT.items():
        if row.get(key) is not None:
            told.setdefault(name, row[key])
    for schema, data in entities:
        if event_type == "purchase" and schema.endswith("/transaction"):
            told |= {key: value for key, value in data.items() if value is not None}
    query = told.pop("terms", None) if event_type == "search" else None
    if isinstance(query, list):
        query = " ".join(str(term) for term in query)
    visitor, session = _who(row, entities)
    return make_event(
        delivery,
        event_id=text_of(row.get("eid"), "eid"),
        event_type=event_type,
        occurred_at=derived_time(row, delivery.received_at),
        visitor_id=visitor,
        session_id=session,
        items=items,
        query=text_of(query, "terms"),
        properties=properties_of(told, "the event", bounds),
    )


def _kind(row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The type of an event, and what it says of itself."""
    kind = text_of(row.get("e"), "e")
    if kind is None:
        raise Misfit("e is empty")
    if kind == "se":
        action = text_of(row.get("se_ac"), "se_ac") or "se"
        return action.lower(), {}
    if kind != "ue":
        return _KINDS.get(kind, kind.lower()), {}
    schema, told = _described(_embedded(row, "ue_pr", "ue_px"))
    if schema.split("/")[-1] == "unstruct_event":
        raise Misfit("ue_pr describes no event")
    name = schema.split("/")[-1]
    if name == _ACTION:
        name = text_of(told.pop("type", None), "type") or name
    return ACTIONS.get(name.lower(), name.lower()), told


def _embedded(row: dict[str, Any], plain: str, encoded: str) -> Any:
    """What a self-describing wrapper holds, from JSON or from JSON in base64."""
    text = text_of(row.get(plain), plain)
    if text is None:
        code = text_of(row.get(encoded), encoded)
        if code is None:
            raise Misfit(f"{plain} is empty, and so is {encoded}")
        try:
            padded = code.rstrip("=") + "=" * (-len(code.rstrip("=")) % 4)
            found = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Misfit(f"{encoded} is not base64") from None
    else:
        found = text.encode()
    try:
        wrapper = read_value(found)
    except Misfit:
        raise Misfit(f"{plain if text else encoded} is not JSON") from None
    return wrapper.get("data") if isinstance(wrapper, dict) else None


def _described(value: Any) -> tuple[str, dict[str, Any]]:
    """Vendor and name of a self-describing value's schema, and its data."""
    schema = value.get("schema") if isinstance(value, dict) else None
    data = value.get("data") if isinstance(value, dict) else None
    parts = schema.removeprefix("iglu:").split("/") if isinstance(schema, str) else []
    if len(parts) != 4 or not isinstance(data, dict):
        raise Misfit("a self-describing value has no schema, or no data")
    return f"{parts[0]}/{parts[1]}", dict(data)


def _entities(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The entities around an event; one that can't be read is left out."""
    if row.get("co") is None and row.get("cx") is None:
        return []
    listed = _embedded(row, "co", "cx")
    found = []
    for each in listed if isinstance(listed, list) else []:
        with suppress(Misfit):
            found.append(_described(each))
    return found


def _items(
    row: dict[str, Any],
    told: dict[str, Any],
    entities: list[tuple[str, dict[str, Any]]],
    bounds: Bounds,
) -> tuple[EventItem, ...]:
    products = [data for schema, data in entities if schema == _PRODUCT]
    if len(products) > bounds.max_items:
        raise Misfit(f"co holds {len(products)} products; at most {bounds.max_items} are taken")
    if not products and row.get("e") == "ti":
        products = [
            {"id": row.get("ti_sk"), "price": row.get("ti_pr"), "quantity": row.get("ti_qu")}
        ]
    if (
        not products and told.get("sku") is not None
    ):  # add_to_cart of before the e-commerce entities
        price = told.pop("unitPrice", None)
        products = [{"id": told.pop("sku"), "price": price, "quantity": told.pop("quantity", None)}]
    items = tuple(item_of(each, ("id",)) for each in products)
    if None in items:
        raise Misfit("a product has no id")
    return tuple(item for item in items if item is not None)


def _who(
    row: dict[str, Any], entities: list[tuple[str, dict[str, Any]]]
) -> tuple[str | None, str | None]:
    """The visitor and the session: those of the payload, else of a ``client_session``."""
    visitor = next((found for key in _VISITORS if (found := text_of(row.get(key), key))), None)
    session = text_of(row.get("sid"), "sid")
    for schema, data in entities:
        if schema.endswith("/client_session"):
            visitor = visitor or text_of(data.get("userId"), "userId")
            session = session or text_of(data.get("sessionId"), "sessionId")
    if visitor is None and session is None:
        raise Misfit(f"none of {', '.join(_VISITORS)} says who it was, and there is no sid")
    return visitor, session


def derived_time(row: dict[str, Any], received_at: datetime) -> datetime | None:
    """When an event happened by the server's clock; None for when it came."""
    true = moment_of(row.get("ttm"), "ttm")
    if true is not None:
        return true
    made, sent = moment_of(row.get("dtm"), "dtm"), moment_of(row.get("stm"), "stm")
    if made is None or sent is None:
        return None
    try:
        return received_at - max(sent - made, timedelta(0))
    except OverflowError:
        raise Misfit("dtm is not a time by the clock of stm") from None
