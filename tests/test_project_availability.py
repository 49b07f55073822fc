"""Live availability of a project: made again from log and inbox, dropped once it is known."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wherry.collect.availability import NO_EVENTS, delivery_of
from wherry.collect.drain import drain
from wherry.collect.inbox import Inbox
from wherry.config import Settings
from wherry.domain import DEFAULT_TENANT
from wherry.domain.availability import ItemAvailability
from wherry.lake import Lake
from wherry.live.availability import LiveAvailability
from wherry.live.store import LiveStore
from wherry.project.availability import KEPT, AvailabilityCare
from wherry.project.home import Home

NOON = datetime(2026, 3, 1, 12)


class Champions:
    """A registry with one champion, of the lake's newest snapshot."""

    def __init__(self, snapshot: int) -> None:
        self.snapshot = snapshot

    def champions(self) -> dict[str, Any]:
        return {DEFAULT_TENANT: (self, Path())}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def receive(home: Home, item: str, available: bool, hours: int) -> None:
    async def work() -> None:
        box = Inbox.open(home.inbox)
        told = [ItemAvailability(item, available)]
        at = NOON + timedelta(hours=hours)
        await box.put(delivery_of(DEFAULT_TENANT, told, at), NO_EVENTS)
        await box.close()

    asyncio.run(work())


def care(home: Home, live: LiveAvailability, now: datetime, champions: Any = None) -> None:
    registry = champions or type("None", (), {"champions": lambda self: {}})()
    AvailabilityCare(live, home, Settings(), Lake(home.lake), registry, lambda: now).tend()


def state(live: LiveAvailability) -> dict[str, bool]:
    return {each.item: each.available for each in live.since(DEFAULT_TENANT, 0)}


def test_a_new_store_is_filled_from_the_log_and_the_inbox(home: Home) -> None:
    receive(home, "tent", False, 0)
    receive(home, "stove", False, 0)
    with Lake(home.lake).writer() as con:
        drain(con, home.inbox, now=NOON)
    receive(home, "tent", True, 1)
    store = LiveStore(home.live, boot="b1")
    live = LiveAvailability(store)
    care(home, live, NOON)
    assert state(live) == {"tent": True, "stove": False}
    assert live.is_complete
    store.close()
    after_reboot = LiveStore(home.live, boot="b2")
    again = LiveAvailability(after_reboot)
    assert state(again) == {}
    care(home, again, NOON)
    assert state(again) == {"tent": True, "stove": False}
    after_reboot.close()


def test_a_project_without_a_lake_has_nothing_to_make_again(home: Home) -> None:
    store = LiveStore(home.live, boot="b1")
    live = LiveAvailability(store)
    care(home, live, NOON)
    assert live.is_complete
    assert state(live) == {}
    store.close()


def test_what_the_champion_knows_is_let_go_of_in_time(home: Home) -> None:
    for item in ("known", "unknown to it"):
        receive(home, item, False, 0)
    with Lake(home.lake).writer() as con:
        drain(con, home.inbox, now=NOON)
        con.execute("CREATE SCHEMA lake.marts")
        con.execute(
            "CREATE TABLE lake.marts.items AS SELECT 'default' AS tenant, 'known' AS item_id, "
            f"TIMESTAMP '{NOON}' AS available_told_at"
        )
        (snapshot,) = con.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()[0]
    store = LiveStore(home.live, boot="b1")
    live = LiveAvailability(store)
    care(home, live, NOON + KEPT, Champions(snapshot))
    assert set(state(live)) == {"known", "unknown to it"}
    care(home, live, NOON + KEPT + timedelta(seconds=1), Champions(snapshot))
    assert set(state(live)) == {"unknown to it"}
    store.close()
