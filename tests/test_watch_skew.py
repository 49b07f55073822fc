"""The skew proof: nothing differs on a healthy system; each planted fault is found and named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from serve_shop import IDS, Client, answerer, release
from transform_shop import Shop
from wherry.collect.drain import drain
from wherry.collect.keys import Keys
from wherry.config import Settings
from wherry.domain import Release, Role, TenantId
from wherry.domain.rule import Boost
from wherry.domain.session import gap_microseconds, microseconds
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.live import records
from wherry.live.availability import LiveAvailability
from wherry.live.sessions import LiveRules, LiveSessions
from wherry.live.store import LiveStore
from wherry.project.collecting import answer_log, collect_routes, microseconds_now
from wherry.project.home import Home
from wherry.project.live import live_lookup
from wherry.serve import Recommender, create_app
from wherry.serve.available import AvailableNow
from wherry.watch.skew import Cause, Definition, Skew, examine
from wherry.watch.skew.explanation import Explanation, choose
from wherry.watch.skew.served import Served
from wherry.watch.skew.sessions import Came, EventLog
from wherry.watch.skew.state import StateCheck, StateSkew

HOUR = 3_600_000_000
DEFINITION = Definition(gap=gap_microseconds(30), given=24 * HOUR, most=200)
BOOST = Boost(name="house", items=("i8",), factor=3.0)
SETTINGS = Settings()


def of_version(version: int, rules: Sequence[Boost] = ()) -> Answerer:
    """A release of the shop: the second looks further, and knows items 20 and 22 otherwise."""
    if version == 1:
        return answerer(reach=1, rules=rules)
    made = answerer(rules=rules)
    told = {20: True, 22: False}
    catalogue: Catalogue = made.catalogue.with_availability(told)
    return Answerer(made.model, made.vocabulary, catalogue, made.popularity, rules=rules)


class Kept:
    """The releases of a tenant: 1 and 2."""

    def __init__(self, rules: Sequence[Boost] = ()) -> None:
        self._rules = rules

    def answerer(self, version: int) -> Answerer | str:
        return "it is gone" if version > 2 else of_version(version, self._rules)

    def without_rules(self, version: int) -> Answerer | str:
        return of_version(version)

    def others(self, version: int) -> Sequence[int]:
        return [3 - version]

    def rule_names(self) -> frozenset[str]:
        return frozenset(rule.name for rule in self._rules)


class World:
    """Servers of several tenants that share a lake, each with a live state of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.shop = Shop(folder).empty()
        self.keys = Keys.open(self.home.keys)

    @contextmanager
    def server(
        self, tenant: str, *, gap: float = 30.0, served: Answerer | None = None
    ) -> Iterator[Client]:
        """A server of one tenant that serves release 2, unless it ``served`` something else."""
        name = TenantId(tenant)
        store = LiveStore(self.home.live / tenant, boot="b")
        live = LiveSessions(store, LiveRules(gap=gap_microseconds(gap)))
        recommender = Recommender(served or of_version(2), tenant=name, version=2)
        source: dict[TenantId, tuple[Release, Path] | None] = {name: (release(2, tenant), Path())}
        app = create_app(
            lambda: source,
            lambda release, folder: recommender,
            refresh_seconds=3600,
            live=live_lookup(live, microseconds_now),
            collect=lambda metrics: collect_routes(
                self.home, SETTINGS.collect, self.keys, metrics, name=tenant, after=live.take
            ),
            answers=partial(answer_log, SETTINGS.serve),
            availability=LiveAvailability(store),
        )
        with Client(app) as client:
            yield client
        store.close()

    def finish(self) -> None:
        """Load all that was collected and answered, and derive the tables."""
        with self.shop.lake.writer() as con:
            drain(con, self.home.inbox, now=datetime.now(UTC).replace(tzinfo=None))
        self.shop.transform()

    def skew(
        self, tenant: str, kept: Kept | None = None, definition: Definition = DEFINITION
    ) -> Skew:
        """With no window: these servers have an event in the state before they answer it."""
        with self.shop.lake.reader() as con:
            return prove(con, tenant, kept or Kept(), definition)


def prove(con: duckdb.DuckDBPyConnection, tenant: str, kept: Kept, definition: Definition) -> Skew:
    return examine(
        con,
        TenantId(tenant),
        kept,
        definition,
        count=1_000,
        days=1,
        seed=1,
        window=timedelta(0),
    )


def tell(client: Client, tenant: str, *events: tuple[float, str, str], **more: Any) -> None:
    """Events that happened so many minutes ago, of a type, on an item."""
    now = datetime.now(UTC)
    body = [
        {
            "tenant": tenant,
            "event_type": kind,
            "occurred_at": (now - timedelta(minutes=minutes)).isoformat(),
            "items": [{"id": item}],
            **more,
        }
        for minutes, kind, item in events
    ]
    assert client.post("/v1/events", json=body).json()["taken"] == len(body)


def ask(client: Client, tenant: str, **asked: Any) -> None:
    answer = client.post("/v1/recommend", json={"tenant": tenant, "k": 5, **asked})
    assert answer.status_code == 200, answer.text
    time.sleep(0.002)  # the log knows the millisecond: what comes next comes in a later one


def visit(client: Client, tenant: str, visitor: str, first: int) -> None:
    """A visit with a pause of nine minutes, asked about twice."""
    views = [(12.0, "view", IDS[first]), (11.0, "view", IDS[first + 3])]
    last = [(2.0, "view", IDS[first + 5]), (1.5, "add", IDS[first + 5]), (1.0, "add", IDS[first])]
    tell(client, tenant, *views, *last, visitor_id=visitor)
    ask(client, tenant, visitor_id=visitor)
    tell(client, tenant, (0.0, "remove", IDS[first]), visitor_id=visitor)
    tell(client, tenant, (0.0, "purchase", IDS[first + 7]), visitor_id=visitor)
    ask(client, tenant, visitor_id=visitor)


def all_ways(client: Client, tenant: str) -> None:
    """Every way to ask, with what the log has to say of it."""
    visit(client, tenant, "ann", 3)
    visit(client, tenant, " bob ", 17)
    told = [{"id": "i21", "available": False}, {"id": "i10", "available": True}]
    answer = client.post("/v1/availability", json={"tenant": tenant, "items": told})
    assert answer.status_code == 200, answer.text
    tell(
        client, tenant, (50.0, "view", "i1"), (3.0, "click", "i2"), visitor_id="cat", session_id="s"
    )
    ask(client, tenant, visitor_id="cat")
    ask(client, tenant, session_id="s", visitor_id="who")
    tell(client, tenant, (100.0, "view", "i1"), visitor_id="dan")
    ask(client, tenant, visitor_id="dan")
    ask(client, tenant, session_items=["i20", "i19"], exclude=["i18"])
    ask(client, tenant, session_items=["i9"], filter={"brand": ["b1"], "price": {"max": 30}})
    own = [{"action": "boost", "items": ["i11"], "factor": 4}, {"action": "pin", "items": ["i2"]}]
    ask(client, tenant, session_items=["i9"], rules=own)
    ask(client, tenant)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Servers that are healthy, and some with a fault each."""
    world = World(tmp_path_factory.mktemp("world"))
    with world.server("healthy") as client:
        all_ways(client, "healthy")
    with world.server("gap", gap=5.0) as client:
        visit(client, "gap", "ann", 3)
        visit(client, "gap", "bob", 17)
    with pytest.MonkeyPatch.context() as patch, world.server("deaf") as client:
        heard = records.interactions_of

        def without_adds(event: Any, at: int) -> Any:
            return [] if event.event_type == "add" else heard(event, at)

        patch.setattr(records, "interactions_of", without_adds)
        visit(client, "deaf", "ann", 3)
        visit(client, "deaf", "bob", 17)
    with pytest.MonkeyPatch.context() as patch, world.server("stale") as client:
        patch.setattr(AvailableNow, "see", lambda self, recommender: recommender)
        all_ways(client, "stale")
    older = replace(of_version(2).catalogue, showable=of_version(1).catalogue.showable)
    base = of_version(2)
    behind = Answerer(base.model, base.vocabulary, older, base.popularity)
    with world.server("behind", served=behind) as client:
        ask(client, "behind", session_items=["i21"])
        ask(client, "behind", session_items=["i2"])
    with world.server("former", served=answerer(reach=1)) as client:
        ask(client, "former", session_items=["i21"])
    with world.server("odd", served=answerer(reach=0)) as client:
        ask(client, "odd", session_items=["i5"])
    world.finish()
    return world


def test_nothing_differs_on_a_healthy_system(world: World) -> None:
    found = world.skew("healthy")
    assert found.differences == ()
    assert (found.answers, found.same, found.sessions, found.rankings) == (11, 11, 7, 11)
    assert (found.in_flight, found.is_clean) == (0, True)
    assert sum(found.skipped.values()) == 4
    assert world.skew("nobody") == Skew(tenant=TenantId("nobody"))


def test_another_session_gap_is_found_and_bounded(world: World) -> None:
    found = world.skew("gap")
    (fault,) = found.faults
    assert (fault.cause, fault.count, found.same) == (Cause.GAP, 4, 0)
    assert "and less than 9 minutes; by the settings it is 30" in fault.words
    assert {each.part for each in found.differences} == {"session"}


def test_an_event_type_that_the_state_drops_is_named(world: World) -> None:
    found = world.skew("deaf")
    (fault,) = found.faults
    assert (fault.cause, fault.count) == (Cause.EVENT_TYPE, 4)
    assert "'add'" in fault.words
    first = found.differences[0]
    assert (first.served, first.expected) == (("i3", "i6", "i8"), ("i3", "i6", "i8", "i3"))


def test_what_was_told_of_items_and_not_known_is_told_with_its_time(world: World) -> None:
    found = world.skew("stale")
    (fault,) = found.faults
    assert fault.cause is Cause.STALE_ITEMS
    assert "the server did not know that i" in fault.words
    assert {each.part for each in found.differences} == {"answer"}
    assert found.same == found.answers - fault.count > 0


def test_items_of_an_older_release_are_found(world: World) -> None:
    (fault,) = world.skew("behind").faults
    assert fault.cause is Cause.STALE_ITEMS
    assert fault.words == "the server went by the items of recommender@1"


def test_a_release_that_another_one_answers_for_is_found(world: World) -> None:
    (fault,) = world.skew("former").faults
    assert (fault.cause, fault.words) == (Cause.RELEASE, "it is what recommender@1 answers")


def test_a_model_that_answers_otherwise_is_told_by_its_first_place(world: World) -> None:
    (difference,) = world.skew("odd").differences
    assert difference.cause is Cause.MODEL
    assert difference.words.startswith("place ")


def test_standing_rules_that_did_not_count_are_found(world: World) -> None:
    (fault,) = world.skew("healthy", Kept([BOOST])).faults
    assert (fault.cause, fault.words[:32]) == (Cause.RULES, "no standing rule counted; there ")


def test_a_release_that_is_gone_is_skipped_with_the_reason(world: World) -> None:
    class Gone(Kept):
        def answerer(self, version: int) -> Answerer | str:
            return "it is gone"

    found = world.skew("healthy", Gone())
    assert found.skipped["answer: it is gone"] == found.answers
    assert found.is_clean


NOON = datetime(2026, 3, 1, 12)


def came(minute: float, item: str, kind: str = "view", *, late: float = 0.0) -> Came:
    at = microseconds(NOON + timedelta(minutes=minute))
    counted = [] if kind == "remove" else [(1, item)]
    return Came(
        f"{minute:g}", kind, at, at + round(late * 60e6), "ann", "ann~1", False, [item], counted
    )


def served(*items: str, at: float = 0.0, is_live: bool = True, **more: Any) -> Served:
    moment = NOON + timedelta(minutes=at)
    facts: dict[str, Any] = {
        "answer_id": "b.0",
        "request_id": "r",
        "answered_at": moment,
        "asked_at": moment,
        "role": Role.CHAMPION,
        "model": "recommender",
        "version": 2,
        "visitor_id": "ann",
        "session_id": None,
        "session": items,
        "is_live": is_live,
        "is_given": False,
        "k": 5,
        "filter": "",
        "own_rules": "",
        "without_rules": (),
        "exclude": (),
        "purchased": (),
        "items": (),
        "scores": (),
        "rules": frozenset(),
    }
    return Served(**(facts | more))


EVENTS = [
    came(-20, "a"),
    came(-10, "b"),
    came(-5, "b", "add"),
    came(-2, "c"),
    came(-1, "d", "remove"),
]
Check = Callable[[Served], StateCheck]


@pytest.fixture
def check() -> Check:
    return StateSkew(EventLog(EVENTS), DEFINITION, timedelta(minutes=3)).check


def causes(check: StateCheck) -> list[Cause]:
    return [each.cause for each in check.explanations]


def test_what_came_within_the_last_moment_may_be_in_the_state_or_not(check: Check) -> None:
    assert check(served("a", "b", "c")) == StateCheck(("a", "b", "c"))
    assert check(served("a", "b")) == StateCheck(("a", "b", "c"), is_in_flight=True)
    assert Cause.BEHIND in causes(check(served("a")))


def test_what_comes_after_an_answer_is_not_held_against_it(check: Check) -> None:
    assert check(served("a", at=-11)) == StateCheck(("a",))
    late = StateSkew(EventLog([*EVENTS, came(-15, "z", late=16)]), DEFINITION, timedelta(0))
    assert late.check(served("a", "b", "c")) == StateCheck(("a", "b", "c"))


def test_a_session_that_is_over_or_not_known_is_none(check: Check) -> None:
    assert check(served(is_live=False, at=40)) == StateCheck(())
    assert causes(check(served(is_live=False)))[-1] is Cause.BEHIND
    assert Cause.GAP in causes(check(served("a", "b", "c", at=40)))


@pytest.mark.parametrize(
    ("items", "cause"),
    [
        (("a", "b", "c", "d"), Cause.EVENT_TYPE),
        (("a", "b", "b", "c"), Cause.UNFOLDED),
        (("x", "a", "b", "c"), Cause.LENGTH),
        (("c", "b", "a"), Cause.ORDER),
        (("a", "x", "b", "c"), Cause.UNHEARD_OF),
        (("x", "y"), Cause.UNEXPLAINED),
    ],
)
def test_each_fault_of_the_state_is_told_apart(
    check: Check, items: tuple[str, ...], cause: Cause
) -> None:
    assert causes(check(served(*items)))[0] is cause


def test_a_session_with_an_id_that_another_gap_keeps_going_is_put_down_to_the_gap() -> None:
    given = came(-40, "a")._replace(session_id="s", is_given=True)
    skew = StateSkew(EventLog([given]), DEFINITION, timedelta(0))
    assert skew.check(served(is_live=False)) == StateCheck(())
    (found,) = skew.check(served("a")).explanations
    assert (found.cause, found.low, found.high) == (Cause.GAP, 40, float("inf"))


def test_events_that_are_missing_are_named() -> None:
    skew = StateSkew(EventLog([*EVENTS, came(-1.5, "e")]), DEFINITION, timedelta(0))
    (found,) = skew.check(served("a", "c", "e")).explanations
    assert (found.cause, found.words) == (
        Cause.MISSING,
        "lacking in the state: view -10, add -5",
    )


def test_purchases_that_differ_are_a_difference() -> None:
    skew = StateSkew(EventLog([came(-2, "a", "purchase")]), DEFINITION, timedelta(0))
    assert skew.check(served("a", purchased=("z", "a"))).explanations == ()
    assert causes(skew.check(served("a"))) == [Cause.PURCHASES]


def test_of_several_explanations_the_one_of_most_differences_is_taken() -> None:
    def of(cause: Cause, detail: str = "") -> Explanation:
        return Explanation(cause=cause, detail=detail, words="")

    adds, behind = of(Cause.EVENT_TYPE, "add"), of(Cause.BEHIND)
    assert choose([[of(Cause.EVENT_TYPE, "view"), adds, behind], [adds], [behind, adds]]) == [
        adds,
        adds,
        adds,
    ]
    assert choose([[behind, adds]]) == [behind]
