from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from serve_shop import release
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.drain import drain
from wherry.collect.inbox import Inbox
from wherry.config import Outcomes
from wherry.config import Release as Rules
from wherry.domain import (
    DEFAULT_TENANT,
    Act,
    Event,
    EventId,
    EventItem,
    ItemId,
    LoggedAnswer,
    Mode,
    Release,
    Role,
    Rollout,
    TenantId,
    VisitorId,
)
from wherry.lake import Lake, project_lock
from wherry.project.decisions import DecisionLog
from wherry.project.guarding import Guard, GuardThread, bounds
from wherry.project.home import Home
from wherry.project.releasing import Releasing
from wherry.registry import Challenger, Registry, Rollouts
from wherry.watch import Bounds, Ruling

START = datetime(2026, 3, 1, 12)


class Shelf:
    """A registry where recommender@1 is the champion."""

    def champion(self, tenant: TenantId) -> Release:
        return release(1)

    def name_challenger(self, tenant: TenantId, version: int | None) -> None:
        pass


class Shop:
    """A project's folder in which recommender@2 is tried on half of the visitors."""

    def __init__(self, root: Path, *, mode: Mode = Mode.AB) -> None:
        self.home = Home(root)
        self.lake = Lake(self.home.lake)
        self.now = START
        self.releasing = Releasing(
            registry=cast(Registry, Shelf()),
            rollouts=Rollouts(self.home.rollouts, self.home.registry),
            log=DecisionLog(self.home.decisions),
            load=lambda release, folder: None,
            clock=lambda: self.now,
            by="guard",
        )
        self.rollout = Rollout(
            rollout_id="r1",
            tenant=DEFAULT_TENANT,
            mode=mode,
            version=2,
            share=0.5,
            started_at=START,
        )
        folder = self.home.registry / "v2"
        self.releasing.rollouts.start(Challenger(self.rollout, release(2), folder))

    def guard(self) -> Guard:
        return Guard(self.home, Rules(), Outcomes(), self.lake, self.releasing, lambda: self.now)

    def visit(self, visitors: Sequence[str], *, tried: float, champion: float) -> None:
        """Each visitor gets an answer, and a share of each part clicks it."""
        answers, events = [], []
        for number, name in enumerate(visitors):
            is_tried = self.rollout.draws(f"v:{name}")
            answers.append(
                LoggedAnswer(
                    tenant=DEFAULT_TENANT,
                    request_id=name,
                    answered_at=self.now,
                    model="recommender",
                    version=2 if is_tried else 1,
                    role=Role.CHALLENGER if is_tried else Role.CHAMPION,
                    rollout=self.rollout.label,
                    visitor_id=VisitorId(name),
                    items=(ItemId("i1"),),
                    latency_us=2_000,
                )
            )
            if number % 100 < 100 * (tried if is_tried else champion):
                events.append(click(name, self.now + timedelta(seconds=1)))
        self.now += timedelta(seconds=5)
        receive(self.home.inbox, answers, events, self.now)

    def load(self) -> None:
        with self.lake.writer() as con:
            drain(con, self.home.inbox, now=self.now)


def click(visitor: str, at: datetime) -> Event:
    return Event(
        tenant=DEFAULT_TENANT,
        event_id=EventId(f"{visitor}-{at}"),
        event_type="click",
        occurred_at=at,
        received_at=at,
        visitor_id=VisitorId(visitor),
        items=(EventItem(ItemId("i1")),),
    )


def receive(
    folder: Path, answers: Sequence[LoggedAnswer], events: list[Event], now: datetime
) -> None:
    async def work() -> None:
        inbox = Inbox.open(folder, "serve")
        await inbox.put_answers(answers, now)
        delivery = Delivery(
            tenant=DEFAULT_TENANT, protocol="native", received_at=now, body=b"", context={}
        )
        await inbox.put(delivery, Parsed(events, []))
        await inbox.close()

    asyncio.run(work())


def names(first: int, count: int) -> list[str]:
    return [f"visitor-{number}" for number in range(first, first + count)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_worse_release_is_stopped_from_what_waits_while_another_process_holds_the_project(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.visit(names(0, 3_000), tried=0.05, champion=0.15)
    with project_lock(shop.home.lock, "wherry run"):
        found = shop.guard().look()[DEFAULT_TENANT]
    assert found.ruling is Ruling.STOP
    assert shop.releasing.rollouts.read() == {}
    stopped = shop.releasing.log.read().decisions[0]
    assert (stopped.act, stopped.by, stopped.champion) == (Act.STOPPED, "guard", "recommender@1")
    assert stopped.why.startswith("its click-through is")
    assert stopped.figures["difference"] < -0.5
    assert "recommender@2 of default is stopped" in caplog.text


def test_what_is_loaded_between_two_looks_counts_once_wherever_it_is_found(shop: Shop) -> None:
    guard = shop.guard()
    shop.visit(names(0, 300), tried=0.1, champion=0.1)
    first = guard.look()[DEFAULT_TENANT]
    shop.load()
    assert guard.look()[DEFAULT_TENANT] == first
    shop.visit(names(300, 300), tried=0.1, champion=0.1)
    shop.load()  # before any look
    shop.visit(names(600, 300), tried=0.1, champion=0.1)
    found = guard.look()[DEFAULT_TENANT]
    assert found.challenger_visitors + found.champion_visitors == 900
    # Another process that has seen nothing of it finds the same, and so does one after a restart.
    for path in shop.home.rollouts.glob("*.sqlite*"):
        path.unlink()
    assert shop.guard().look()[DEFAULT_TENANT] == found
    assert shop.guard().look()[DEFAULT_TENANT] == found
    assert found.clicks is not None
    assert found.clicks.challenger == pytest.approx(0.1, abs=0.03)


def test_an_equal_release_goes_on_and_a_better_one_is_noted_once_and_not_promoted(
    shop: Shop,
) -> None:
    guard = shop.guard()
    shop.visit(names(0, 1_000), tried=0.1, champion=0.1)
    assert guard.look()[DEFAULT_TENANT].ruling is Ruling.GO_ON
    shop.visit(names(1_000, 4_000), tried=0.2, champion=0.1)
    for _ in range(2):
        assert guard.look()[DEFAULT_TENANT].ruling is Ruling.BETTER
    assert [each.act for each in shop.releasing.log.read().decisions] == [Act.FOUND_BETTER]
    assert shop.releasing.rollouts.of(DEFAULT_TENANT) is not None


def test_who_only_looks_changes_nothing(shop: Shop) -> None:
    shop.visit(names(0, 3_000), tried=0.05, champion=0.15)
    assert shop.guard().look(acts=False)[DEFAULT_TENANT].ruling is Ruling.STOP
    assert shop.releasing.rollouts.of(DEFAULT_TENANT) is not None
    assert shop.releasing.log.read().decisions == ()


def test_the_next_phase_begins_with_no_evidence_and_the_old_is_deleted(shop: Shop) -> None:
    guard = shop.guard()
    shop.visit(names(0, 300), tried=0.1, champion=0.1)
    guard.look()
    shop.releasing.rollouts.ramp(DEFAULT_TENANT, "r1", mode=Mode.AB, share=0.6, now=shop.now)
    assert guard.look()[DEFAULT_TENANT].challenger_visitors == 0
    assert {path.stem for path in shop.home.rollouts.glob("*.sqlite")} == {"r1.2"}
    shop.releasing.rollouts.end(DEFAULT_TENANT, "r1")
    assert guard.look() == {}
    assert not list(shop.home.rollouts.glob("*.sqlite*"))


def test_what_goes_wrong_is_told_and_the_next_look_comes(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    thread = GuardThread(shop.guard(), every_seconds=3_600)
    path = shop.home.rollouts / "default.json"
    kept = path.read_bytes()
    path.write_bytes(b"{")
    thread.do()
    assert thread.failures == 1
    assert "can't look" in caplog.text
    path.write_bytes(kept)
    thread.do()
    assert thread.failures == 1


def test_the_guards_bounds_are_those_of_the_settings() -> None:
    rules = Rules(margin=0.1, max_error_share=0.2, max_p99_ms=7, false_stops=0.01, effect=0.3)
    assert bounds(rules) == Bounds(
        margin=0.1, max_error_share=0.2, max_p99_ms=7, false_stops=0.01, effect=0.3
    )
