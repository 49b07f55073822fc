"""Replay: what was rejected and passes now is taken, once, and leaves the rejected rows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wherry.collect.delivery import Delivery
from wherry.collect.drain import drain
from wherry.collect.inbox import Inbox
from wherry.collect.plan import Plan, check
from wherry.collect.protocols import PROTOCOLS
from wherry.collect.replay import Replayed, replay_collected
from wherry.domain import tenant_id
from wherry.lake import Lake

NOW = datetime(2026, 11, 24, 3)
STRICT = Plan({"purchase": {"properties": {"items": {"minItems": 1}}}, "page": False})
OPEN = Plan({})


def event(event_id: str, event_type: str, **more: Any) -> dict[str, Any]:
    told = {"event_id": event_id, "event_type": event_type, "visitor_id": "v1"}
    return told | {"occurred_at": "2026-11-24T02:00:00Z"} | more


BODY = json.dumps(
    [
        event("e1", "purchase", item_id="tent"),
        event("e2", "purchase", properties={"currency": "EUR"}),
        {"event_type": "view"},
        event("e4", "page"),
    ]
).encode()


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake", threads=1).writer() as con:
        yield con


def deliver(con: duckdb.DuckDBPyConnection, folder: Path, plan: Plan, body: bytes = BODY) -> None:
    delivery = Delivery(tenant=tenant_id("default"), protocol="native", received_at=NOW, body=body)
    parsed = check(PROTOCOLS["native"](delivery), plan)

    async def put() -> None:
        inbox = Inbox.open(folder, "test")
        await inbox.put(delivery, parsed)
        await inbox.close()

    asyncio.run(put())
    drain(con, folder, now=NOW)


def ids(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT event_id FROM lake.raw.events ORDER BY 1").fetchall()
    return [event_id for (event_id,) in rows]


def reasons(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT reason FROM lake.raw.rejected ORDER BY line").fetchall()
    return [reason for (reason,) in rows]


def test_what_passes_now_is_taken_whole_and_once(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path / "inbox", STRICT)
    assert ids(con) == ["e1"]
    assert len(reasons(con)) == 3
    unchanged = replay_collected(con, STRICT, now=NOW)
    assert unchanged == Replayed(read=3, rejected=3)
    done = replay_collected(con, OPEN, now=NOW)
    assert done == Replayed(read=3, taken=2, rejected=1, load_id=2)
    assert ids(con) == ["e1", "e2", "e4"]
    (left,) = reasons(con)
    assert "visitor_id" in left
    assert replay_collected(con, OPEN, now=NOW) == Replayed(read=1, rejected=1)
    row = con.execute(
        "SELECT tenant, event_type, occurred_at, received_at, visitor_id, items, properties, "
        "delivery_id IS NOT NULL, load_id FROM lake.raw.events WHERE event_id = 'e2'"
    ).fetchall()
    at = datetime(2026, 11, 24, 2)
    told = ("default", "purchase", at, NOW, "v1", [], '{"currency":"EUR"}', True, 2)
    assert row == [told]


def test_only_the_reason_that_is_asked_for_is_replayed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path / "inbox", STRICT)
    assert replay_collected(con, OPEN, now=NOW, reason="plan page").taken == 1
    assert ids(con) == ["e1", "e4"]
    assert len(reasons(con)) == 2


def test_what_came_again_and_passed_meanwhile_is_known(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path / "inbox", STRICT)
    deliver(con, tmp_path / "inbox", STRICT, json.dumps([event("e5", "view")]).encode())
    deliver(con, tmp_path / "inbox", OPEN)
    done = replay_collected(con, OPEN, now=NOW)
    assert (done.taken, done.known) == (0, 2)
    assert ids(con) == ["e1", "e2", "e4", "e5"]


def test_the_envelope_itself_stands_in_for_a_request_that_is_gone(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path / "inbox", STRICT)
    con.execute("DELETE FROM lake.raw.deliveries")
    assert replay_collected(con, OPEN, now=NOW).taken == 2
    assert ids(con) == ["e1", "e2", "e4"]


def test_a_replay_that_fails_leaves_everything_as_it_was(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(con, tmp_path / "inbox", STRICT)
    monkeypatch.setattr("wherry.collect.replay.next_load_id", lambda con: "no number")
    from wherry.errors import LakeError

    with pytest.raises(LakeError, match="Nothing was replayed"):
        replay_collected(con, OPEN, now=NOW)
    assert ids(con) == ["e1"]
    assert len(reasons(con)) == 3


def test_an_empty_log_has_nothing_to_replay(con: duckdb.DuckDBPyConnection) -> None:
    assert replay_collected(con, OPEN, now=NOW) == Replayed()
