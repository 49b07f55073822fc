from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol_bodies import NOW, check_rows, delivery, event, json_values, mixed, parse, reason
from wherry.collect import find_mapping, load_file
from wherry.collect.inbox.page import encode_entry
from wherry.collect.protocols import PROTOCOLS, BodyError, Bounds
from wherry.collect.protocols.native import FIELDS, NativeEvent, _as_it_stands, _event
from wherry.domain import EventItem, ItemId
from wherry.lake import Lake

VIEW = {"event_type": "view", "visitor_id": "anna"}
GOOD = b'{"event_type":"view","visitor_id":"anna","event_id":"e1"}'


def test_an_event_of_every_field_becomes_its_envelope() -> None:
    found = event(
        "native",
        {
            "event_id": "e1",
            "event_type": "purchase",
            "occurred_at": "2026-02-01T10:00:00.5+02:00",
            "visitor_id": " anna ",
            "session_id": "s1",
            "items": [{"id": "tent", "price": 199, "quantity": 2}, {"id": "mat"}],
            "query": "tents",
            "properties": {"page": "/cart", "n": [1, None]},
        },
    )
    assert (found.tenant, found.event_id, found.event_type) == ("north", "e1", "purchase")
    assert found.occurred_at == datetime(2026, 2, 1, 8, 0, 0, 500_000)
    assert found.received_at == NOW
    assert (found.visitor_id, found.session_id, found.query) == ("anna", "s1", "tents")
    assert found.items == (EventItem(ItemId("tent"), 199.0, 2.0), EventItem(ItemId("mat")))
    assert found.properties == {"page": "/cart", "n": [1, None]}


def test_one_event_an_array_and_lines_are_the_same() -> None:
    rows = [VIEW | {"event_id": str(n)} for n in range(3)]
    array = parse("native", rows)
    lines = "\n".join(map(json.dumps, rows)).encode()
    assert [each.event_id for each in array.events] == ["0", "1", "2"]
    assert parse("native", lines) == array
    assert parse("native", b"\xef\xbb\xbf\n" + lines, content_type="application/x-ndjson") == array
    assert parse("native", rows[0]).events == array.events[:1]
    assert parse("native", b" " + json.dumps(rows, indent=2).encode()) == array
    assert parse("native", b"[]").events == []


def test_one_item_may_stand_in_the_event_itself() -> None:
    found = event("native", VIEW | {"item_id": "tent", "price": 5, "quantity": 1})
    assert found.items == (EventItem(ItemId("tent"), 5.0, 1.0),)


def test_values_of_other_types_are_read_where_they_make_sense() -> None:
    found = event(
        "native",
        {
            "event_type": "view",
            "visitor_id": 7,
            "item_id": 12,
            "price": "3.5",
            "quantity": "",
            "occurred_at": "1769940000",
            "event_id": 10**20,
        },
    )
    assert (found.visitor_id, found.event_id) == ("7", "1" + "0" * 20)
    assert found.items == (EventItem(ItemId("12"), 3.5, None),)
    assert found.occurred_at == datetime(2026, 2, 1, 10)


@pytest.mark.parametrize(
    "at",
    [
        "2026-02-01T10:00:00Z",
        "2026-02-01 10:00:00 UTC",
        "2026-02-01T11:00:00+01:00",
        1769940000,
        1769940000000,
        1769940000000000,
        1769940000000000000,
        1769940000.0,
    ],
)
def test_a_time_is_iso_8601_or_a_number_by_its_size(at: object) -> None:
    assert event("native", VIEW | {"occurred_at": at}).occurred_at == datetime(2026, 2, 1, 10)


def test_an_event_without_a_time_happened_when_it_came() -> None:
    assert event("native", VIEW).occurred_at == NOW


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"event_type": " "}, "event_type is empty"),
        ({"visitor_id": None}, "visitor_id is empty, and there is no session_id"),
        ({"occurred_at": "soon"}, "occurred_at: 'soon' is not a time"),
        ({"occurred_at": "1989-12-31T23:59:59Z"}, "is before 1990"),
        ({"occurred_at": "2026-02-02T12:00:01Z"}, "is in the future"),
        ({"occurred_at": True}, "occurred_at is not a time"),
        ({"price": 1e13, "item_id": "i"}, "price: '1e+13' is out of range"),
        ({"price": "cheap"}, "price: 'cheap' is not a number"),
        ({"price": 10**400}, "price: 'a huge number' is not a number"),
        ({"visitor_id": ["x"]}, "visitor_id is not a text"),
        ({"items": [{"price": 1}]}, "items is not a list of items, each with an id"),
        ({"items": [{"id": " "}]}, "items is not a list of items, each with an id"),
        ({"items": [{"id": "i", "price": 1e13}]}, "price: '1e+13' is out of range"),
        ({"items": "i"}, "items is not a list of items, each with an id"),
        ({"properties": [1]}, "properties is not a JSON object"),
        ({"visitorid": "x"}, "unknown field 'visitorid'. Did you mean 'visitor_id'?"),
        ({"tenant": "south"}, "tenant: 'south' is not the tenant of the key"),
    ],
)
def test_an_event_that_cannot_be_taken_says_why(changes: dict[str, object], why: str) -> None:
    assert why in reason("native", VIEW | changes)


def test_an_event_of_a_session_and_no_visitor_is_its_sessions() -> None:
    found = event("native", {"event_type": "view", "session_id": "s1"})
    assert (found.visitor_id, found.session_id) == ("s1", "s1")


def test_a_server_without_keys_lets_events_name_their_tenant() -> None:
    assert event("native", VIEW | {"tenant": "south"}, keyless="yes").tenant == "south"
    assert event("native", VIEW | {"tenant": "north"}).tenant == "north"
    assert "is no tenant" in reason("native", VIEW | {"tenant": "a/b"}, keyless="yes")


def test_nan_stands_for_a_missing_number() -> None:
    body = (
        b'{"event_type":"view","visitor_id":"v","item_id":"i","price":NaN,"properties":{"a":NaN}}'
    )
    found = event("native", body)
    assert found.items == (EventItem(ItemId("i"), None),)
    assert found.properties == {"a": None}


def test_whole_numbers_of_any_size_are_kept() -> None:
    found = event("native", VIEW | {"properties": {"small": 2**63, "large": 10**30}})
    assert found.properties == {"small": 2**63, "large": "1" + "0" * 30}


def test_a_bad_event_is_refused_by_its_place_with_its_own_text() -> None:
    body = b'[ {"event_type":"view","visitor_id":"a"}, {"event_type" : 5.5e3},' + GOOD + b" ]"
    parsed = parse("native", body)
    assert [each.event_type for each in parsed.events] == ["view", "view"]
    assert [(each.position, each.original) for each in parsed.refusals] == [
        (1, '{"event_type" : 5.5e3}')
    ]


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"{", b"[1", b"[1]]", b'"text"', b"5", b"\xff\xfe", b"[" * 100_000]
)
def test_a_body_that_is_no_json_as_a_whole_is_an_error(body: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        parse("native", body)
    assert not caught.value.is_too_large


def test_too_many_events_items_or_levels_are_refused() -> None:
    bounds = Bounds(max_events=2, max_items=1, max_depth=2)
    for body in ([VIEW] * 3, [VIEW, VIEW, 5], b"\n".join([GOOD] * 3)):
        with pytest.raises(BodyError, match="at most 2") as caught:
            PROTOCOLS["native"](delivery("native", body), bounds)
        assert caught.value.is_too_large
    many = delivery("native", VIEW | {"items": [{"id": "a"}, {"id": "b"}]})
    assert "at most 1" in PROTOCOLS["native"](many, bounds).refusals[0].reason
    for levels, count in (({"a": {"b": 1}}, 1), ({"a": {"b": [1]}}, 0)):
        deep = delivery("native", VIEW | {"properties": levels})
        assert len(PROTOCOLS["native"](deep, bounds).events) == count


def test_the_same_event_has_the_same_id_by_file_and_over_http(tmp_path: Path) -> None:
    rows = [
        VIEW | {"occurred_at": "2026-02-01T10:00:00Z"},
        VIEW | {"occurred_at": "2026-02-01T10:00:00.123456Z", "session_id": "sé", "query": "ü"},
        VIEW | {"occurred_at": "2026-02-01T10:00:00Z", "item_id": "i", "price": 19.99},
        VIEW
        | {
            "occurred_at": "2026-02-01T10:00:00Z",
            "items": [{"id": "i", "price": 0.1, "quantity": 3}, {"id": "j"}],
            "properties": {"transaction_id": "t", "gift": True, "n": [1, 2.5]},
        },
        {"event_type": "page", "session_id": "s", "occurred_at": "2026-02-01T10:00:00Z"},
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(map(json.dumps, rows)))
    with Lake(tmp_path / "lake").writer() as con:
        load_file(con, path, find_mapping("wherry", {}), now=NOW)
        of_file = {id for (id,) in con.sql("SELECT event_id FROM lake.raw.events").fetchall()}
    sent = msgspec.structs.replace(delivery("native", rows), tenant="default")
    assert {each.event_id for each in PROTOCOLS["native"](sent).events} == of_file
    assert len(of_file) == len(rows)


def test_an_id_depends_on_every_field() -> None:
    rows = [
        VIEW,
        VIEW | {"event_type": "add"},
        VIEW | {"visitor_id": "bert"},
        VIEW | {"session_id": "s"},
        VIEW | {"occurred_at": "2026-01-01T00:00:00Z"},
        VIEW | {"item_id": "i"},
        VIEW | {"item_id": "i", "price": 1},
        VIEW | {"item_id": "i", "quantity": 1},
        VIEW | {"items": [{"id": "i"}, {"id": "j"}]},
        VIEW | {"query": "q"},
        VIEW | {"properties": {"a": 1}},
    ]
    ids = [each.event_id for each in parse("native", rows).events]
    assert len(set(ids)) == len(rows)
    assert [each.event_id for each in parse("native", rows).events] == ids


@given(mixed(GOOD, FIELDS), st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_row_costs_another(batch: tuple[list[bytes], list[int]], in_lines: bool) -> None:
    rows, good = batch
    if in_lines:
        parsed = parse("native", b"\n".join(rows), content_type="application/x-ndjson")
    else:
        parsed = parse("native", b"[" + b",".join(rows) + b"]")
    check_rows(parsed, rows, good)


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_body_makes_a_parser_fail(protocol: str, body: bytes) -> None:
    for path, query in (("/v1/track", ""), ("/v1/batch", body.decode("latin-1"))):
        sent = delivery(protocol, body, path=path, query=query)
        with suppress(BodyError):
            parsed = PROTOCOLS[protocol](sent)
            encode_entry(sent, parsed)
            assert PROTOCOLS[protocol](sent) == parsed


almost_plain = st.fixed_dictionaries(
    {"event_type": st.sampled_from(["view", " add", ""]), "visitor_id": st.sampled_from(["v", ""])},
    optional={
        "event_id": st.sampled_from(["e1", " e1", ""]),
        "occurred_at": st.sampled_from(
            [
                "2026-02-01T10:00:00Z",
                "2026-02-01T10:00:00",
                "2026-02-01T10:00:00+02:00",
                1e9,
                "1970-01-01T00:00:00Z",
                "2999-01-01T00:00:00",
            ]
        ),
        "session_id": st.sampled_from(["s", " ", ""]),
        "query": st.sampled_from(["tents", " x ", ""]),
        "item_id": st.sampled_from(["i", ""]),
        "price": st.sampled_from([1, 1.5, 1e13, None]),
        "items": st.lists(
            st.fixed_dictionaries(
                {"id": st.sampled_from(["i", " i", ""])},
                optional={"price": st.sampled_from([1, 1e13]), "quantity": st.sampled_from([2])},
            ),
            max_size=2,
        ),
        "properties": st.dictionaries(
            st.text(max_size=3), st.sampled_from([1, 2**70, 1.5, "x", None, [1], {}]), max_size=2
        ),
    },
)


@given(row=almost_plain)
def test_an_event_that_needs_no_mending_is_what_the_long_way_makes_of_it(
    row: dict[str, object],
) -> None:
    came, read = delivery("native", b""), msgspec.convert(row, NativeEvent, strict=False)
    found = _as_it_stands(came, read, Bounds())
    assert found is None or found == _event(came, read, Bounds())


def test_most_events_need_no_mending() -> None:
    row = VIEW | {"event_id": "e", "occurred_at": "2026-02-01T10:00:00Z", "items": [{"id": "i"}]}
    read = msgspec.convert(row, NativeEvent)
    assert _as_it_stands(delivery("native", b""), read, Bounds()) is not None
