"""Forgetting a person: nothing is left of them, and nothing else is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from conftest import NOW
from wherry.collect.delivery import Delivery
from wherry.collect.inbox import Inbox
from wherry.collect.person import Traces
from wherry.collect.protocols import PROTOCOLS
from wherry.domain import (
    Event,
    EventId,
    EventItem,
    ItemId,
    LoggedAnswer,
    SessionId,
    TenantId,
    VisitorId,
)
from wherry.errors import UsageError
from wherry.lake import content_hashes, newest_snapshot, read_published
from wherry.lake.erasure import expire_snapshots
from wherry.project import Project
from wherry.project.forget import read_forgotten, read_pending

PERSON = "aaa o'hära+1@example.org"
"""Sorts before all others, so that the smallest values that are kept of columns are theirs."""

DEVICE = "device-of-ohara"


def open_shop(folder: Path, now: datetime = NOW) -> Project:
    return Project.open(folder, clock=lambda: now)


def remains(folder: Path, word: str = PERSON) -> list[str]:
    """The files of a project's state that hold a word: as bytes, as JSON, or compressed."""
    forms = {word.encode(), json.dumps(word)[1:-1].encode()}
    found = []
    for path in sorted((folder / ".wherry").rglob("*")):
        if not path.is_file() or "extensions" in path.parts:
            continue
        content = path.read_bytes()
        if any(form in content for form in forms):
            found.append(str(path.relative_to(folder)))
        elif path.suffix == ".parquet":
            table = f"read_parquet('{path!s}')"
            with duckdb.connect() as con:
                (hits,) = con.execute(
                    f"SELECT count(*) FROM {table} AS t WHERE contains(t::VARCHAR, ?)", [word]
                ).fetchall()[0]
            if hits:
                found.append(f"{path.relative_to(folder)} (rows)")
    return found


EVENTS = """
INSERT INTO lake.raw.events BY NAME
SELECT 'default' AS tenant, 'p' || {batch} || '-' || n AS event_id, 'view' AS event_type,
       TIMESTAMP '2026-01-10 12:00:00' + to_minutes(n) AS occurred_at,
       TIMESTAMP '2026-01-10 12:00:00' + to_minutes(n) AS received_at,
       $who AS visitor_id, $session AS session_id,
       [struct_pack(id := 'i' || n % 5, price := 1.0, quantity := 1.0)] AS items,
       $told AS properties, $delivery AS delivery_id, {load} AS load_id
FROM range({n}) AS r(n)
"""


def tell(
    con: duckdb.DuckDBPyConnection,
    load: int,
    batch: int,
    n: int,
    who: str = PERSON,
    session: str | None = None,
    told: str | None = None,
    delivery: int | None = None,
) -> None:
    values = {"who": who, "session": session, "told": told, "delivery": delivery}
    con.execute(EVENTS.format(batch=batch, n=n, load=load), values)


def add_person(project: Project) -> None:
    """The person in every place that the log has, in files and in rows kept in the catalog."""
    with project.lake.writer() as con:
        load = con.execute("SELECT max(load_id) + 1 FROM lake.raw.loads").fetchall()[0][0]
        con.execute("BEGIN")
        tell(con, load, 1, 40)
        tell(con, load, 2, 2, delivery=7)
        tell(con, load, 3, 1, who=DEVICE, told=json.dumps({"anonymous_id": PERSON}))
        tell(con, load, 4, 1, who=DEVICE, session=f"{PERSON}.12")
        tell(con, load, 5, 3, who="bob", delivery=7)
        con.execute(
            "INSERT INTO lake.raw.loads BY NAME SELECT ? AS load_id, 'events' AS kind, "
            "'inbox' AS source, ?::TIMESTAMP AS loaded_at, 47 AS taken, 0 AS known, "
            "2 AS rejected",
            [load, NOW],
        )
        bodies = [
            (7, json.dumps([{"visitor_id": PERSON}, {"visitor_id": "bob"}]).encode()),
            (8, json.dumps([{"visitor_id": "bob", "about": f"see {PERSON}."}]).encode()),
            (9, b"\xff\x00 no text, " + PERSON.encode() + b" within"),
        ]
        for delivery, body in bodies:
            con.execute(
                "INSERT INTO lake.raw.deliveries BY NAME SELECT ? AS delivery_id, "
                "'default' AS tenant, 'native' AS protocol, ?::BLOB AS body, '{}' AS context",
                [delivery, body],
            )
        for line, original, reason in (
            (1, f"2026,{PERSON},x", "bad"),
            (2, "{}", f"who: '{PERSON}' is odd"),
            (3, "2026,bob,x", "bad"),
        ):
            con.execute(
                "INSERT INTO lake.raw.rejected BY NAME SELECT ? AS load_id, NULL AS tenant, "
                "'f' AS source, ? AS line, ? AS reason, ? AS original",
                [load, line, reason, original],
            )
        con.execute("COMMIT")
        # What a model of the shop's own left behind that is no more.
        con.execute(
            "CREATE TABLE lake.marts.left_over AS SELECT tenant, visitor_id, 1 AS x "
            "FROM lake.raw.events WHERE load_id = ?",
            [load],
        )


def publish(project: Project) -> None:
    record = project._run(("transform", "audit", "publish"), True, False, lambda words: None)
    assert record.passed, record


@pytest.fixture(scope="module")
def peopled_shop(built_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built shop, and in it the person, published. Tests work on a copy."""
    import shutil

    folder = tmp_path_factory.mktemp("peopled") / "shop"
    shutil.copytree(built_shop, folder, symlinks=True)
    project = open_shop(folder)
    add_person(project)
    publish(project)
    record = next((folder / ".wherry" / "runs").glob("*/run.json"))
    document = json.loads(record.read_text())
    check = document["tenants"][0]["audit"]["checks"][0]
    check["sample"] = [{"visitor_id": PERSON}, {"visitor_id": "bob"}]
    check["message"] = f"See {PERSON}."
    record.write_text(json.dumps(document))
    (record.parent / "card.html").write_text(f"<p>{PERSON}</p>")
    return folder


@pytest.fixture
def peopled(peopled_shop: Path, tmp_path: Path) -> Path:
    import shutil

    folder = tmp_path / "a shop, cöpied"
    shutil.copytree(peopled_shop, folder, symlinks=True)
    return folder


def visit(project: Project, visitor: str, session: str | None = None) -> None:
    """An event of now, in the live sessions alone."""
    event = Event(
        tenant=TenantId("default"),
        event_id=EventId(f"{visitor} {session}"),
        event_type="view",
        occurred_at=NOW,
        received_at=NOW,
        visitor_id=VisitorId(visitor),
        session_id=None if session is None else SessionId(session),
        items=(EventItem(ItemId("P000001")),),
    )
    project.live_sessions.take([event])


def test_nothing_is_left_of_a_person_and_nothing_else_is_lost(peopled: Path) -> None:
    project = open_shop(peopled)
    visit(project, PERSON)
    visit(project, "bob")
    assert any("live" in each for each in remains(peopled))
    assert len(remains(peopled)) > 8
    published = read_published(project.home.published)[TenantId("default")].snapshot
    with project.lake.reader() as con:
        before = con.execute(
            "SELECT count(*), count(DISTINCT visitor_id) FROM lake.raw.events "
            "WHERE visitor_id NOT IN (?, ?)",
            [PERSON, DEVICE],
        ).fetchall()
    with project.lake.reader(published) as reader:  # as a server has it
        done = project.forget([PERSON])
        reader.execute("SELECT 1")
    assert done.traces == Traces(events=44, rejected=2, deliveries=3)
    assert done.also_known_as == (DEVICE,)
    assert done.releases == ()
    assert remains(peopled) == []
    live = project.live_sessions
    assert live.of_visitor(TenantId("default"), VisitorId("bob"), NOW) is not None
    with project.lake.reader() as con:
        assert (
            before
            == con.execute(
                "SELECT count(*), count(DISTINCT visitor_id) FROM lake.raw.events"
            ).fetchall()
        )
        assert con.execute("SELECT line FROM lake.raw.rejected WHERE source = 'f'").fetchall() == [
            (3,)
        ]
        assert con.execute("SELECT count(*) FROM lake.raw.deliveries").fetchall() == [(0,)]
        bobs = con.execute("SELECT count(*) FROM lake.marts.events WHERE visitor_id = 'bob'")
        assert bobs.fetchall() == [(3,)]
        now_published = read_published(project.home.published)[TenantId("default")].snapshot
        assert now_published == newest_snapshot(con)
        hashes = content_hashes(con, "marts")
    assert list(read_pending(project.home)) == []
    (kept,) = read_forgotten(project.home)
    assert (kept.tenant, kept.visitors, kept.traces) == ("default", 1, done.traces)
    assert kept.also_known_as == ()
    # The log is the truth: built again from it, the tables are the same.
    project._run(("transform",), True, True, lambda words: None)
    with project.lake.reader() as con:
        assert content_hashes(con, "marts") == hashes
    assert project.champion() is not None
    assert project.recommend([], k=3).items


PROGRAM = """
import os, signal, sys
from datetime import datetime
from wherry.project import Project

folder, visitor, step = sys.argv[1:]

def report(words):
    if words == step:
        os.kill(os.getpid(), signal.SIGKILL)

Project.open(folder, clock=lambda: datetime(2026, 2, 1)).forget([visitor], report=report)
"""


def test_a_killed_erasure_is_finished_by_the_same_command(peopled: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(peopled), PERSON, "transform: events"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    project = open_shop(peopled)
    (pending,) = read_pending(project.home)
    assert remains(peopled) != []
    assert project.forget([PERSON]).traces == Traces(events=44, rejected=2, deliveries=3)
    assert remains(peopled) == []
    (kept,) = read_forgotten(project.home)
    assert kept.id == pending.id


def rebuilds(project: Project, monkeypatch: pytest.MonkeyPatch, *, passes: bool = True) -> None:
    """Stands in for dbt and the audit, which take seconds: drops the derived tables."""
    from wherry.domain import RunId, RunRecord, TenantRun
    from wherry.lake import Published, publish

    def run(stages: object, forced: bool, full_refresh: bool, report: object) -> RunRecord:
        with project.lake.writer() as con:
            con.execute("DROP SCHEMA lake.marts CASCADE")
            con.execute("CREATE SCHEMA lake.marts")
            snapshot = newest_snapshot(con)
        tenant = TenantRun(tenant=TenantId("default"), stages=(), snapshot=snapshot)
        if passes:
            now = Published(snapshot, RunId("r"), NOW)
            publish(project.home.published, TenantId("default"), now)
        else:
            tenant = TenantRun(tenant=TenantId("default"), stages=())
        return RunRecord(
            run_id=RunId("r"),
            shop="shop",
            started_at=NOW,
            seconds=0.0,
            code="",
            packages={},
            settings={},
            stages=(),
            tenants=(tenant,),
        )

    monkeypatch.setattr(project, "_run", run)


class Killed(BaseException):
    pass


def kills_at(step: str) -> Callable[[str], None]:
    def report(words: str) -> None:
        if words == step:
            raise Killed

    return report


@pytest.mark.parametrize("step", ["forget: log", "forget: files", "forget: runs"])
def test_an_interrupted_erasure_goes_on_where_it_was(
    peopled: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(peopled)
    rebuilds(project, monkeypatch)
    with pytest.raises(Killed):
        project.forget([PERSON], report=kills_at(step))
    project.forget(["somebody else"])
    assert remains(peopled) != []
    done = project.forget([f" {PERSON} "])
    assert done.traces == Traces(events=44, rejected=2, deliveries=3)
    assert remains(peopled) == []
    assert [each.traces.events for each in read_forgotten(project.home)] == [0, 44]


def test_the_next_run_finishes_what_was_begun(
    peopled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(peopled)
    rebuilds(project, monkeypatch)
    with pytest.raises(Killed):
        project.forget([PERSON], report=kills_at("forget: snapshots"))
    project.run()
    assert remains(peopled) == []
    assert read_pending(project.home) == []
    assert [each.traces.events for each in read_forgotten(project.home)] == [44]


def test_a_tenant_whose_data_fails_its_audit_has_nothing_published(
    peopled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(peopled)
    rebuilds(project, monkeypatch, passes=False)
    done = project.forget([PERSON])
    assert done.withdrawn == ("default",)
    assert read_published(project.home.published) == {}
    assert remains(peopled) == []
    assert project.champion() is not None


def test_releases_that_saw_the_person_are_listed(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(shop)
    rebuilds(project, monkeypatch)
    with project.lake.reader() as con:
        trained, unseen = (
            con.execute(query).fetchall()[0][0]
            for query in (
                "SELECT visitor_id FROM lake.marts.interactions ORDER BY 1 LIMIT 1",
                "SELECT visitor_id FROM lake.raw.events EXCEPT "
                "SELECT visitor_id FROM lake.marts.interactions ORDER BY 1 LIMIT 1",
            )
        )
    assert project.forget([unseen]).releases == ()
    # The snapshot of the release is gone by now: what was loaded before it counts.
    assert project.forget([trained]).releases == ("recommender@1",)
    assert (shop / ".wherry" / "runs").exists()
    assert not list((shop / ".wherry" / "runs").glob("*/default"))


def test_a_release_is_asked_by_its_own_snapshot(shop: Path) -> None:
    project = open_shop(shop)
    with project.lake.reader() as con:
        trained = con.execute("SELECT min(visitor_id) FROM lake.marts.interactions").fetchall()
    forgetting = project._forgetting(lambda words: None)
    pending = forgetting.ask(TenantId("default"), [trained[0][0]])
    from wherry.collect.person import Person

    person = Person(TenantId("default"), pending.visitors)
    assert forgetting._describe(person, pending).releases == ("recommender@1",)


def test_what_waits_in_the_inbox_is_forgotten_too(
    peopled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(peopled)
    rebuilds(project, monkeypatch)
    rows = [
        {"event_type": "view", "visitor_id": who, "occurred_at": "2026-01-31T12:00:00Z"}
        for who in (PERSON, "late bob")
    ]
    delivery = Delivery(
        tenant=TenantId("default"),
        protocol="native",
        received_at=NOW,
        body=json.dumps(rows).encode(),
    )

    def answer(visitor: str) -> LoggedAnswer:
        return LoggedAnswer(
            tenant=TenantId("default"),
            request_id="r",
            answered_at=NOW,
            model="recommender",
            version=1,
            visitor_id=VisitorId(visitor),
        )

    async def put() -> Inbox:
        inbox = Inbox.open(project.home.inbox, "serve")
        await inbox.put(delivery, PROTOCOLS["native"](delivery))
        await inbox.put_answers([answer(PERSON), answer("late bob")], NOW)
        return inbox

    async def forget() -> Traces:
        inbox = await put()  # and its server goes on
        done = await asyncio.to_thread(project.forget, [PERSON])
        assert remains(peopled) == []
        await inbox.close()
        return done.traces

    assert asyncio.run(forget()) == Traces(events=45, rejected=2, deliveries=4, answers=1)
    assert remains(peopled) == []
    with project.lake.reader() as con:
        late = con.execute("SELECT count(*) FROM lake.raw.events WHERE visitor_id = 'late bob'")
        assert late.fetchall() == [(1,)]
        shown = con.execute("SELECT visitor_id FROM lake.raw.answers")
        assert shown.fetchall() == [("late bob",)]


def test_with_a_retention_old_snapshots_hold_the_person_as_long(
    peopled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = peopled / "wherry.toml"
    text = settings.read_text()
    assert "[lake]\n" in text
    settings.write_text(text.replace("[lake]\n", "[lake]\nretention_days = 30\n"))
    today = datetime.now()
    project = open_shop(peopled, today)
    rebuilds(project, monkeypatch)
    done = project.forget([PERSON])
    assert done.gone_by == today + timedelta(days=30)
    assert remains(peopled) != []
    with project.lake.reader() as con:
        assert con.execute("SELECT count(*) FROM ducklake_snapshots('lake')").fetchall()[0][0] > 9
    open_shop(peopled, today + timedelta(days=29))._forgetting(print).expire_old()
    assert remains(peopled) != []
    open_shop(peopled, today + timedelta(days=31))._forgetting(print).expire_old()
    assert remains(peopled) == []


def test_a_visitor_who_was_never_there_costs_no_data(
    peopled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(peopled)
    rebuilds(project, monkeypatch)
    with project.lake.reader() as con:
        before = con.execute("SELECT count(*) FROM lake.raw.events").fetchall()
    assert not project.forget(["nobody", "a'b\\"]).traces
    with project.lake.reader() as con:
        assert con.execute("SELECT count(*) FROM lake.raw.events").fetchall() == before


@pytest.mark.parametrize("visitor", ["", "  ", "x" * 2_000])
def test_what_can_be_no_visitor_is_refused(shop: Path, visitor: str) -> None:
    project = open_shop(shop)
    with pytest.raises(UsageError):
        project.forget([visitor])
    assert read_pending(project.home) == []


def test_a_project_without_a_lake_has_nobody_to_forget(tmp_path: Path) -> None:
    project = Project.create(tmp_path, clock=lambda: NOW)
    assert not project.forget(["anna"]).traces


def test_the_newest_and_the_published_snapshots_are_kept(shop: Path) -> None:
    project = open_shop(shop)
    published = read_published(project.home.published)[TenantId("default")].snapshot
    with project.lake.writer() as con:
        con.execute("CREATE TABLE lake.marts.more AS SELECT 1 AS x")
        con.execute("INSERT INTO lake.marts.more VALUES (2)")
        expire_snapshots(con, keep={published})
        left = con.execute("SELECT snapshot_id FROM ducklake_snapshots('lake') ORDER BY 1")
        assert left.fetchall() == [(published,), (newest_snapshot(con),)]
    with project.lake.reader(published) as con:
        assert con.execute("SELECT count(*) FROM lake.marts.events").fetchall()[0][0] > 1_000
