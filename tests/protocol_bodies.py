"""Deliveries to parse, and the worst that may stand between the events of one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox.page import encode_entry
from wherry.collect.protocols import PROTOCOLS
from wherry.domain import Event, TenantId

NOW = datetime(2026, 2, 1, 12)


def delivery(protocol: str, body: Any = b"", **context: str) -> Delivery:
    """A delivery at noon; a body that is no bytes is sent as JSON."""
    return Delivery(
        tenant=TenantId("north"),
        protocol=protocol,
        received_at=NOW,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        context=context,
    )


def parse(protocol: str, body: Any = b"", **context: str) -> Parsed:
    sent = delivery(protocol, body, **context)
    parsed = PROTOCOLS[protocol](sent)
    encode_entry(sent, parsed)  # whatever a parser gives can be kept
    return parsed


def event(protocol: str, body: Any = b"", **context: str) -> Event:
    """The one event of a body that is taken whole."""
    parsed = parse(protocol, body, **context)
    assert not parsed.refusals, parsed.refusals
    (found,) = parsed.events
    return found


def reason(protocol: str, body: Any = b"", **context: str) -> str:
    """Why the one event of a body is refused."""
    parsed = parse(protocol, body, **context)
    assert not parsed.events
    (refusal,) = parsed.refusals
    return refusal.reason


EVIL = (
    b"5",
    b"null",
    b'"text"',
    b"[]",
    b"{}",
    b"NaN",
    b"\xff",
    b'"\xed\xa0\x80"',
    b'{"event_type":"\\ud800","visitor_id":"v"}',
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"9" * 5_000,
    b'{"event_type":' + b"9" * 400 + b"}",
    b'{"event_type":"view","visitor_id":"v","price":1e999}',
    b'{"event_type":"view","visitor_id":"v","occurred_at":1e300}',
    b'{"event_type":"view","visitor_id":"v","items":[{"id":[]}]}',
    b'{"event_type":"view","visitor_id":"v","properties":{"n":' + b"9" * 4_000 + b"}}",
    b'{"userId":{},"type":"track","event":[],"timestamp":{},"sentAt":-1e308}',
    b'{"name":7,"params":[1],"timestamp_micros":"x"}',
    b'{"e":"ue","ue_pr":"{\\"data\\":[[[","eid":{}}',
    b'{"e":"ue","ue_px":"!!!","duid":"d","dtm":"9999999999999999999999"}',
    b'{"e":"pv","duid":"d","cx":"bnVsbA","dtm":"1e400"}',
    b"{1:2}",
    b"{,}",
    b"tru",
)
"""What may stand where an event should."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def objects(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """JSON objects of these names with values of any kind, ``NaN`` among them."""
    fields = st.dictionaries(st.sampled_from(names), json_values | st.floats(), max_size=6)
    return fields.map(lambda value: json.dumps(value).encode())


@st.composite
def mixed(draw: st.DrawFn, good: bytes, names: tuple[str, ...]) -> tuple[list[bytes], list[int]]:
    """The rows of a batch, good ones and bad, and the places of the good."""
    rows = draw(
        st.lists(st.just(good) | st.sampled_from(EVIL) | objects(names), min_size=1, max_size=6)
    )
    return rows, [place for place, row in enumerate(rows) if row is good]


def check_rows(parsed: Parsed, rows: list[bytes], good: list[int]) -> None:
    """Each row became an event or a refusal, and no good one was refused."""
    refused = [each.position for each in parsed.refusals]
    assert len(parsed.events) + len(refused) == len(rows)
    assert refused == sorted(set(refused))
    assert not set(good) & set(refused)
    assert all(each.reason and isinstance(each.original, str) for each in parsed.refusals)
