"""A project's live sessions: shared by its servers, and made again from the log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_shop import Client
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox
from wherry.config import Settings
from wherry.config.settings import Live, Sessions
from wherry.domain import (
    DEFAULT_TENANT,
    Event,
    EventId,
    EventItem,
    ItemId,
    SessionId,
    VisitorId,
)
from wherry.domain.session import SessionItems, microseconds
from wherry.project import Project
from wherry.project.live import Tending, live_lookup, live_sessions, restore_sessions

NOW = datetime(2026, 3, 1, 12)
ANN = VisitorId("ann")
HERE = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE / "src")}


def event(minute: float, item: str, *, visitor: str = ANN, session: str | None = None) -> Event:
    at = NOW + timedelta(minutes=minute)
    return Event(
        tenant=DEFAULT_TENANT,
        event_id=EventId(f"{visitor} {minute} {item}"),
        event_type="view",
        occurred_at=at,
        received_at=at,
        visitor_id=VisitorId(visitor),
        session_id=None if session is None else SessionId(session),
        items=(EventItem(ItemId(item)),),
    )


def receive(folder: Path, *events: Event) -> None:
    """Put events into an inbox, each as a delivery of its own."""

    async def work() -> None:
        inbox = Inbox.open(folder)
        for each in events:
            delivery = Delivery(
                tenant=DEFAULT_TENANT, protocol="native", received_at=each.received_at, body=b"[]"
            )
            await inbox.put(delivery, Parsed([each]))
        await inbox.close()

    asyncio.run(work())


def items_of(found: SessionItems | None) -> tuple[str, ...] | None:
    return None if found is None else found.items


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "shop", clock=lambda: NOW)


class Clock:
    """A time that a test moves on."""

    def __init__(self) -> None:
        self.minute = 0.0

    def __call__(self) -> datetime:
        return NOW + timedelta(minutes=self.minute)


def tending(project: Project, clock: Clock | None = None) -> Tending:
    live = project.live_sessions
    return Tending(live, project.home, project.settings, project.lake, clock or Clock())


def test_sessions_are_made_again_from_the_log_and_the_inbox(project: Project) -> None:
    receive(
        project.home.inbox,
        event(-200, "long ago"),
        event(-45, "i1", session="s"),
        event(-40, "i2"),
        event(-20, "i3"),
        event(-15, "i4", visitor="bob"),
    )
    project.load()
    receive(project.home.inbox, event(-5, "i5"), event(-4, "i6", session="s"))

    tending(project).do()

    live = project.live_sessions
    assert live.is_complete
    assert items_of(live.of_visitor(DEFAULT_TENANT, VisitorId("bob"), NOW)) == ("i4",)
    assert items_of(live.of_session(DEFAULT_TENANT, SessionId("s"), NOW)) == ("i1", "i6")
    receive(project.home.inbox, event(-1, "i7"))
    project.load()
    live.take([event(-1, "i7")])
    assert items_of(live.of_visitor(DEFAULT_TENANT, ANN, NOW)) == ("i2", "i3", "i5", "i7")


def test_sessions_are_made_again_once_and_when_the_store_is_lost(project: Project) -> None:
    receive(project.home.inbox, event(-5, "i1"))
    clock = Clock()
    mine = tending(project, clock)
    mine.do()
    receive(project.home.inbox, event(-4, "i2"))
    mine.do()
    live = project.live_sessions
    assert items_of(live.of_visitor(DEFAULT_TENANT, ANN, NOW)) == ("i1",)

    project.live_store.close()
    (project.home.live / "current").unlink()
    tending(project).do()
    assert not live.is_complete  # another server of the project looks after them
    clock.minute = 1.1
    mine.do()

    assert items_of(live.of_visitor(DEFAULT_TENANT, ANN, NOW)) == ("i1", "i2")


def test_another_gap_makes_the_sessions_again(project: Project) -> None:
    receive(project.home.inbox, event(-25, "i1"), event(-5, "i2"))
    tending(project).do()
    assert items_of(project.live_sessions.of_visitor(DEFAULT_TENANT, ANN, NOW)) == ("i1", "i2")

    (project.home.live / "tending.lock").unlink()
    (project.home.root / "wherry.toml").write_text("[sessions]\ngap_minutes = 10\n")
    project.live_store.close()
    again = Project.open(project.home.root)
    tending(again).do()

    assert items_of(again.live_sessions.of_visitor(DEFAULT_TENANT, ANN, NOW)) == ("i2",)


def test_tending_sweeps_what_is_over(project: Project) -> None:
    live = project.live_sessions
    live.mark_complete()
    live.take([event(0, "i1")])

    clock = Clock()
    clock.minute = 70
    tending(project, clock).do()

    assert live.of_visitor(DEFAULT_TENANT, ANN, NOW) is None


def test_a_log_that_can_not_be_read_is_told_and_tried_again(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.home.lake.mkdir(parents=True)
    project.lake.catalog_path.write_bytes(b"no catalog")

    tending(project).do()

    assert "can't be looked after" in caplog.text
    assert not project.live_sessions.is_complete


def test_a_store_that_keeps_nothing_is_never_complete(project: Project) -> None:
    project.home.live.parent.mkdir(parents=True, exist_ok=True)
    project.home.live.write_text("in the way")

    assert restore_sessions(project.live_sessions, [event(0, "i1")]) == 0


def test_the_settings_say_what_a_session_is(project: Project) -> None:
    settings = Settings(sessions=Sessions(gap_minutes=5), live=Live(given_session_hours=1))
    live = live_sessions(project.live_store, settings)
    look = live_lookup(live, lambda: microseconds(NOW + timedelta(minutes=6)))
    live.take([event(0, "i1"), event(0, "i2", session="s", visitor="bob")])

    assert look(DEFAULT_TENANT, ANN, None) is None
    assert items_of(look(DEFAULT_TENANT, None, SessionId("s"))) == ("i2",)
    assert look(DEFAULT_TENANT, None, None) is None
    live.take([event(3, "i3")])
    assert items_of(look(DEFAULT_TENANT, ANN, SessionId("unheard of"))) == ("i1", "i3")


@contextmanager
def serving(folder: Path) -> Iterator[httpx.Client]:
    """A server of a project, in a process of its own, and a client of it."""
    command = [sys.executable, "-m", "wherry", "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while "}" not in text:
                line = process.stdout.readline()
                assert line, "the server did not start"
                text += line
            with httpx.Client(base_url=json.loads(text)["address"], timeout=60) as client:
                yield client
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def view(client: httpx.Client, item: str) -> None:
    body = {"event_type": "view", "visitor_id": "ann", "items": [{"id": item}]}
    answer = client.post("/v1/events", json=body)
    assert answer.json()["taken"] == 1, answer.text


def asked(client: httpx.Client, **body: Any) -> list[Any]:
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


def test_what_one_server_collects_the_other_knows_at_once_and_after_a_restart(
    shop: Path,
) -> None:
    items = [each for items in Project.open(shop).newest_sessions(at_most=40) for each in items]
    first, second = list(dict.fromkeys(items))[:2]
    with ExitStack() as stack:
        one, other = (stack.enter_context(serving(shop)) for _ in range(2))
        nobody = asked(one, visitor_id="ann")
        view(one, first)
        assert asked(other, visitor_id="ann") == asked(one, session_items=[first]) != nobody
        view(other, second)
        both = asked(one, session_items=[first, second])
        assert asked(one, visitor_id="ann") == both
        assert asked(one, visitor_id="ann", session_items=[second]) == asked(
            one, session_items=[second]
        )
    with serving(shop) as again:
        assert asked(again, visitor_id="ann") == both


def test_a_live_store_that_fails_costs_no_request_and_is_counted(shop: Path) -> None:
    project = Project.open(shop)
    with Client(project.serving()) as client:
        assert "wherry_live_failures_total 0.0" in client.get("/metrics").text.splitlines()
    folder = project.home.live
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("a file stands where the folder should")
    project = Project.open(shop)
    with Client(project.serving()) as client:
        body = {"event_type": "view", "visitor_id": "ann", "items": [{"id": "tent"}]}
        assert client.post("/v1/events", json=body).json()["taken"] == 1
        assert client.get("/v1/recommend?visitor_id=ann").json()["fallback"] == "popular"
        (line,) = re.findall("^wherry_live_failures_total (.+)", client.get("/metrics").text, re.M)
    assert float(line) == project.live_store.failures > 0
