from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.collect.delivery import Parsed, Refusal
from wherry.collect.plan import Plan, check, envelope_text, read_envelope
from wherry.domain import Event, EventId, EventItem, ItemId, VisitorId, tenant_id
from wherry.errors import SettingsError

PURCHASE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "required": ["query"],
    "properties": {
        "items": {"minItems": 1, "items": {"required": ["price"]}},
        "occurred_at": {"type": "string", "pattern": "^2026-"},
        "properties": {"properties": {"currency": {"enum": ["EUR"]}}},
    },
}


def event(event_type: str = "purchase", **fields: Any) -> Event:
    told: dict[str, Any] = {
        "tenant": tenant_id("north"),
        "event_id": EventId("e1"),
        "event_type": event_type,
        "occurred_at": datetime(2026, 11, 24, 3),
        "received_at": datetime(2026, 11, 24, 3),
        "visitor_id": VisitorId("v1"),
        "items": (EventItem(ItemId("tent"), 199.0, 1.0),),
        "query": "tent",
    }
    return Event(**(told | fields))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "purchase.json").write_text(json.dumps(PURCHASE))
    return tmp_path


def test_without_a_plan_everything_is_taken(tmp_path: Path) -> None:
    plan = Plan.open(tmp_path / "plan")
    parsed = Parsed([event(items=())])
    assert plan.mark == ""
    assert check(parsed, plan) is parsed


def test_an_event_that_keeps_to_the_plan_is_taken(folder: Path) -> None:
    assert Plan.open(folder).fault(event()) is None


def test_a_type_without_a_schema_is_taken_as_it_comes(folder: Path) -> None:
    assert Plan.open(folder).fault(event("view", items=(), query=None)) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"items": ()}, "items: "),
        ({"items": (EventItem(ItemId("tent")),)}, "items[0]: "),
        ({"query": None}, '"query" is a required property'),
        ({"occurred_at": datetime(2025, 1, 1)}, "occurred_at: "),
        ({"properties": {"currency": "USD"}}, "properties.currency: "),
    ],
)
def test_the_reason_names_the_type_and_the_place(
    folder: Path, fields: dict[str, Any], words: str
) -> None:
    fault = Plan.open(folder).fault(event(**fields))
    assert fault is not None
    assert fault.startswith("plan purchase: ")
    assert words in fault


def test_refusals_stand_at_their_place_in_the_request(folder: Path) -> None:
    bad = event(event_id=EventId("e3"), items=())
    parsed = Parsed(
        [event(event_id=EventId("e1")), bad, event(event_id=EventId("e5"))],
        [Refusal(0, "no JSON", "{"), Refusal(3, "no JSON", "[")],
    )
    # The rows: refused, e1, e3, refused, e5.
    checked = check(parsed, Plan.open(folder))
    assert [each.event_id for each in checked.events] == ["e1", "e5"]
    assert [refusal.position for refusal in checked.refusals] == [0, 2, 3]
    assert read_envelope(checked.refusals[1].original) == bad


def test_a_message_of_any_length_is_cut(folder: Path) -> None:
    fault = Plan.open(folder).fault(event(properties={"currency": "x" * 10_000}))
    assert fault is not None
    assert len(fault) < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "5",
        '"text"',
        "[]",
        '{"type": "objec"}',
        '{"$ref": "https://example.com/other.json"}',
        '{"$ref": "file:///etc/hostname"}',
        '{"$ref": "#/$defs/missing"}',
        '{"$schema": "https://example.com/mine"}',
        '{"pattern": "("}',
        '{"required": "query"}',
    ],
)
def test_a_broken_schema_is_told_at_the_start_with_its_file(folder: Path, text: str) -> None:
    (folder / "view.json").write_text(text)
    with pytest.raises(SettingsError, match=r"view\.json"):
        Plan.open(folder)


def test_a_file_that_is_not_utf_8_is_told(folder: Path) -> None:
    (folder / "view.json").write_bytes(b'{"title": "\xe9"}')
    with pytest.raises(SettingsError, match=r"view\.json"):
        Plan.open(folder)


def test_every_draft_that_people_use_is_understood(tmp_path: Path) -> None:
    for number, draft in enumerate(
        ("http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#")
    ):
        schema = {"$schema": draft, "properties": {"items": {"minItems": 1}}}
        (tmp_path / f"type-{number}.json").write_text(json.dumps(schema))
    plan = Plan.open(tmp_path)
    assert plan.event_types == ("type-0", "type-1")
    assert plan.fault(event("type-0")) is None
    assert plan.fault(event("type-1", items=())) is not None


def test_the_mark_moves_with_the_schemas(folder: Path) -> None:
    before = Plan.open(folder).mark
    assert before == Plan.open(folder).mark
    (folder / "purchase.json").write_text("true")
    assert Plan.open(folder).mark != before


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


@given(JSON, st.text())
def test_no_event_upsets_the_plan(value: Any, text: str) -> None:
    plan = Plan({"purchase": PURCHASE})
    odd = event(properties={"currency": value, text: value}, query=text)
    checked = check(Parsed([odd, event()]), plan)
    assert len(checked.events) + len(checked.refusals) == 2
    assert checked.events[-1] == event()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, "\ud800"])
def test_what_json_cannot_hold_breaks_the_plan_and_nothing_else(value: Any) -> None:
    plan = Plan({"purchase": {"properties": {"properties": {"maxProperties": 5}}}})
    fault = plan.fault(event(properties={"odd": value}))
    assert fault is None or fault.startswith("plan purchase: ")


def test_endless_nesting_is_no_error() -> None:
    nested: Any = "leaf"
    for _ in range(2_000):
        nested = [nested]
    plan = Plan({"purchase": {"properties": {"properties": {"maxProperties": 5}}}})
    fault = plan.fault(event(properties={"odd": nested}))
    assert fault is None or fault.startswith("plan purchase: ")


def test_envelopes_read_back_what_they_wrote() -> None:
    odd = event(properties={"a": [1, {"b": "ü\n"}]}, session_id="s", query=None)
    assert read_envelope(envelope_text(odd)) == odd
    for text in ("", "{}", "[]", "null", '{"event_type": "view"}', "\ud800"):
        assert read_envelope(text) is None
    assert read_envelope(msgspec.json.encode({"x": 1}).decode()) is None
