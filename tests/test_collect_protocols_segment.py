from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from protocol_bodies import NOW, check_rows, event, mixed, parse, reason
from wherry.domain import Event, EventItem, ItemId

GOOD = b'{"type":"track","event":"Product Viewed","userId":"u","messageId":"m1"}'
NAMES = ("type", "event", "userId", "anonymousId", "timestamp", "properties", "context", "traits")


def track(name: str, properties: Any = None, **more: Any) -> Event:
    call = {"event": name, "userId": "anna", "properties": properties, **more}
    return event("segment", call, path="/v1/track")


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("Product Viewed", "view"),
        ("Product Added", "add"),
        ("Product Removed", "remove"),
        ("Product Clicked", "click"),
        ("Product List Viewed", "impression"),
        ("Products Searched", "search"),
        ("Order Completed", "purchase"),
        ("product viewed ", "view"),
        ("Viewed Product", "view"),
        ("Checkout Started", "checkout started"),
    ],
)
def test_the_e_commerce_events_have_the_envelopes_types(name: str, event_type: str) -> None:
    found = track(name, {"product_id": "p1", "price": 9.5, "quantity": 2})
    assert found.event_type == event_type
    assert found.items == (EventItem(ItemId("p1"), 9.5, 2.0),)


def test_an_order_holds_its_products_and_its_number() -> None:
    found = track(
        "Order Completed",
        {
            "order_id": "o1",
            "total": 30,
            "products": [{"product_id": "a", "price": 10, "quantity": 3}, {"sku": "b"}, {"id": 3}],
        },
    )
    assert [item.id for item in found.items] == ["a", "b", "3"]
    assert found.properties == {"order_id": "o1", "total": 30, "transaction_id": "o1"}


def test_a_search_is_a_query() -> None:
    found = track("Products Searched", {"query": "blue tents"})
    assert (found.event_type, found.query, found.properties) == ("search", "blue tents", None)


def test_products_of_an_event_of_the_shops_own_are_taken_where_they_are_some() -> None:
    own = track("Wishlist Shared", {"products": [{"product_id": "a"}], "id": "w1"})
    assert [item.id for item in own.items] == ["a"]
    assert own.properties == {"id": "w1"}
    assert track("Wishlist Shared", {"products": 5}).properties == {"products": 5}
    assert track("Wishlist Shared", {"product_id": "a", "price": "?"}).items == ()


def test_the_other_calls_keep_their_names() -> None:
    call = {"anonymousId": "d1", "messageId": "m1"}
    page = event("segment", {**call, "name": "Home", "properties": {"url": "/"}}, path="/v1/page")
    assert (page.event_type, page.visitor_id, page.event_id) == ("page", "d1", "m1")
    assert page.properties == {"url": "/", "name": "Home"}
    traits = {**call, "userId": "anna", "traits": {"plan": "gold"}}
    identify = event("segment", traits, path="/v1/identify")
    assert (identify.event_type, identify.visitor_id) == ("identify", "anna")
    assert identify.properties == {"plan": "gold", "anonymous_id": "d1"}
    rudder = {**call, "context": {"traits": {"plan": "gold"}}}
    assert event("segment", rudder, path="/v1/identify").properties == {"plan": "gold"}
    group = event("segment", {**call, "groupId": "g", "traits": {"a": 1}}, path="/v1/g")
    assert group.properties == {"a": 1, "groupId": "g"}
    alias = event("segment", {"previousId": "old", "userId": "new"}, path="/v1/alias")
    assert (alias.event_type, alias.visitor_id) == ("alias", "new")
    assert alias.properties == {"previousId": "old"}
    assert event("segment", {**call, "name": "Start"}, path="/v1/screen").event_type == "screen"


def test_a_batch_holds_calls_of_every_kind() -> None:
    rows = [
        {"type": "track", "event": "Product Added", "userId": "u", "messageId": "1"},
        {"type": "page", "anonymousId": "d", "messageId": "2"},
        {"type": "shout", "userId": "u"},
        {"type": "identify", "messageId": "4"},
    ]
    parsed = parse("segment", {"batch": rows, "sentAt": "2026-02-01T12:00:00Z"}, path="/v1/batch")
    assert [each.event_type for each in parsed.events] == ["add", "page"]
    assert [(each.position, each.reason) for each in parsed.refusals] == [
        (2, "type: 'shout' is none of track, page, screen, identify, group, alias"),
        (3, "userId is empty, and there is no anonymousId"),
    ]
    assert parsed.refusals[0].original == '{"type": "shout", "userId": "u"}'


def test_times_are_corrected_for_a_clock_that_is_wrong() -> None:
    """Segment's own example of a client whose clock runs behind: only differences count."""
    early = {"timestamp": "2020-01-01T00:00:00Z", "sentAt": "2020-01-01T00:00:30Z"}
    assert track("x", **early).occurred_at == datetime(2026, 2, 1, 11, 59, 30)
    ahead = {"originalTimestamp": "2030-01-01T00:00:00+00:00", "sentAt": "2030-01-01T01:00:00Z"}
    assert track("x", **ahead).occurred_at == datetime(2026, 2, 1, 11)
    head = {"batch": [{**early, "type": "page", "userId": "u"}]}
    assert event("segment", head, path="/v1/batch").occurred_at == datetime(2026, 2, 1, 11, 59, 30)
    outer = {"batch": [{"type": "page", "userId": "u", "timestamp": "2020-01-01T00:00:00Z"}]}
    outer["sentAt"] = "2020-01-01T00:00:10Z"  # type: ignore[assignment]
    assert event("segment", outer, path="/v1/b").occurred_at == datetime(2026, 2, 1, 11, 59, 50)


def test_without_a_time_of_sending_the_time_stands_as_it_is() -> None:
    at = "2026-01-31T10:00:00Z"
    assert track("x", timestamp=at).occurred_at == datetime(2026, 1, 31, 10)
    assert track("x", timestamp=at, sentAt="yesterday").occurred_at == datetime(2026, 1, 31, 10)
    assert track("x").occurred_at == NOW


def test_a_session_is_the_devices() -> None:
    call = {"anonymousId": "d1", "context": {"sessionId": 1769940000}}
    assert track("x", **call).session_id == "d1.1769940000"
    assert track("x", context={"sessionId": 5}).session_id == "anna.5"
    assert track("x", context=[]).session_id is None


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ({"event": "x"}, "userId is empty, and there is no anonymousId"),
        ({"userId": "u"}, "event is empty"),
        ({"userId": "u", "event": "x", "properties": 5}, "properties is not a JSON object"),
        ({"userId": "u", "event": "x", "timestamp": "soon"}, "timestamp: 'soon' is not a time"),
        ({"userId": "u", "event": "x", "timestamp": "2036-01-01"}, "is in the future"),
        ({"userId": {}, "event": "x"}, "userId is not a text"),
        (
            {"userId": "u", "event": "Order Completed", "properties": {"products": [{}]}},
            "products is not a list of items, each with an id",
        ),
        (
            {"userId": "u", "event": "x", "timestamp": "1990-01-01", "sentAt": "9999-01-01"},
            "timestamp is not a time by the clock of sentAt",
        ),
        (
            {"userId": "u", "event": "x", "timestamp": "1990-01-01", "sentAt": "2046-01-01"},
            "is before 1990",
        ),
    ],
)
def test_a_call_that_cannot_be_taken_says_why(call: dict[str, Any], why: str) -> None:
    assert why in reason("segment", call, path="/v1/track")


@given(mixed(GOOD, NAMES))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_row_costs_another(batch: tuple[list[bytes], list[int]]) -> None:
    rows, good = batch
    parsed = parse("segment", b'{"sentAt":1,"batch":[' + b",".join(rows) + b"]}", path="/v1/batch")
    check_rows(parsed, rows, good)
