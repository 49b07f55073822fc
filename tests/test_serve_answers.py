"""The log of answers: nobody waits for it, and what it loses is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serve_shop import Client, answerer, release
from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox import Inbox, Receipt
from wherry.collect.keys import Keys
from wherry.domain import DEFAULT_TENANT, LoggedAnswer, Release, Role, Rule, TenantId
from wherry.domain.rule import Boost
from wherry.errors import InboxUnavailable
from wherry.serve import AnswerLog, CollectRoutes, Metrics, Query, Recommender, create_app
from wherry.serve.answers import Asked, Given
from wherry.serve.request import RecommendRequest

NOW = datetime(2026, 3, 1, 12)
RECOMMEND = "/v1/recommend"


RECOMMENDER = Recommender(answerer(), version=3)


def answer(name: str) -> Given:
    """An answer to a request of this name, of which there is nothing else to say."""
    asked = Asked(request_id=name, request=RecommendRequest(), began=0.0)
    return Given(
        asked=asked, query=Query(), recommender=RECOMMENDER, answer=None, answered_at=NOW, seconds=0
    )


class Box(Inbox):
    """An inbox in memory, which can fail, and can be so slow that nothing is ever kept."""

    def __init__(self) -> None:
        self.kept: list[LoggedAnswer] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.is_stuck = False

    async def put(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        return Receipt(0, 0)

    async def put_answers(
        self, answers: Sequence[LoggedAnswer | msgspec.Raw], now: datetime
    ) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.kept += [msgspec.msgpack.decode(each, type=LoggedAnswer) for each in answers]
        self.batches.append(len(answers))

    async def close(self) -> None:
        pass


def a_log(metrics: Metrics, **more: Any) -> AnswerLog:
    return AnswerLog(metrics, clock=lambda: NOW, **({"every_seconds": 0.001} | more))


def figure(metrics: Metrics, name: str) -> float:
    lines = metrics.text().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def dropped(metrics: Metrics, reason: str) -> float:
    return figure(metrics, f'wherry_answers_dropped_total{{reason="{reason}"}}')


def write(box: Box, metrics: Metrics, count: int, grace: float = 5.0, **more: Any) -> None:
    """Start a log, give it answers, and stop it."""

    async def work() -> None:
        log = a_log(metrics, **more)
        log.start(box)
        for number in range(count):
            log.add(answer(f"r{number}"))
        await log.stop(grace)

    asyncio.run(work())


def test_what_is_taken_is_in_the_inbox_in_order_once_the_log_stopped() -> None:
    box, metrics = Box(), Metrics()
    write(box, metrics, 1_000)
    assert [each.request_id for each in box.kept] == [f"r{n}" for n in range(1_000)]
    assert len(box.batches) < 10
    assert figure(metrics, "wherry_answers_logged_total ") == 1_000


def test_answers_are_made_for_the_log_beside_the_requests_a_few_between_two() -> None:
    made: list[str] = []

    class Watched(Given, frozen=True, kw_only=True, gc=False):
        def logged(self) -> LoggedAnswer:
            made.append(self.asked.request_id)
            return super().logged()

    box, log, seen = Box(), a_log(Metrics()), [0]

    async def work() -> None:
        for number in range(256):
            given = answer(f"r{number}")
            log.add(Watched(**{name: getattr(given, name) for name in given.__struct_fields__}))
        assert not made  # whoever asked is answered by now
        log.start(box)
        while len(box.kept) < 256:
            seen.append(len(made))
            await asyncio.sleep(0)
        await log.stop(5)

    asyncio.run(work())
    assert max(then - before for before, then in pairwise(seen)) <= 32


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    box, metrics = Box(), Metrics()
    write(box, metrics, 150, most_waiting=100)
    assert len(box.kept) == 100
    assert dropped(metrics, "full") == 50


@pytest.mark.parametrize(
    ("error", "reason"),
    [(InboxUnavailable("Full.", 5), "inbox"), (UnicodeEncodeError("", "", 0, 1, ""), "unreadable")],
)
def test_what_the_inbox_refuses_is_dropped_and_counted_and_the_next_is_kept(
    error: Exception, reason: str
) -> None:
    box, metrics = Box(), Metrics()

    async def work() -> None:
        log = a_log(metrics)
        log.start(box)
        box.error = error
        log.add(answer("lost"))
        while not dropped(metrics, reason):
            await asyncio.sleep(0)
        box.error = None
        log.add(answer("kept"))
        await log.stop(5)

    asyncio.run(work())
    assert [each.request_id for each in box.kept] == ["kept"]
    assert dropped(metrics, reason) == 1


def test_an_inbox_that_never_answers_holds_up_no_stop_and_everything_is_counted() -> None:
    box, metrics = Box(), Metrics()
    box.is_stuck = True
    write(box, metrics, 600, grace=0.05, most_waiting=500)
    assert dropped(metrics, "full") == 100
    assert dropped(metrics, "stopped") == 500


def test_a_share_of_the_requests_is_logged_the_same_ones_each_time() -> None:
    log = AnswerLog(Metrics(), clock=lambda: NOW, share=0.3)
    wanted = [log.wants(f"r{number}") for number in range(2_000)]
    assert 500 < sum(wanted) < 700
    assert wanted == [log.wants(f"r{number}") for number in range(2_000)]
    assert not AnswerLog(Metrics(), clock=lambda: NOW, share=0.0).wants("r1")
    assert AnswerLog(Metrics(), clock=lambda: NOW).wants("r1")


class Broken(Recommender):
    """Warms up, then fails at every request."""

    def recommend_json(self, query: Query, **details: Any) -> Any:
        raise ZeroDivisionError


def load(release: Release, folder: Path) -> Recommender:
    kind = Broken if release.name == "broken" else Recommender
    return kind(answerer(), tenant=release.tenant, name=release.name, version=release.version)


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    broken = msgspec.structs.replace(release(1, "broken"), name="broken")
    return {TenantId("default"): (release(3), Path()), TenantId("broken"): (broken, Path())}


def routes(metrics: Metrics, *, box: Callable[[], Inbox], keys: Path) -> CollectRoutes:
    return CollectRoutes(box, Keys.open(keys), metrics, clock=lambda: NOW)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def client(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("wherry.serve.app._LOG_GRACE_SECONDS", 0.1)
    app = create_app(
        champions,
        load,
        refresh_seconds=3600,
        collect=partial(routes, box=lambda: box, keys=tmp_path / "keys.json"),
        answers=a_log,
    )
    with Client(app) as client:
        yield client


def test_rules_are_counted_in_the_log_and_in_the_figures(client: Client, box: Box) -> None:
    asked = {
        "session_items": ["i21"],
        "k": 3,
        "rules": [{"action": "pin", "items": ["i5"], "name": "mine"}],
    }
    assert client.post(RECOMMEND, json=asked).status_code == 200
    wait_for(client, box, 1)
    assert [each.rules for each in box.kept] == [{"mine": 1}]
    assert 'wherry_rules_total{rule="request",tenant="default"} 1' in client.get("/metrics").text


def test_an_answer_is_logged_with_what_was_asked_and_shown(client: Client, box: Box) -> None:
    asked = {
        "session_items": ["i21"],
        "k": 3,
        "visitor_id": "anna",
        "session_id": "s9",
        "filter": {"brand": ["b1", "b2"]},
        "exclude": ["i22"],
        "purchased": ["i1"],
        "rules": [{"action": "boost", "items": ["i19"], "factor": 1.0}],
    }
    before = datetime.now(UTC).replace(tzinfo=None)
    shown = client.post(RECOMMEND, json=asked, headers={"X-Request-Id": "r-1"}).json()
    client.get(f"{RECOMMEND}?k=40")
    wait_for(client, box, 2)
    one, other = box.kept
    assert one.items == tuple(each["item"] for each in shown["items"]) == ("i19", "i23", "i17")
    assert one.scores == pytest.approx([each["score"] for each in shown["items"]])
    assert one.latency_us > 0
    assert one.asked_at is not None
    assert timedelta(seconds=-1) < one.asked_at - before < timedelta(minutes=10)
    (rule,) = msgspec.json.decode(one.own_rules, type=list[Rule])
    assert isinstance(rule, Boost)
    assert (rule.items, rule.factor) == (("i19",), 1.0)
    bare = msgspec.structs.replace(
        one, items=(), scores=(), latency_us=0, asked_at=None, own_rules=""
    )
    assert bare == LoggedAnswer(
        tenant=DEFAULT_TENANT,
        request_id="r-1",
        answered_at=NOW,
        model="recommender",
        version=3,
        role=Role.CHAMPION,
        visitor_id=one.visitor_id,
        session_id=one.session_id,
        session=("i21",),  # type: ignore[arg-type]
        is_given=True,
        k=3,
        filter='{"brand":["b1","b2"]}',
        exclude=("i22",),  # type: ignore[arg-type]
        purchased=("i1",),  # type: ignore[arg-type]
        from_model=3,
    )
    assert (one.visitor_id, one.session_id) == ("anna", "s9")
    assert (other.visitor_id, other.fallback, other.from_model) == (None, "popular", 0)
    assert len(other.items) == 36


def wait_for(client: Client, box: Box, count: int) -> None:
    """Ask until the log has written so many answers; each request lets it go on."""
    for _ in range(10_000):
        if len(box.kept) >= count:
            return
        client.get("/healthz")
    raise AssertionError(f"{len(box.kept)} answers were logged, not {count}")


def test_a_failed_answer_is_logged_with_its_error_and_a_wrong_request_is_not(
    client: Client, box: Box
) -> None:
    assert client.get(f"{RECOMMEND}?tenant=broken&items=i1").status_code == 500
    assert client.get(f"{RECOMMEND}?k=0").status_code == 400
    assert client.get(f"{RECOMMEND}?items=i1").status_code == 200
    wait_for(client, box, 2)
    failed, fine = box.kept
    assert (failed.tenant, failed.model, failed.error) == ("broken", "broken", "ZeroDivisionError")
    assert failed.items == ()
    assert fine.error == ""


@pytest.mark.parametrize("fault", ["full", "stuck", "broken"])
def test_an_inbox_at_fault_costs_no_answer(client: Client, box: Box, fault: str) -> None:
    box.is_stuck = fault == "stuck"
    box.error = InboxUnavailable("Full.", 5) if fault == "full" else ZeroDivisionError("no")
    for _ in range(50):
        assert client.get(f"{RECOMMEND}?items=i1").status_code == 200
    assert box.kept == []
    box.is_stuck, box.error = False, None
