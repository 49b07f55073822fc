"""Events as the shops' own tools send them: one request's path, headers and body each way."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec

from wherry.simulate.connection import Answer
from wherry.simulate.recorded import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sent(msgspec.Struct, frozen=True):
    """The parts of a request: where it goes, its headers and its body."""

    path: str
    headers: dict[str, str]
    body: bytes


class Settled(msgspec.Struct, frozen=True):
    """What an answer says of the events sent: how many were taken, how many known already, and
    the positions of those refused, with the reasons."""

    taken: int
    known: int
    refused: dict[int, str]


class Protocol(msgspec.Struct, frozen=True):
    """A way of sending events. ``batch`` is how many a request holds by default, and ``most``
    at the most; ``encode`` takes the events and the key, ``settle`` the answer and how many
    events were sent, and gives ``None`` for an answer that doesn't add up."""

    batch: int
    most: int
    encode: Callable[[Sequence[Row], str], Sent]
    settle: Callable[[Answer, int], Settled | None]


class _Native(msgspec.Struct, omit_defaults=True):
    event_id: str
    event_type: str
    occurred_at: datetime
    visitor_id: str
    session_id: str | None = None
    items: list[dict[str, object]] = []
    query: str | None = None
    properties: msgspec.Raw | None = None
    tenant: str | None = None


class _Refused(msgspec.Struct):
    position: int
    reason: str


class _NativeAnswer(msgspec.Struct):
    taken: int
    known: int
    refused: list[_Refused]


_native_answer = msgspec.json.Decoder(_NativeAnswer)


def encode_native(rows: Sequence[Row], key: str) -> Sent:
    """Wherry's own: the envelope itself, one or an array. A key says whose the events are;
    without one, each names its tenant."""
    events = [
        _Native(
            row.event_id,
            row.event_type,
            _time(row),
            row.visitor_id,
            row.session_id,
            row.items,
            row.query,
            msgspec.Raw(row.properties.encode()) if row.properties else None,
            None if key else row.tenant,
        )
        for row in rows
    ]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Sent("/v1/events", headers, msgspec.json.encode(events if len(rows) > 1 else events[0]))


def settle_native(answer: Answer, count: int) -> Settled | None:
    """Every event is taken, known or refused, at a place that there is, or the answer is wrong."""
    try:
        told = _native_answer.decode(answer.body)
    except msgspec.DecodeError:
        return None
    refused = {each.position: each.reason for each in told.refused}
    adds_up = told.taken + told.known + len(refused) == count
    is_placed = all(0 <= position < count for position in refused)
    return Settled(told.taken, told.known, refused) if adds_up and is_placed else None


def settle_others(answer: Answer, count: int) -> Settled | None:
    """An answer that counts nothing takes all."""
    return Settled(count, 0, {}) if answer.status in (200, 202, 204) else None


def _time(row: Row) -> datetime:
    return _EPOCH + timedelta(microseconds=row.occurred_us)


def _written_time(row: Row) -> str:
    return _time(row).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _filled(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _properties(row: Row) -> dict[str, object]:
    return msgspec.json.decode(row.properties) if row.properties else {}


# Segment

_SEGMENT_NAMES = {
    "view": "Product Viewed",
    "add": "Product Added",
    "remove": "Product Removed",
    "purchase": "Order Completed",
    "search": "Products Searched",
    "impression": "Product List Viewed",
    "click": "Product Clicked",
}


def encode_segment(rows: Sequence[Row], key: str) -> Sent:
    """Segment's batch; its events have no tenant, so without a key all are the default one's."""
    body = msgspec.json.encode({"batch": [_segment_event(row) for row in rows]})
    basic = base64.b64encode(f"{key}:".encode()).decode()
    return Sent("/v1/batch", {"Authorization": f"Basic {basic}"} if key else {}, body)


def _segment_event(row: Row) -> dict[str, object]:
    products = [
        _filled({"product_id": i["id"], "price": i["price"], "quantity": i["quantity"]})
        for i in row.items
    ]
    properties = _properties(row) | _filled({"query": row.query})
    if row.event_type in ("purchase", "impression"):
        properties |= _filled({"products": products})
        if row.event_type == "purchase":
            properties.setdefault("order_id", row.event_id)
    elif products:
        properties |= products[0]
    is_page = row.event_type == "page"
    return _filled(
        {
            "type": "page" if is_page else "track",
            "event": None if is_page else _SEGMENT_NAMES.get(row.event_type, row.event_type),
            "messageId": row.event_id,
            "anonymousId": row.visitor_id,
            "timestamp": _written_time(row),
            "context": _filled({"sessionId": row.session_id}),
            "properties": properties,
        }
    )


# Google Analytics 4

_GA4_NAMES = {
    "page": "page_view",
    "view": "view_item",
    "add": "add_to_cart",
    "remove": "remove_from_cart",
    "impression": "view_item_list",
    "click": "select_item",
}


def encode_ga4(rows: Sequence[Row], key: str) -> Sent:
    """One event by the Measurement Protocol: a request is of one visitor, and its events have
    no ids, so ours goes as a parameter and the server makes one of its own."""
    (row,) = rows
    items = [
        _filled({"item_id": i["id"], "price": i["price"], "quantity": i["quantity"]})
        for i in row.items
    ]
    params = _properties(row) | _filled(
        {
            "items": items,
            "search_term": row.query,
            "ga_session_id": row.session_id,
            "event_id": row.event_id,
        }
    )
    if row.event_type == "purchase":
        params.setdefault("transaction_id", row.event_id)
    body = {
        "client_id": row.visitor_id,
        "timestamp_micros": row.occurred_us,
        "events": [{"name": _GA4_NAMES.get(row.event_type, row.event_type), "params": params}],
    }
    secret = f"&api_secret={quote(key)}" if key else ""
    return Sent(f"/mp/collect?measurement_id=G-PUMP{secret}", {}, msgspec.json.encode(body))


# Snowplow

_VENDOR = "iglu:com.snowplowanalytics.snowplow"
_PAYLOAD = f"{_VENDOR}/payload_data/jsonschema/1-0-4"
_UNSTRUCTURED = f"{_VENDOR}/unstruct_event/jsonschema/1-0-0"
_CONTEXTS = f"{_VENDOR}/contexts/jsonschema/1-0-1"
_ACTION = f"{_VENDOR}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2"
_PRODUCT = f"{_VENDOR}.ecommerce/product/jsonschema/1-0-0"
_SEARCH = f"{_VENDOR}/site_search/jsonschema/1-0-0"
_SNOWPLOW_ACTIONS = {
    "view": "product_view",
    "add": "add_to_cart",
    "remove": "remove_from_cart",
    "purchase": "transaction",
    "impression": "list_view",
    "click": "list_click",
}


def encode_snowplow(rows: Sequence[Row], key: str) -> Sent:
    """Snowplow's tracker protocol; the products are entities beside the e-commerce action."""
    body = {"schema": _PAYLOAD, "data": [_snowplow_event(row, key) for row in rows]}
    return Sent("/com.snowplowanalytics.snowplow/tp2", {}, msgspec.json.encode(body))


def _snowplow_event(row: Row, key: str) -> dict[str, object]:
    fields: dict[str, object] = {
        "tv": "wherry-pump",
        "p": "web",
        "aid": key or "shop",  # where a tracker has room for a key
        "eid": row.event_id,
        "ttm": str(row.occurred_us // 1000),  # dtm would count from when it is received
        "duid": row.visitor_id,
        "sid": row.session_id,
    }
    if row.event_type == "page":
        return _filled(fields | {"e": "pv", "url": "https://shop.example/"})
    action = _SNOWPLOW_ACTIONS.get(row.event_type)
    if row.event_type == "search":
        event = {"schema": _SEARCH, "data": {"terms": [row.query or ""]}}
    elif action:
        event = {"schema": _ACTION, "data": {"type": action}}
    else:
        return _filled(fields | {"e": "se", "se_ca": "shop", "se_ac": row.event_type})
    fields |= {"e": "ue", "ue_pr": _text({"schema": _UNSTRUCTURED, "data": event})}
    products = [
        {"schema": _PRODUCT, "data": _filled({"id": i["id"], "price": i["price"]})
         | _filled({"quantity": i["quantity"]})}
        for i in row.items
    ]  # fmt: skip
    return _filled(fields | {"co": _text({"schema": _CONTEXTS, "data": products})})


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


PROTOCOLS = {
    "native": Protocol(100, 10_000, encode_native, settle_native),
    "segment": Protocol(100, 1_000, encode_segment, settle_others),
    "ga4": Protocol(1, 1, encode_ga4, settle_others),
    "snowplow": Protocol(100, 1_000, encode_snowplow, settle_others),
}
"""Every protocol that the pump speaks, by its name."""
