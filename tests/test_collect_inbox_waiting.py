"""What waits in an inbox, read beside the process that writes it."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox, read_waiting_events
from wherry.domain import DEFAULT_TENANT, Event, EventId, LoggedAnswer, VisitorId

NOW = datetime(2026, 3, 1, 12)


def event(name: str, at: datetime) -> Event:
    return Event(
        tenant=DEFAULT_TENANT,
        event_id=EventId(name),
        event_type="view",
        occurred_at=at,
        received_at=at,
        visitor_id=VisitorId("anna"),
    )


async def receive(inbox: Inbox, *events: Event) -> None:
    at = events[0].received_at
    delivery = Delivery(tenant=DEFAULT_TENANT, protocol="native", received_at=at, body=b"[]")
    await inbox.put(delivery, Parsed(list(events)))


def test_the_events_of_all_files_come_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    async def work() -> list[str]:
        one, other = Inbox.open(tmp_path), Inbox.open(tmp_path)
        for number in range(6):
            inbox = one if number % 2 else other
            await receive(inbox, event(f"e{number}", NOW + timedelta(seconds=number)))
        answer = LoggedAnswer(
            tenant=DEFAULT_TENANT, request_id="r", answered_at=NOW, model="m", version=1
        )
        await one.put_answers([answer], NOW)
        found = read_waiting_events(tmp_path, since=NOW + timedelta(seconds=2))
        names = [each.event_id for each in found]
        await one.close()
        await other.close()
        return names

    assert asyncio.run(work()) == ["e2", "e3", "e4", "e5"]


def test_an_inbox_that_is_not_there_or_broken_gives_what_can_be_read(tmp_path: Path) -> None:
    assert list(read_waiting_events(tmp_path / "none", since=NOW)) == []

    async def work() -> None:
        inbox = Inbox.open(tmp_path)
        await receive(inbox, event("e", NOW))
        await inbox.close()

    asyncio.run(work())
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 1000)

    assert [each.event_id for each in read_waiting_events(tmp_path, since=NOW)] == ["e"]


def test_a_file_that_is_being_made_holds_nothing_yet_and_is_no_cause_for_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sqlite3.connect(tmp_path / "serve.sqlite").close()
    assert (tmp_path / "serve.sqlite").exists()
    assert list(read_waiting_events(tmp_path, since=NOW)) == []
    assert caplog.text == ""
