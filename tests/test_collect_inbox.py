from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from wherry.collect.delivery import Delivery, Parsed, Refusal
from wherry.collect.inbox import (
    Entry,
    Inbox,
    Receipt,
    find_set_aside,
    open_whole,
    read_waiting,
)
from wherry.collect.inbox.page import decode_page, encode_entry, events_of, write_page
from wherry.collect.inbox.store import Store, connect
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


def test_what_a_killed_load_leaves_behind_the_end_of_the_log_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    contents = [write_page([encode_entry(delivery(b"%d" % n), Parsed([event(f"e{n}")]))])
                for n in range(40)]  # fmt: skip
    with closing(Store(path, may_create=True)) as store, closing(connect(path)) as reader:
        for content in contents[:20]:
            store.append(content, 1, NOW.isoformat())
        log = Path(f"{path}-wal")
        before = log.read_bytes()
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM pages").fetchone()  # so that closing keeps the log
        store.delete_to(20)  # these frames are a load's, which is killed before they count
        leftover = log.read_bytes()[len(before) :]
        shutil.copytree(tmp_path, tmp_path / "killed")
    path = tmp_path / "killed" / "inbox.sqlite"
    Path(f"{path}-shm").unlink()
    # The server goes on where the log ended, over the first of them.
    Path(f"{path}-wal").write_bytes(before + bytes(64) + leftover[64:])
    with closing(open_whole(path)) as store:
        assert store.append(contents[20], 1, NOW.isoformat()) > 1_000
    assert names_in(path) == [f"e{n}" for n in range(21)]
    assert find_set_aside(path.parent) == []


def with_a_spoiled_frame(folder: Path, name: str) -> Path:
    """An inbox file of forty events, as a kill leaves it in the folder of this name, with a frame
    in the middle of its log that is not what was written."""
    with closing(Store(folder / "inbox.sqlite", may_create=True)) as store:
        for n in range(40):
            entry = encode_entry(delivery(b"%d" % n), Parsed([event(f"e{n}")]))
            store.append(write_page([entry]), 1, NOW.isoformat())
        shutil.copytree(folder, folder / name)
    path = folder / name / "inbox.sqlite"
    Path(f"{path}-shm").unlink()
    with Path(f"{path}-wal").open("r+b") as log:
        log.seek(32 + (24 + 8_192) * 20 + 100)
        log.write(b"\xff" * 64)
    return path


def test_pages_behind_a_spoiled_frame_of_the_log_are_saved(tmp_path: Path) -> None:
    path = with_a_spoiled_frame(tmp_path, "killed")
    with closing(open_whole(path)) as store:
        store.append(write_page([encode_entry(delivery(), Parsed([event("later")]))]), 1, "")
    found = names_in(path)
    assert set(found) >= {f"e{n}" for n in range(40)} - {f"e{n}" for n in range(15, 25)}
    assert "later" in found
    assert len(find_set_aside(path.parent)) == 1


def test_another_process_that_looks_in_takes_no_page_from_a_file_that_was_mended(
    tmp_path: Path,
) -> None:
    path = with_a_spoiled_frame(tmp_path, "mended")
    look = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"
    )
    with closing(open_whole(path)) as store:
        command = [sys.executable, "-c", look, str(path), "SELECT count(*) FROM pages"]
        subprocess.run(command, check=True, timeout=60)
        store.append(write_page([encode_entry(delivery(), Parsed([event("later")]))]), 1, "")
        shutil.copytree(path.parent, tmp_path / "killed")
    assert "later" in names_in(tmp_path / "killed" / "inbox.sqlite")


@pytest.mark.parametrize("count", [3, 200])
def test_whoever_wants_to_know_is_told_of_events_before_they_are_acknowledged(
    tmp_path: Path, count: int
) -> None:
    told: list[str] = []

    async def work() -> None:
        inbox = Inbox.open(tmp_path, after=lambda events: told.extend(e.event_id for e in events))
        await put(inbox, *(f"e{number}" for number in range(count)))
        assert told == [f"e{number}" for number in range(count)]
        await inbox.close()

    asyncio.run(work())


def test_who_fails_at_being_told_holds_no_acknowledgement_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(events: object) -> None:
        raise RuntimeError("no state today")

    async def work() -> Receipt:
        inbox = Inbox.open(tmp_path, after=fail)
        receipt = await put(inbox, "a", "b")
        await inbox.close()
        return receipt

    assert asyncio.run(work()) == Receipt(2, 0)
    assert "2 events are kept" in caplog.text
