from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings

from protocol_bodies import NOW, check_rows, event, mixed, parse, reason
from wherry.domain import Event, EventItem, ItemId

GOOD = b'{"e":"pv","duid":"d1","eid":"e1"}'
NAMES = ("e", "duid", "eid", "dtm", "stm", "ue_pr", "ue_px", "co", "cx", "se_ac", "ti_sk")
VENDOR = "com.snowplowanalytics.snowplow"
PAYLOAD = f"iglu:{VENDOR}/payload_data/jsonschema/1-0-4"


def described(name: str, data: Any, vendor: str = VENDOR) -> dict[str, Any]:
    return {"schema": f"iglu:{vendor}/{name}/jsonschema/1-0-0", "data": data}


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def take(**row: Any) -> Event:
    return event("snowplow", {"schema": PAYLOAD, "data": [{"duid": "d1", **row}]})


def action(kind: str, *entities: Any, is_encoded: bool = True, **row: Any) -> Event:
    """An e-commerce action with the entities around it."""
    shop = f"{VENDOR}.ecommerce"
    told = described("unstruct_event", described("snowplow_ecommerce_action", {"type": kind}, shop))
    around = described("contexts", list(entities))
    if is_encoded:
        return take(e="ue", ue_px=encoded(told), cx=encoded(around), **row)
    return take(e="ue", ue_pr=json.dumps(told), co=json.dumps(around), **row)


def product(**data: Any) -> dict[str, Any]:
    return described("product", data, f"{VENDOR}.ecommerce")


@pytest.mark.parametrize("is_encoded", [True, False])
@pytest.mark.parametrize(
    ("kind", "event_type"),
    [
        ("product_view", "view"),
        ("add_to_cart", "add"),
        ("remove_from_cart", "remove"),
        ("list_view", "impression"),
        ("list_click", "click"),
        ("transaction", "purchase"),
        ("checkout_step", "checkout_step"),
    ],
)
def test_e_commerce_actions_have_the_envelopes_types(
    kind: str, event_type: str, is_encoded: bool
) -> None:
    goods = [product(id="a", price=5, quantity=2), product(id="b")]
    found = action(kind, *goods, is_encoded=is_encoded, eid="e1", sid="s1")
    assert (found.event_type, found.event_id, found.session_id) == (event_type, "e1", "s1")
    assert found.items == (EventItem(ItemId("a"), 5.0, 2.0), EventItem(ItemId("b")))


def test_a_transaction_has_its_number() -> None:
    order = {"transaction_id": "T1", "revenue": 30, "currency": "EUR", "coupon": None}
    found = action(
        "transaction", product(id="a"), described("transaction", order, f"{VENDOR}.ecommerce")
    )
    assert found.properties == {"transaction_id": "T1", "revenue": 30, "currency": "EUR"}


def test_the_plain_kinds_of_events() -> None:
    page = take(e="pv", url="https://shop/tents", page="Tents", refr="https://x")
    assert page.event_type == "page"
    assert page.properties == {
        "url": "https://shop/tents",
        "title": "Tents",
        "referrer": "https://x",
    }
    assert take(e="pp").event_type == "page_ping"
    structured = take(e="se", se_ca="shop", se_ac="Add-To-Basket", se_la="tent", se_va="2")
    assert structured.event_type == "add-to-basket"
    assert structured.properties == {"category": "shop", "label": "tent", "value": "2"}
    order = take(e="tr", tr_id="T1", tr_tt="30", tr_cu="EUR")
    assert (order.event_type, order.items) == ("purchase", ())
    assert order.properties == {"transaction_id": "T1", "revenue": "30", "currency": "EUR"}
    line = take(e="ti", ti_id="T1", ti_sk="a", ti_pr="10", ti_qu="3")
    assert line.items == (EventItem(ItemId("a"), 10.0, 3.0),)
    assert line.properties == {"transaction_id": "T1"}


def test_self_describing_events_of_other_schemas_keep_their_name() -> None:
    def own(name: str, data: Any) -> Event:
        return take(e="ue", ue_px=encoded(described("unstruct_event", described(name, data))))

    link = own("link_click", {"targetUrl": "/x"})
    assert (link.event_type, link.properties) == ("link_click", {"targetUrl": "/x"})
    search = own("site_search", {"terms": ["blue", "tents"], "totalResults": 3})
    assert (search.event_type, search.query) == ("search", "blue tents")
    older = own("add_to_cart", {"sku": "a", "unitPrice": 3.5, "quantity": 2, "currency": "EUR"})
    assert (older.event_type, older.items) == ("add", (EventItem(ItemId("a"), 3.5, 2.0),))


def test_a_get_is_one_event() -> None:
    query = urlencode({"e": "pv", "duid": "d1", "url": "https://shop/ä", "eid": "e1"})
    found = event("snowplow", query=query)
    assert (found.event_id, found.properties) == ("e1", {"url": "https://shop/ä"})


def test_a_visitor_is_the_user_the_browser_or_the_cookie() -> None:
    assert take(e="pv", uid="anna", nuid="n").visitor_id == "anna"
    assert take(e="pv", nuid="n").visitor_id == "d1"
    mobile = described("contexts", [described("client_session", {"userId": "u", "sessionId": "s"})])
    row = {"e": "pv", "co": json.dumps(mobile)}
    found = event("snowplow", {"data": [row]})
    assert (found.visitor_id, found.session_id) == ("u", "s")
    assert "none of uid, duid" in reason("snowplow", {"data": [{"e": "pv"}]})


def millis(moment: datetime) -> str:
    return str(int((moment - datetime(1970, 1, 1)).total_seconds() * 1000))


def test_a_time_is_derived_from_the_devices_clock() -> None:
    made = datetime(2020, 1, 1)
    row = {"e": "pv", "dtm": millis(made), "stm": millis(made + timedelta(minutes=5))}
    assert take(**row).occurred_at == NOW - timedelta(minutes=5)
    assert take(**row, ttm=millis(datetime(2026, 1, 1))).occurred_at == datetime(2026, 1, 1)
    backwards = {**row, "stm": millis(made - timedelta(hours=1))}
    assert take(**backwards).occurred_at == NOW
    assert take(e="pv", dtm=row["dtm"]).occurred_at == NOW


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({}, "e is empty"),
        ({"e": "ue"}, "ue_pr is empty, and so is ue_px"),
        ({"e": "ue", "ue_px": "!"}, "ue_px is not base64"),
        ({"e": "ue", "ue_px": encoded({})[:-1] + "x"}, "ue_px is not JSON"),
        ({"e": "ue", "ue_pr": "{"}, "ue_pr is not JSON"),
        ({"e": "ue", "ue_pr": "{}"}, "has no schema, or no data"),
        ({"e": "pv", "cx": "%%%"}, "cx is not base64"),
        ({"e": "pv", "ttm": "soon"}, "ttm: 'soon' is not a time"),
        ({"e": "pv", "ttm": "4000000000000"}, "is in the future"),
        ({"e": "pv", "dtm": "0001-01-02", "stm": "9999-01-01"}, "dtm is not a time by the clock"),
        ({"e": "ti"}, "a product has no id"),
        ({"e": "ti", "ti_sk": "a", "ti_pr": "cheap"}, "price: 'cheap' is not a number"),
    ],
)
def test_an_event_that_cannot_be_taken_says_why(row: dict[str, Any], why: str) -> None:
    assert why in reason("snowplow", {"data": [{"duid": "d", **row}]})


def test_a_key_of_another_shop_in_a_batch_is_refused() -> None:
    rows = [{"e": "pv", "duid": "d", "aid": aid} for aid in ("mine", "mine", "theirs")]
    parsed = parse("snowplow", {"data": rows}, keyed_by="aid")
    assert len(parsed.events) == 2
    assert "send them apart" in parsed.refusals[0].reason
    assert len(parse("snowplow", {"data": rows}).events) == 3


@given(mixed(GOOD, NAMES))
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_row_costs_another(batch: tuple[list[bytes], list[int]]) -> None:
    rows, good = batch
    parsed = parse("snowplow", b'{"schema":"iglu:x","data":[' + b",".join(rows) + b"]}")
    check_rows(parsed, rows, good)
