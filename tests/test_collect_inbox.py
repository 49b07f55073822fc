from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.collect.inbox import Entry, Inbox, Receipt, read_waiting
from wherry.collect.inbox.page import decode_page, events_of
from wherry.collect.inbox.store import Store
from wherry.domain import DEFAULT_TENANT, Event, EventId, EventItem, ItemId, VisitorId
from wherry.errors import InboxUnavailable

NOW = datetime(2026, 3, 1, 12)


def event(name: str, **more: object) -> Event:
    fields: dict[str, object] = {
        "tenant": DEFAULT_TENANT,
        "event_id": EventId(name),
        "event_type": "view",
        "occurred_at": NOW,
        "received_at": NOW,
        "visitor_id": VisitorId("anna"),
        "items": (EventItem(ItemId("stove"), 49.5, 2.0),),
    }
    return Event(**(fields | more))  # type: ignore[arg-type]


def delivery(body: bytes = b"[]") -> Delivery:
    return Delivery(tenant=DEFAULT_TENANT, protocol="native", received_at=NOW, body=body)


async def put(inbox: Inbox, *names: str, refusals: Sequence[Refusal] = ()) -> Receipt:
    parsed = Parsed([event(name) for name in names], list(refusals))
    return await inbox.put(delivery(",".join(names).encode()), parsed)


def names_in(path: Path) -> list[str]:
    """The ids of all events in a file of the inbox, in order."""
    with closing(Store(path, may_create=True)) as store:
        return [
            each.event_id
            for page in store.pages()
            for entry in decode_page(page.content)
            if isinstance(entry, Entry)
            for each in events_of(entry)
        ]


def test_a_delivery_is_kept_as_it_came_with_its_events_and_refusals(tmp_path: Path) -> None:
    refusal = Refusal(1, "no visitor", '{"event": 1}')
    told = event("a", query="stöve", properties={"x": [1, None]})
    came = Delivery(
        tenant=DEFAULT_TENANT,
        protocol="segment",
        received_at=NOW,
        body=b"\x00\xff body",
        context={"path": "/v1/track"},
    )

    async def work() -> None:
        inbox = Inbox.open(tmp_path)
        assert await inbox.put(came, Parsed([told], [refusal])) == Receipt(taken=1, known=0)
        await inbox.close()

    asyncio.run(work())
    with closing(Store(tmp_path / "inbox.sqlite")) as store:
        (page,) = store.pages()
    (entry,) = decode_page(page.content)
    assert isinstance(entry, Entry)
    assert entry.delivery == came
    assert events_of(entry) == [told]
    assert entry.refusals == [refusal]


def test_deliveries_that_come_together_share_a_commit(tmp_path: Path) -> None:
    async def work() -> None:
        inbox = Inbox.open(tmp_path)
        await asyncio.gather(*(put(inbox, f"e{n}") for n in range(500)))
        await inbox.close()

    asyncio.run(work())
    (waiting,) = read_waiting(tmp_path)
    assert waiting.events == 500
    assert waiting.pages < 50
    assert waiting.oldest == NOW
    assert names_in(tmp_path / "inbox.sqlite") == [f"e{n}" for n in range(500)]


def test_an_event_that_came_before_is_known_also_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        inbox = Inbox.open(tmp_path)
        assert await put(inbox, "a", "b", "a") == Receipt(taken=2, known=1)
        assert await put(inbox, "b", "c") == Receipt(taken=1, known=1)
        await inbox.close()
        inbox = Inbox.open(tmp_path)
        assert await put(inbox, "c", "d") == Receipt(taken=1, known=1)
        await inbox.close()

    asyncio.run(work())


def test_too_much_on_its_way_is_refused_and_taken_a_moment_later(tmp_path: Path) -> None:
    async def work() -> None:
        inbox = Inbox.open(tmp_path, max_waiting_bytes=1_000)
        answers = await asyncio.gather(
            *(put(inbox, f"e{n}") for n in range(20)), return_exceptions=True
        )
        refused = [each for each in answers if isinstance(each, InboxUnavailable)]
        assert 0 < len(refused) < 20
        assert refused[0].retry_seconds == 1
        assert await put(inbox, "later") == Receipt(taken=1, known=0)
        await inbox.close()
        kept = names_in(tmp_path / "inbox.sqlite")
        assert len(kept) == 20 - len(refused) + 1

    asyncio.run(work())


def test_what_could_not_be_kept_is_new_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    async def work() -> None:
        inbox = Inbox.open(tmp_path, retry_seconds=7)
        with monkeypatch.context() as broken:
            broken.setattr(Store, "append", full)
            with pytest.raises(InboxUnavailable, match="disk is full") as told:
                await put(inbox, "a")
        assert told.value.retry_seconds == 7
        assert await put(inbox, "a") == Receipt(taken=1, known=0)
        await inbox.close()
        assert names_in(tmp_path / "inbox.sqlite") == ["a"]

    asyncio.run(work())


def test_numbers_rise_over_a_restart_of_an_emptied_file(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with closing(Store(path, may_create=True)) as store:
        for _ in range(40):
            last = store.append(b"page", 1, NOW.isoformat())
        name = store.id
        store.delete_to(last)
    with closing(Store(path, may_create=True)) as store:
        assert store.append(b"page", 1, NOW.isoformat()) == last + 1
        assert store.id == name


def test_the_file_shrinks_when_its_pages_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with closing(Store(path, may_create=True)) as store:
        for _ in range(100):
            last = store.append(b"x" * 100_000, 1, NOW.isoformat())
        store.delete_to(last)
        store.shrink()
    assert path.stat().st_size < 5_000_000
