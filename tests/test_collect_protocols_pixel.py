from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from protocol_bodies import NOW, event, parse, reason
from wherry.domain import EventItem, ItemId


def test_the_parameters_are_the_native_fields_and_the_rest_are_properties() -> None:
    found = event(
        "pixel",
        query="event_type=add&visitor_id=anna&item_id=t%20ent&price=5&quantity=2&campaign=mai%26l"
        "&event_id=e1&occurred_at=2026-02-01T10:00:00Z&session_id=s&query=q",
    )
    assert (found.event_type, found.event_id, found.visitor_id) == ("add", "e1", "anna")
    assert (found.session_id, found.query) == ("s", "q")
    assert found.items == (EventItem(ItemId("t ent"), 5.0, 2.0),)
    assert found.occurred_at == datetime(2026, 2, 1, 10)
    assert found.properties == {"campaign": "mai&l"}


def test_a_picture_of_an_item_is_a_view_and_any_other_a_page() -> None:
    item = event("pixel", query="visitor_id=v&item_id=i")
    assert (item.event_type, item.occurred_at) == ("view", NOW)
    assert event("pixel", query="visitor_id=v").event_type == "page"


def test_an_event_that_cannot_be_taken_says_why() -> None:
    assert reason("pixel") == "visitor_id is empty, and there is no session_id"
    assert "is not a number" in reason("pixel", query="visitor_id=v&item_id=i&price=x")
    assert "is in the future" in reason("pixel", query="visitor_id=v&occurred_at=2100-01-01")


@given(st.text(alphabet="visitor_id=&item%fé\x00;+", max_size=60))
def test_no_address_makes_it_fail(query: str) -> None:
    parsed = parse("pixel", query=query)
    assert len(parsed.events) + len(parsed.refusals) == 1
