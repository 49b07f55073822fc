from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from protocol_bodies import NOW, check_rows, delivery, event, mixed, parse, reason
from wherry.collect.protocols import PROTOCOLS, BodyError
from wherry.domain import EventItem, ItemId

GOOD = b'{"name":"view_item","params":{"items":[{"item_id":"a"}]}}'
NAMES = ("name", "params", "timestamp_micros", "items")
MICROS = 1769940000000000


def sent(*events: Any, **head: Any) -> dict[str, Any]:
    return {"client_id": "c1", "timestamp_micros": MICROS, **head, "events": list(events)}


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("view_item", "view"),
        ("add_to_cart", "add"),
        ("remove_from_cart", "remove"),
        ("purchase", "purchase"),
        ("view_item_list", "impression"),
        ("select_item", "click"),
        ("search", "search"),
        ("view_search_results", "search"),
        ("page_view", "page"),
        ("Begin_Checkout", "begin_checkout"),
    ],
)
def test_the_names_of_google_are_the_envelopes_types(name: str, event_type: str) -> None:
    items = [{"item_id": "a", "price": 2.5, "quantity": 1}, {"item_name": "Mat"}]
    found = event("ga4", sent({"name": name, "params": {"items": items, "currency": "EUR"}}))
    assert found.event_type == event_type
    assert found.items == (EventItem(ItemId("a"), 2.5, 1.0), EventItem(ItemId("Mat")))
    assert found.properties == {"currency": "EUR"}
    assert (found.visitor_id, found.occurred_at) == ("c1", datetime(2026, 2, 1, 10))


def test_a_search_has_its_term_and_a_purchase_its_transaction() -> None:
    search = event("ga4", sent({"name": "search", "params": {"search_term": "tents"}}))
    assert (search.query, search.properties) == ("tents", None)
    order = event("ga4", sent({"name": "purchase", "params": {"transaction_id": "T1"}}))
    assert order.properties == {"transaction_id": "T1"}


def test_an_event_has_its_own_time_or_that_of_the_request() -> None:
    own = {"name": "x", "timestamp_micros": str(MICROS + 1)}
    assert event("ga4", sent(own)).occurred_at == datetime(2026, 2, 1, 10, 0, 0, 1)
    assert event("ga4", {"client_id": "c", "events": [{"name": "x"}]}).occurred_at == NOW


def test_a_session_is_the_clients() -> None:
    for name in ("session_id", "ga_session_id"):
        found = event("ga4", sent({"name": "x", "params": {name: 123}}, user_id="anna"))
        assert found.session_id == "c1.123"
        assert found.visitor_id == "anna"
        assert found.properties is not None
        assert found.properties["client_id"] == "c1"
    app = {"app_instance_id": "a1", "events": [{"name": "x"}]}
    assert event("ga4", app).visitor_id == "a1"


def test_a_request_sent_again_has_the_same_ids_and_equal_events_in_one_have_two() -> None:
    body = sent({"name": "x"}, {"name": "x"})
    first, second = parse("ga4", body).events
    assert first.event_id != second.event_id
    assert parse("ga4", body).events == [first, second]
    assert PROTOCOLS["ga4"](delivery("ga4", sent({"name": "x"}))).events[0] == first
    later = parse("ga4", sent({"name": "x"}, timestamp_micros=MICROS + 1)).events[0]
    assert later.event_id != first.event_id


@pytest.mark.parametrize(
    ("row", "head", "why"),
    [
        ({"name": "x"}, {"client_id": ""}, "client_id is empty, and there is no user_id"),
        ({"name": " "}, {}, "event_type is empty"),
        ({}, {}, "not a JSON object with a name"),
        ({"name": "x", "params": []}, {}, "params is not a JSON object"),
        ({"name": "x", "params": {"items": {}}}, {}, "items is not a list of items"),
        ({"name": "x", "params": {"items": [{"price": 1}]}}, {}, "each with an id"),
        ({"name": "x", "timestamp_micros": "soon"}, {}, "timestamp_micros: 'soon' is not a time"),
        ({"name": "x", "timestamp_micros": 4 * 10**15}, {}, "is in the future"),
    ],
)
def test_an_event_that_cannot_be_taken_says_why(row: Any, head: Any, why: str) -> None:
    assert why in reason("ga4", sent(row, **head))


def test_events_that_are_no_list_are_an_error() -> None:
    with pytest.raises(BodyError, match="events is not an array"):
        parse("ga4", {"client_id": "c", "events": 5})


@given(mixed(GOOD, NAMES))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_row_costs_another(batch: tuple[list[bytes], list[int]]) -> None:
    rows, good = batch
    parsed = parse("ga4", b'{"client_id":"c","events":[' + b",".join(rows) + b"]}")
    check_rows(parsed, rows, good)
