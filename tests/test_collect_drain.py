from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.collect.drain import drain
from wherry.collect.inbox import (
    Inbox,
    Ownership,
    Store,
    find_set_aside,
    read_set_aside,
    read_waiting,
)
from wherry.domain import Event, EventItem, TenantId
from wherry.errors import LakeError
from wherry.lake import Lake

NOW = datetime(2026, 3, 1, 12)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as con:
        yield con


def event(name: str, **more: Any) -> Event:
    fields: dict[str, Any] = {
        "tenant": "default",
        "event_id": name,
        "event_type": "view",
        "occurred_at": NOW,
        "received_at": NOW,
        "visitor_id": "anna",
    }
    return Event(**(fields | more))


def receive(
    folder: Path,
    *deliveries: Sequence[Event],
    refusals: Sequence[Refusal] = (),
    name: str = "inbox",
    body: bytes = b"body",
) -> None:
    """Put deliveries into the inbox, each in a page of its own."""

    async def work() -> None:
        inbox = Inbox.open(folder, name)
        for events in deliveries:
            delivery = Delivery(
                tenant=TenantId("default"),
                protocol="native",
                received_at=NOW,
                body=body,
                context={"path": "/v1/events"},
            )
            await inbox.put(delivery, Parsed(list(events), list(refusals)))
        await inbox.close()

    asyncio.run(work())


def ids(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT event_id FROM lake.raw.events ORDER BY ALL").fetchall()
    return [row[0] for row in rows]


def count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM lake.raw.{table}").fetchall()[0][0])


def noise(size: int) -> bytes:
    """Bytes that no packing makes shorter."""
    return random.Random(1).randbytes(size)


def flip(path: Path, at: int, n: int = 64) -> None:
    """Spoil some bytes of a file, as a broken disk does."""
    with path.open("r+b") as file:
        file.seek(at)
        bad = bytes(255 - byte for byte in file.read(n))
        file.seek(at)
        file.write(bad)


def test_what_the_inbox_holds_is_in_the_log_and_no_longer_in_the_inbox(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    told = event(
        "a",
        session_id="s",
        items=(EventItem("x", 1.5, 2.0), EventItem("y")),  # type: ignore[arg-type]
        query="stöve",
        properties={"n": [1, None], "é": "ü"},
    )
    receive(inbox, [told, event("b", properties={})], refusals=[Refusal(2, "no visitor", "{}")])
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.known, loaded.rejected) == (2, 0, 1)
    first, second = con.execute("SELECT * FROM lake.raw.events ORDER BY event_id").fetchall()
    delivery = loaded.load_id << 32
    items = [
        {"id": "x", "price": 1.5, "quantity": 2.0},
        {"id": "y", "price": None, "quantity": None},
    ]
    assert first == (
        *("default", "a", "view", NOW, NOW, "anna", "s", items, "stöve"),
        *('{"n":[1,null],"é":"ü"}', loaded.load_id, delivery),
    )
    assert second[7:10] == ([], None, None)
    assert con.execute("SELECT * FROM lake.raw.deliveries").fetchall() == [
        (delivery, "default", "native", NOW, b"body", '{"path":"/v1/events"}', loaded.load_id)
    ]
    assert con.execute("SELECT * FROM lake.raw.rejected").fetchall() == [
        (loaded.load_id, "default", "inbox/native", 3, "no visitor", "{}", NOW, delivery)
    ]
    assert read_waiting(inbox) == []
    assert drain(con, inbox, now=NOW) == []


def test_an_event_that_comes_again_counts_once_a_month_later_and_by_another_worker(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [event("a"), event("a")], [event("b")])
    drain(con, inbox, now=NOW)
    late = NOW + timedelta(days=30)
    receive(inbox, [event("a", occurred_at=late), event("c")], name="other")
    receive(inbox, [event("a", received_at=late)], [event("c")])
    (loaded,) = drain(con, inbox, now=late)
    assert (loaded.taken, loaded.known) == (1, 3)
    assert ids(con) == ["a", "b", "c"]
    assert count(con, "deliveries") == 3  # a request that says nothing new is not kept


def test_the_same_id_of_two_tenants_is_two_events(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [event("a"), event("a", tenant="north")])
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.known) == (2, 0)


def test_an_event_of_an_excluded_load_alone_is_taken_again(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [event("a")])
    (bad,) = drain(con, inbox, now=NOW)
    receive(inbox, [event("a")])
    (good,) = drain(con, inbox, now=NOW, excluded=[bad.load_id])
    assert (good.taken, good.known) == (1, 0)


def test_a_large_inbox_is_loaded_in_rounds_one_load_each(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, *([event(f"e{n}")] for n in range(6)), body=b"x" * 1_000)
    loads = drain(con, inbox, now=NOW, round_bytes=2_500)
    assert [load.taken for load in loads] == [3, 3] or [load.taken for load in loads] == [2, 2, 2]
    assert len(ids(con)) == 6
    assert con.execute(
        "SELECT count(DISTINCT delivery_id) FROM lake.raw.deliveries"
    ).fetchall() == [(6,)]


def test_a_failed_load_leaves_the_log_and_the_inbox_as_they_were(
    con: duckdb.DuckDBPyConnection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(inbox, [event("a")], refusals=[Refusal(1, "no visitor", "{}")])

    def fail() -> None:
        raise duckdb.IOException("disk full")

    with monkeypatch.context() as broken:
        broken.setattr("os.sync", fail)
        with pytest.raises(LakeError, match="disk full"):
            drain(con, inbox, now=NOW)
    assert [count(con, table) for table in ("events", "deliveries", "rejected", "loads")] == [0] * 4
    drain(con, inbox, now=NOW)
    assert ids(con) == ["a"]
    assert count(con, "rejected") == 1


def test_pages_that_a_killed_load_left_are_deleted_unread(
    con: duckdb.DuckDBPyConnection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(inbox, [event("a")], refusals=[Refusal(1, "no visitor", "{}")])

    def killed(self: Store, number: int) -> None:
        if number:
            raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Store, "delete_to", killed)
        with pytest.raises(KeyboardInterrupt):
            drain(con, inbox, now=NOW)
    assert read_waiting(inbox)[0].events == 1
    receive(inbox, [event("b")])
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.known, loaded.rejected) == (1, 0, 0)
    assert ids(con) == ["a", "b"]
    assert read_waiting(inbox) == []


def test_nobody_begins_to_write_a_file_while_it_is_loaded(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [event("a")])
    found: list[str] = []

    def begin(step: str) -> None:
        owned = Ownership.claim(inbox, "inbox")
        found.append(owned.path.name)
        owned.give_up()

    drain(con, inbox, now=NOW, on_progress=begin)
    begin("afterwards")
    assert found == ["inbox-2.sqlite", "inbox.sqlite"]


def test_the_inbox_may_be_filled_while_it_is_loaded(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    sent: list[str] = []

    async def fill(box: Inbox, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            name = f"e{len(sent):06}"
            sent.append(name)
            delivery = Delivery(
                tenant=TenantId("default"), protocol="native", received_at=NOW, body=b"b"
            )
            await box.put(delivery, Parsed([event(name)]))

    async def work() -> None:
        box, is_over = Inbox.open(inbox), asyncio.Event()
        fillers = [asyncio.create_task(fill(box, is_over)) for _ in range(8)]
        for _ in range(5):
            await asyncio.to_thread(drain, con, inbox, now=NOW)
        is_over.set()
        await asyncio.gather(*fillers)
        await box.close()

    asyncio.run(work())
    drain(con, inbox, now=NOW)
    assert ids(con) == sorted(sent)
    assert len(sent) > 100


def test_a_spoiled_part_of_a_page_is_set_aside_and_the_rest_is_loaded(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [event("a")], [event("b")], body=noise(40_000))
    path = inbox / "inbox.sqlite"
    flip(path, path.read_bytes().index(noise(40_000)[1_000:1_032]))
    (loaded,) = drain(con, inbox, now=NOW)
    assert loaded.taken == 1
    (aside,) = find_set_aside(inbox)
    assert noise(40_000)[:1_000] in aside.read_bytes()
    assert read_waiting(inbox) == []


@pytest.mark.parametrize("at", [0, 30_000, 100_000, 200_000])
def test_a_broken_file_is_set_aside_and_what_can_be_read_is_loaded(
    con: duckdb.DuckDBPyConnection, inbox: Path, at: int
) -> None:
    receive(inbox, *([event(f"e{n:03}")] for n in range(60)), body=noise(4_000))
    path = inbox / "inbox.sqlite"
    whole = path.read_bytes()
    flip(path, at, 8_192)
    drain(con, inbox, now=NOW)
    found = ids(con)
    receive(inbox, [event("later")])
    drain(con, inbox, now=NOW)
    assert ids(con) == [*found, "later"]
    assert len(found) >= 50
    kept = find_set_aside(inbox)
    assert any(b'"e055"' in part for each in kept for part in read_set_aside(each))
    assert sum(each.stat().st_size for each in kept) <= len(whole) + 100_000


def test_the_owner_of_a_broken_file_replaces_it_when_a_load_asks(
    con: duckdb.DuckDBPyConnection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry.collect.inbox.inbox._TICK_SECONDS", 0.02)
    receive(inbox, *([event(f"e{n:03}")] for n in range(60)), body=noise(4_000))
    path = inbox / "inbox.sqlite"

    async def work() -> None:
        box = Inbox.open(inbox)
        assert Ownership.of(path) is None
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        flip(path, 8_192 * 3, 8_192 * 20)
        for _ in range(100):
            await asyncio.to_thread(drain, con, inbox, now=NOW)
            await asyncio.sleep(0.02)
            if find_set_aside(inbox):
                break
        delivery = Delivery(
            tenant=TenantId("default"), protocol="native", received_at=NOW, body=b"b"
        )
        await box.put(delivery, Parsed([event("later")]))
        await box.close()

    asyncio.run(work())
    assert find_set_aside(inbox)
    drain(con, inbox, now=NOW)
    assert "later" in ids(con)
    assert read_waiting(inbox) == []


def test_a_zero_character_is_replaced_as_the_lake_can_not_keep_it(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    sent = event("a\0", query="\0\\u0000\0\0", properties={"x\0": "\\\0"})
    receive(inbox, [sent], refusals=[Refusal(1, "why\0", "\0")])
    drain(con, inbox, now=NOW)
    assert con.execute("SELECT event_id, query, properties FROM lake.raw.events").fetchall() == [
        ("a\ufffd", "\ufffd\\u0000\ufffd\ufffd", '{"x\ufffd":"\\\\\ufffd"}')
    ]
    (row,) = con.execute("SELECT reason, original FROM lake.raw.rejected").fetchall()
    assert row == ("why\ufffd", "\ufffd")


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    event,
    texts,
    event_type=texts,
    occurred_at=st.datetimes(),
    received_at=st.datetimes(),
    visitor_id=texts,
    session_id=st.none() | texts,
    items=st.lists(st.builds(EventItem, texts, numbers, numbers), max_size=3).map(tuple),
    query=st.none() | texts,
    properties=st.none() | st.dictionaries(texts, values, max_size=4),
)


@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a drain is slow to shrink by
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(deliveries=st.lists(st.lists(events, max_size=8), max_size=4))
def test_any_event_is_in_the_log_as_it_was_acknowledged(
    con: duckdb.DuckDBPyConnection, inbox: Path, deliveries: list[list[Event]]
) -> None:
    con.execute("CREATE SCHEMA IF NOT EXISTS lake.raw")
    drain(con, inbox, now=NOW)
    con.execute("DELETE FROM lake.raw.events")
    receive(inbox, *deliveries)
    drain(con, inbox, now=NOW)
    rows = con.execute(
        "SELECT tenant, event_id, event_type, occurred_at, received_at, visitor_id, session_id, "
        "items, query, properties FROM lake.raw.events"
    ).fetchall()
    sent = [each for delivery in deliveries for each in delivery]
    assert {row[1] for row in rows} == {each.event_id for each in sent}
    assert len(rows) == len({each.event_id for each in sent})
    for row in rows:
        assert any(_agrees(row, each) for each in sent), row


def _agrees(row: tuple[Any, ...], told: Event) -> bool:
    plain = msgspec.to_builtins(told, builtin_types=(datetime,))
    expected = (*list(plain.values())[:7], list(plain["items"]), told.query)
    properties = json.loads(row[-1]) if row[-1] else None
    return row[:-1] == expected and properties == (plain["properties"] or None)
