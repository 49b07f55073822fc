from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from wherry.cli.commands import inbox_text
from wherry.collect import Loaded
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox
from wherry.domain import DEFAULT_TENANT, Event, EventId, VisitorId
from wherry.errors import LakeError, LockHeld
from wherry.lake import project_lock
from wherry.project import Project
from wherry.project.intake import Loader, read_inbox

NOW = datetime(2026, 3, 1, 12)


def receive(folder: Path, *names: str) -> None:
    """Put one delivery into an inbox."""

    async def work() -> None:
        inbox = Inbox.open(folder)
        events = [
            Event(
                tenant=DEFAULT_TENANT,
                event_id=EventId(name),
                event_type="view",
                occurred_at=NOW,
                received_at=NOW,
                visitor_id=VisitorId("anna"),
            )
            for name in names
        ]
        delivery = Delivery(tenant=DEFAULT_TENANT, protocol="native", received_at=NOW, body=b"[]")
        await inbox.put(delivery, Parsed(events))
        await inbox.close()

    asyncio.run(work())


def events_in(project: Project) -> int:
    with project.lake.reader() as con:
        return int(con.execute("SELECT count(*) FROM lake.raw.events").fetchall()[0][0])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "shop", clock=lambda: NOW)


def test_a_run_loads_what_waits_before_anything_else(project: Project) -> None:
    receive(project.home.inbox, "a", "b")
    record = project.run(only="load")
    assert [(stage.name, stage.rows) for stage in record.stages] == [("load", 2)]
    assert events_in(project) == 2
    assert project.status().inbox.events == 0
    again = project.run(only="load")
    assert again.found_nothing_new


def test_the_status_says_what_waits_since_when_and_what_is_set_aside(project: Project) -> None:
    receive(project.home.inbox, "a", "b")
    (project.home.inbox / "inbox.1.aside").touch()
    status = project.status().inbox
    assert (status.events, status.oldest) == (2, NOW)
    waiting, aside = (str(part) for part in inbox_text(status))
    assert "2 events wait since 2026-03-01 12:00:00 UTC" in waiting
    assert "inbox.1.aside" in aside
    assert inbox_text(read_inbox(project.home.root / "nowhere")) == []


def test_a_load_needs_no_run_and_opens_no_lake_for_nothing(project: Project) -> None:
    assert project.load() == []
    assert not project.lake.exists()
    receive(project.home.inbox, "a")
    (loaded,) = project.load()
    assert loaded.taken == 1


def test_others_wait_for_a_servers_load_without_being_told_to(project: Project) -> None:
    held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with project_lock(project.home.lock, "wherry serve (loading)", is_brief=True):
            held.set()
            is_over.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    with pytest.raises(LockHeld), project_lock(project.home.lock, "another", is_brief=True):
        pass
    threading.Timer(0.1, is_over.set).start()
    with project_lock(project.home.lock, "wherry run"):
        assert is_over.is_set()
    thread.join()


def test_a_loader_goes_on_after_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: list[Exception | None] = [LakeError("the disk is full"), LockHeld("a run"), None]
    done = threading.Event()

    @contextlib.contextmanager
    def writing() -> Iterator[None]:
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        yield

    def load() -> list[Loaded]:
        done.set()
        return [Loaded(load_id=1, source="inbox", kind="events")]

    with (
        caplog.at_level(logging.ERROR),
        Loader(writing, load, lambda: True, every_seconds=0.01) as loader,
    ):
        assert done.wait(20)
    assert loader.failures == 1
    assert loader.loads >= 1
    assert "the disk is full" in caplog.text


def test_a_loader_takes_no_lock_where_nothing_waits() -> None:
    looked = threading.Event()

    def waits() -> bool:
        looked.set()
        return False

    def never() -> contextlib.AbstractContextManager[None]:
        raise AssertionError("took the lock")

    with Loader(never, lambda: [], waits, every_seconds=0.01) as loader:
        assert looked.wait(20)
    assert (loader.loads, loader.failures) == (0, 0)
