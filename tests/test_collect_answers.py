"""Logged answers on their way into the log: each once, as it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.drain import drain
from wherry.collect.inbox import AnswerBatch, Inbox, Store, answers_of, decode_page, read_waiting
from wherry.domain import DEFAULT_TENANT, Event, EventId, ItemId, LoggedAnswer, Role, VisitorId
from wherry.lake import Lake

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_456)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as con:
        yield con


def answer(name: str, **more: object) -> LoggedAnswer:
    fields: dict[str, object] = {
        "tenant": DEFAULT_TENANT,
        "request_id": name,
        "answered_at": NOW,
        "model": "recommender",
        "version": 3,
    }
    return LoggedAnswer(**(fields | more))  # type: ignore[arg-type]


def event(name: str) -> Event:
    return Event(
        tenant=DEFAULT_TENANT,
        event_id=EventId(name),
        event_type="view",
        occurred_at=NOW,
        received_at=NOW,
        visitor_id=VisitorId("anna"),
    )


def receive(
    folder: Path, *batches: Sequence[LoggedAnswer], events: Sequence[Event] = (), name: str = "i"
) -> None:
    """Put batches of answers into the inbox, and events beside them."""

    async def work() -> None:
        box = Inbox.open(folder, name)
        delivery = Delivery(tenant=DEFAULT_TENANT, protocol="native", received_at=NOW, body=b"body")
        if events:
            first = batches[:1]
            kept = [box.put_answers(batch, NOW) for batch in first]
            await asyncio.gather(box.put(delivery, Parsed([*events])), *kept)
        for batch in batches[1:] if events else batches:
            await box.put_answers(batch, NOW)
        await box.close()

    asyncio.run(work())


def logged(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT request_id FROM lake.raw.answers ORDER BY ALL").fetchall()
    return [request_id for (request_id,) in rows]


WHOLE = answer(
    "whole",
    role=Role.CHALLENGER,
    rollout="r1",
    visitor_id="anna",
    session_id="s",
    session=("x", "ü"),
    is_live=True,
    is_given=True,
    asked_at=NOW,
    k=3,
    filter='{"category":"c"}',
    own_rules='[{"action":"pin","items":["a"]}]',
    without_rules=("caps",),
    exclude=("y",),
    purchased=("z",),
    items=("a", "b"),
    scores=(0.5, float("-inf")),
    propensities=(0.75, 0.25),
    from_model=1,
    fallback="popular",
    rules={"caps": 2},
    latency_us=310,
    error="",
)


def test_an_answer_is_in_the_log_as_it_was_given(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [WHOLE, answer("bare")])
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.answers) == (0, 2)
    bare, whole = con.execute(
        "SELECT * EXCLUDE (batch_id) FROM lake.raw.answers ORDER BY request_id"
    ).fetchall()
    assert whole == (
        *("default", "whole", NOW, NOW, "recommender", 3, "challenger", "r1", "anna", "s"),
        *(["x", "ü"], True, True, 3, '{"category":"c"}'),
        *('[{"action":"pin","items":["a"]}]', ["caps"], ["y"], ["z"], ["a", "b"]),
        *([0.5, float("-inf")], [0.75, 0.25], 1, "popular", '{"caps":2}', 310, ""),
        *(0, loaded.load_id),
    )
    assert bare[3:11] == (None, "recommender", 3, "champion", "", None, None, [])
    assert bare[14:17] == ("", "", [])
    assert bare[19:] == ([], [], [], 0, "", "{}", 0, "", 1, loaded.load_id)
    assert read_waiting(inbox) == []
    assert drain(con, inbox, now=NOW) == []


def test_answers_and_events_share_a_commit_and_a_load(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [answer("a")], [answer("b")], events=[event("e")])
    (waiting,) = read_waiting(inbox)
    assert (waiting.events, waiting.pages) in ((1, 2), (1, 3))
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.answers) == (1, 2)


def test_answers_with_one_request_id_are_two_answers(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [answer("a"), answer("a")])
    drain(con, inbox, now=NOW)
    assert logged(con) == ["a", "a"]


def test_pages_that_a_killed_load_left_bring_no_answer_twice(
    con: duckdb.DuckDBPyConnection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(inbox, [answer("a")])

    def killed(self: Store, number: int) -> None:
        if number:
            raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Store, "delete_to", killed)
        with pytest.raises(KeyboardInterrupt):
            drain(con, inbox, now=NOW)
    receive(inbox, [answer("b")])
    (loaded,) = drain(con, inbox, now=NOW)
    assert loaded.answers == 1
    assert logged(con) == ["a", "b"]


def test_a_load_that_is_killed_before_its_commit_leaves_the_answers_in_the_inbox(
    con: duckdb.DuckDBPyConnection, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(inbox, [answer("a")], events=[event("e")])

    def killed() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("os.sync", killed)
        with pytest.raises(KeyboardInterrupt):
            drain(con, inbox, now=NOW)
    assert logged(con) == []
    (loaded,) = drain(con, inbox, now=NOW)
    assert (loaded.taken, loaded.answers) == (1, 1)
    assert logged(con) == ["a"]


def test_a_batch_that_a_mended_file_brings_again_is_known(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [answer("a"), answer("b")], [answer("c")])
    with closing(Store(inbox / "i.sqlite")) as store:
        pages = [page.content for page in store.pages()]
    drain(con, inbox, now=NOW)
    with closing(Store(inbox / "again.sqlite", may_create=True)) as store:
        for page in [*pages, *pages]:
            store.append(page, 0, NOW.isoformat())
    receive(inbox, [answer("d")])
    assert sum(load.answers for load in drain(con, inbox, now=NOW)) == 1
    assert logged(con) == ["a", "b", "c", "d"]


def test_a_broken_file_gives_its_answers_back(con: duckdb.DuckDBPyConnection, inbox: Path) -> None:
    many = [[answer(f"{n:03}", filter="x" * 400)] * 8 for n in range(40)]
    receive(inbox, *many)
    path = inbox / "i.sqlite"
    with path.open("r+b") as file:
        file.write(b"\xff" * 8_192)
    drain(con, inbox, now=NOW)
    assert len(set(logged(con))) >= 30
    assert len(logged(con)) == 8 * len(set(logged(con)))


def test_a_zero_character_is_replaced_as_the_lake_can_not_keep_it(
    con: duckdb.DuckDBPyConnection, inbox: Path
) -> None:
    receive(inbox, [answer("a", visitor_id=VisitorId("an\0na"), session=(ItemId("\0"),))])
    drain(con, inbox, now=NOW)
    assert con.execute("SELECT visitor_id, session FROM lake.raw.answers").fetchall() == [
        ("an\ufffdna", ["\ufffd"])
    ]


def test_a_batch_is_read_back_whole_from_its_page(inbox: Path) -> None:
    receive(inbox, [WHOLE])
    with closing(Store(inbox / "i.sqlite")) as store:
        (page,) = store.pages()
    (batch,) = decode_page(page.content)
    assert isinstance(batch, AnswerBatch)
    assert batch.began_at == NOW
    assert answers_of(batch) == [WHOLE]


def test_what_waits_is_as_old_as_its_oldest_event_not_as_an_answer_before(inbox: Path) -> None:
    async def work() -> None:
        box = Inbox.open(inbox, "i")
        await box.put_answers([answer("before")], NOW - timedelta(hours=1))
        (waiting,) = read_waiting(inbox)
        assert (waiting.events, waiting.pages, waiting.oldest) == (0, 1, None)
        delivery = Delivery(tenant=DEFAULT_TENANT, protocol="native", received_at=NOW, body=b"body")
        await box.put(delivery, Parsed([event("e1")]))
        (waiting,) = read_waiting(inbox)
        assert (waiting.events, waiting.pages, waiting.oldest) == (1, 2, NOW)
        await box.close()

    asyncio.run(work())
