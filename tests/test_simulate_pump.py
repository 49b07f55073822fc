"""The pump against a server that answers as each test wants, and says what it was asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_shop import Asked, Reply, Shop, serving, take_all

from wherry.cli import main
from wherry.collect import find_mapping
from wherry.collect.delivery import Delivery
from wherry.collect.protocols import PROTOCOLS as PARSERS
from wherry.domain import DEFAULT_TENANT, Event, TenantId
from wherry.errors import SourceError, UsageError, WherryError
from wherry.simulate import PROTOCOLS, Pumped, Row, Sending, pump, read_rows, simulated_rows
from wherry.simulate.connection import parse_target
from wherry.simulate.latencies import Latencies
from wherry.simulate.schedule import as_recorded, evenly

NOW = datetime(2026, 2, 1)
MORNING = int(datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp() * 1e6)


def row(number: int, **changes: Any) -> Row:
    plain = Row(
        tenant=DEFAULT_TENANT,
        event_id=f"e{number}",
        event_type="view",
        occurred_us=MORNING + number * 1_000_000,
        visitor_id=f"v{number % 7}",
        session_id=f"s{number % 7}",
        items=[{"id": f"i{number}", "price": 2.5, "quantity": None}],
        query=None,
        properties=None,
    )
    return plain._replace(**changes)


def rows(count: int) -> Iterator[Row]:
    return map(row, range(count))


def send(shop: Shop, source: Iterator[Row], **how: Any) -> Pumped:
    return pump(shop.url, source, Sending(**how))


# What is sent


def test_every_event_is_sent_once_and_counted() -> None:
    with serving() as shop:
        done = send(shop, rows(1_050), batch=100, connections=4)
    assert sorted(shop.ids) == sorted(f"e{n}" for n in range(1_050))
    assert (done.events, done.taken, done.unanswered, done.failed) == (1_050, 1_050, 0, 0)
    assert done.requests == done.latency.count == len(shop.asked) == 11
    assert done.problem is None
    assert not done.errors


def test_known_and_refused_events_are_told_apart_with_their_reasons(tmp_path: Path) -> None:
    def behave(asked: Asked, before: int) -> Reply:
        refused = [{"position": place, "reason": "no item"} for place in (0, 3)]
        return Reply(200, {"taken": 5, "known": 3, "refused": refused, "request_id": "x"})

    path = tmp_path / "acknowledged"
    with serving(behave) as shop:
        done = send(shop, rows(20), batch=10, connections=1, acknowledged=path)
    assert (done.taken, done.known, done.refused, done.unanswered) == (10, 6, 4, 0)
    assert done.reasons == {"no item": 4}
    refused = {"e0", "e3", "e10", "e13"}
    assert path.read_text().split() == [f"e{n}" for n in range(20) if f"e{n}" not in refused]


@pytest.mark.parametrize(
    "body",
    [
        {"taken": 9, "known": 0, "refused": []},
        {"taken": 10, "known": 1, "refused": []},
        {"taken": 9, "known": 0, "refused": [{"position": 10, "reason": "beyond"}]},
        {"taken": 8, "known": 0, "refused": [{"position": 1, "reason": "a"}] * 2},
        {"success": True},
        None,
    ],
)
def test_an_answer_that_does_not_add_up_is_a_failure(body: object) -> None:
    with serving(lambda asked, before: Reply(200, body)) as shop:
        done = send(shop, rows(10), batch=10)
    assert (done.failed, done.taken, done.unanswered) == (10, 0, 0)
    assert sum(done.errors.values()) == 1


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"event_type": "add", "items": [{"id": "a", "price": 1.5, "quantity": 2.0}]},
        {"event_type": "remove"},
        {"event_type": "click"},
        {"event_type": "impression", "items": [{"id": x, "price": 1.0} for x in "abc"]},
        {"event_type": "purchase", "items": [{"id": x, "price": 1.0, "quantity": 1} for x in "ab"]},
        {"event_type": "search", "items": [], "query": "tent für zwei"},
        {"event_type": "page", "items": [], "session_id": None},
        {"event_type": "wishlist", "items": [], "occurred_us": MORNING + 123_000},
    ],
    ids=str,
)
def test_each_protocol_tells_the_event_as_it_was_recorded(
    protocol: str, changes: dict[str, Any]
) -> None:
    recorded = row(1, **changes)
    recorded = recorded._replace(
        items=[{"price": None, "quantity": None, **item} for item in recorded.items]
    )
    (event,) = parse(protocol, [recorded])
    assert event.event_type == recorded.event_type
    assert event.visitor_id == recorded.visitor_id
    assert event.query == recorded.query
    at = datetime(1970, 1, 1) + timedelta(microseconds=recorded.occurred_us)
    assert event.occurred_at == at
    assert list(msgspec.to_builtins(event.items)) == recorded.items
    assert (event.session_id or "").endswith(recorded.session_id or "")
    if protocol != "ga4":
        assert event.event_id == recorded.event_id


def parse(protocol: str, recorded: list[Row], key: str = "") -> list[Event]:
    sent = PROTOCOLS[protocol].encode(recorded, key)
    path, _, query = sent.path.partition("?")
    parsed = PARSERS[protocol](
        Delivery(
            tenant=DEFAULT_TENANT,
            protocol=protocol,
            received_at=NOW,
            body=sent.body,
            context={"path": path, "query": query, "content_type": "application/json"},
        )
    )
    assert not parsed.refusals
    return parsed.events


def test_the_envelope_keeps_microseconds_and_properties_and_names_its_tenant() -> None:
    told = row(1, occurred_us=MORNING + 1, properties='{"a":{"b":[1,null]}}', tenant="north")
    event = json.loads(PROTOCOLS["native"].encode([told], "").body)
    assert event["properties"] == {"a": {"b": [1, None]}}
    assert event["occurred_at"] == "2026-01-05T09:00:00.000001Z"
    assert event["tenant"] == "north"
    assert "tenant" not in json.loads(PROTOCOLS["native"].encode([told], "wk_1").body)


def test_a_key_goes_where_each_protocol_has_it() -> None:
    sent = {name: each.encode([row(1)], "wk_1") for name, each in PROTOCOLS.items()}
    assert sent["native"].headers == {"Authorization": "Bearer wk_1"}
    assert sent["segment"].headers == {"Authorization": "Basic d2tfMTo="}
    assert "api_secret=wk_1" in sent["ga4"].path
    assert json.loads(sent["snowplow"].body)["data"][0]["aid"] == "wk_1"


def test_a_recommendation_is_asked_for_a_share_of_the_events() -> None:
    def behave(asked: Asked, before: int) -> Reply:
        return take_all(asked, before) if asked.body else Reply(200, {"items": []})

    with serving(behave) as shop:
        done = send(shop, rows(100), batch=10, recommend=0.25, read_key="rk_1")
    gets = [asked for asked in shop.asked if asked.method == "GET"]
    assert len(gets) == done.recommendations == done.recommend_latency.count == 25
    assert all(asked.path.startswith("/v1/recommend?items=i") for asked in gets)
    assert {asked.headers["Authorization"] for asked in gets} == {"Bearer rk_1"}
    assert (done.events, done.taken) == (100, 100)


# When it is sent


def test_a_rate_is_kept_whatever_the_times_say() -> None:
    with serving() as shop:
        done = send(shop, rows(100), batch=5, rate=400.0)
    first, last = min(a.at for a in shop.asked), max(a.at for a in shop.asked)
    assert last - first > 0.23  # from the 5th event to the 100th: 95 / 400 s
    assert done.events_per_second < 410


def test_latency_counts_from_when_a_request_was_due() -> None:
    def slow_at_first(asked: Asked, before: int) -> Reply:
        if before == 0:
            threading.Event().wait(0.5)
        return take_all(asked, before)

    with serving(slow_at_first) as shop:
        done = send(shop, rows(100), batch=1, rate=200.0, connections=1)
    # While one answer was awaited, some eighty others fell due; to count from when they were
    # sent would hide that from every percentile but the last.
    assert done.latency.p50 > 100
    assert done.latency.max >= 500


def test_a_recording_is_sent_at_its_times_or_faster() -> None:
    pace = as_recorded(60.0)
    occurred = [MORNING, MORNING + 60_000_000, MORNING + 30_000_000, MORNING + 120_000_000]
    assert [pace(n, at) for n, at in enumerate(occurred)] == [0.0, 1.0, 1.0, 2.0]
    assert [evenly(50.0)(before, 0) for before in range(3)] == [0.0, 0.02, 0.04]
    with serving() as shop:
        send(shop, rows(11), batch=1, speed="50x")
    assert shop.ids == [f"e{n}" for n in range(11)]
    assert 0.19 < shop.asked[-1].at - shop.asked[0].at < 5


def test_events_can_be_stamped_with_the_time_at_which_they_are_due() -> None:
    began = time.time()
    with serving() as shop:
        send(shop, rows(4), batch=2, rate=10.0, is_stamped=True)
    told = [event for asked in shop.asked for event in json.loads(asked.body)]
    at = [datetime.fromisoformat(event["occurred_at"]).timestamp() - began for event in told]
    assert np.diff(at) == pytest.approx(0.1, abs=1e-5)
    assert 0 <= at[0] < 5


# What goes wrong


def test_what_is_put_off_is_sent_again_with_the_same_ids_when_asked_to() -> None:
    def behave(asked: Asked, before: int) -> Reply:
        if before < 2:
            return Reply((429, 503)[before], {}, {"Retry-After": str(1 - before)})
        return take_all(asked, before)

    with serving(behave) as shop:
        done = send(shop, rows(20), batch=10, connections=1)
    assert shop.asked[0].body == shop.asked[1].body == shop.asked[2].body
    assert shop.asked[1].at - shop.asked[0].at >= 1
    assert done.put_off == {"429": 1, "503": 1}
    assert (done.events, done.taken, done.unanswered) == (20, 20, 0)
    assert done.latency.max >= 1_000  # the wait counts


def test_a_lost_connection_and_a_broken_server_are_tried_again() -> None:
    def behave(asked: Asked, before: int) -> Reply | None:
        return (None, Reply(500, {}))[before] if before < 2 else take_all(asked, before)

    with serving(behave) as shop:
        done = send(shop, rows(10), batch=10)
    assert [asked.ids for asked in shop.asked] == [[f"e{n}" for n in range(10)]] * 3
    assert done.errors == {"the connection was lost": 1, "status 500": 1}
    assert done.taken == 10


def test_a_server_that_closes_each_connection_is_asked_over_new_ones() -> None:
    def behave(asked: Asked, before: int) -> Reply:
        return Reply(200, take_all(asked, before).body, {"Connection": "close"})

    with serving(behave) as shop:
        done = send(shop, rows(30), batch=1, connections=2)
    assert (done.taken, done.errors) == (30, {})


def test_patience_has_an_end_and_the_report_says_what_was_done() -> None:
    def behave(asked: Asked, before: int) -> Reply:
        return take_all(asked, before) if before == 0 else Reply(503, {"error": "disk is full"})

    with serving(behave) as shop:
        done = send(shop, rows(100), batch=10, connections=2, patience=0.2)
    assert done.problem is not None
    assert "503" in done.problem
    assert "disk is full" in done.problem
    assert done.taken == 10
    assert done.events == done.taken + done.unanswered < 100


@pytest.mark.parametrize(("status", "remedy"), [(401, "--key"), (413, "--batch"), (404, "address")])
def test_what_no_repetition_mends_ends_the_pump_at_once(status: int, remedy: str) -> None:
    with serving(lambda asked, before: Reply(status, {"error": "no"})) as shop:
        done = send(shop, rows(1_000), batch=10, connections=1)
    assert len(shop.asked) == 1
    assert done.problem is not None
    assert remedy in done.problem
    assert (done.events, done.unanswered) == (10, 10)


def test_where_nothing_answers_is_said_at_once() -> None:
    with serving() as shop:
        pass
    with pytest.raises(WherryError, match=rf"Nothing answers at {shop.url}.*wherry serve"):
        send(shop, rows(1))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"protocol": "segmnet"}, "Did you mean 'segment'"),
        ({"protocol": "ga4", "batch": 2}, "batch is 2"),
        ({"batch": 0}, "batch is 0"),
        ({"connections": 0}, "connections is 0"),
        ({"rate": 0.0}, "rate is 0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": 5.0, "speed": "2x"}, "both"),
        ({"speed": "fast"}, "speed is 'fast'"),
        ({"speed": "0x"}, "speed is '0x'"),
    ],
)
def test_a_wrong_request_names_the_value(how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        pump("http://127.0.0.1:1", rows(1), Sending(**how))


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://a", "http://", "http://a:b"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        parse_target(url)


def test_an_address_may_have_a_path_and_an_ipv6_host() -> None:
    target = parse_target("https://[::1]/shop/")
    assert (target.host, target.port, target.path, target.is_tls) == ("::1", 443, "/shop", True)
    assert target.authority == "[::1]:443"


# Where it comes from


def write(folder: Path) -> dict[str, Path]:
    """The same three events in each format, and one row that no import takes."""
    paths = {suffix: folder / f"events.{suffix}" for suffix in ("parquet", "csv", "ndjson")}
    table = """
        (VALUES ('north', 'a', 'view', TIMESTAMP '2026-01-05 09:00:00.000001', 'v1', 'i1', 2.5),
                ('north', 'b', 'add', TIMESTAMP '2026-01-05 08:00:00', 'v1', 'i2', 1.0),
                ('north', 'c', 'view', NULL, 'v1', 'i1', 1.0),
                ('south', 'a', 'page', TIMESTAMP '2026-01-05 09:00:02', 'v2', NULL, NULL))
        AS t(tenant, event_id, event_type, occurred_at, visitor_id, item_id, price)"""
    for suffix, path in paths.items():
        form = {"parquet": "PARQUET", "csv": "CSV", "ndjson": "JSON"}[suffix]
        duckdb.sql(f"COPY (FROM {table}) TO '{path}' (FORMAT {form})")
    return paths


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_recorded_events_are_read_in_their_order_from_every_format(
    tmp_path: Path, suffix: str
) -> None:
    path = write(tmp_path)[suffix]
    found = list(read_rows([path, path], find_mapping("wherry", {}), now=NOW))
    assert found[:3] == found[3:]
    assert [(row.tenant, row.event_id, row.occurred_us - MORNING) for row in found[:3]] == [
        ("north", "a", 1),
        ("north", "b", -3_600_000_000),
        ("south", "a", 2_000_000),
    ]
    assert found[0].items == [{"id": "i1", "price": 2.5, "quantity": None}]
    assert found[2].items == []


def test_one_tenant_s_events_can_be_sent_alone(tmp_path: Path) -> None:
    path = write(tmp_path)["csv"]
    south = read_rows([path], find_mapping("wherry", {}), now=NOW, tenant=TenantId("south"))
    assert [row.event_type for row in south] == ["page"]


def test_a_file_that_is_broken_is_a_source_error(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1 nothing more")
    with pytest.raises(SourceError, match=r"events\.parquet"):
        list(read_rows([path], find_mapping("wherry", {}), now=NOW))
    with pytest.raises(UsageError, match="catalogue"):
        list(read_rows([path], find_mapping("wherry-items", {}), now=NOW))


def test_as_many_events_are_simulated_as_asked_for_each_with_an_id_of_its_own() -> None:
    def ids(count: int, seed: int) -> list[str]:
        with simulated_rows(count, seed=seed, start=datetime(2026, 1, 5), now=NOW) as found:
            return [row.event_id for row in found]

    once = ids(5_000, 1)
    assert len(set(once)) == len(once) == 5_000
    assert ids(5_000, 1) == once
    assert not set(ids(100, 2)) & set(once)


# How long it took


@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=200))
def test_percentiles_are_right_to_one_per_cent(seconds: list[float]) -> None:
    taken = Latencies()
    for each in seconds:
        taken.add(each)
    summary = taken.summary()
    for share, found in ((50, summary.p50), (90, summary.p90), (99.9, summary.p999)):
        right = np.percentile(seconds, share, method="inverted_cdf") * 1e3
        assert found == pytest.approx(right, rel=0.011, abs=0.001)
    assert summary.max == pytest.approx(max(seconds) * 1e3, abs=0.001)


# The command


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[object, str, str]:
    monkeypatch.setattr(sys, "argv", ["wherry", "pump", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *capsys.readouterr()


def test_the_command_stops_dead_at_a_number_of_events(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "acknowledged"
    words = ("--stop-at", "1234", "--acknowledged", path, "--json")
    with serving() as shop:
        code, out, _ = command(monkeypatch, capsys, shop.url, *words)
    report = json.loads(out)
    assert code == 0
    assert report["events"] == report["taken"] == 1_234
    assert sorted(path.read_text().split()) == sorted(shop.ids)
    assert len(set(shop.ids)) == 1_234


def test_the_command_sends_files_and_says_what_came_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with serving() as shop:
        code, out, err = command(
            monkeypatch, capsys, shop.url, "--from", "*.csv", "--tenant", "north"
        )
    assert (code, shop.ids) == (0, ["a", "b"])
    assert "2 taken, 0 known already, 0 refused" in out
    assert "Traceback" not in err


def test_the_command_ends_with_3_where_an_answer_was_wrong_or_none_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path)["csv"]
    with serving(lambda asked, before: Reply(200, {})) as shop:
        code, out, _ = command(monkeypatch, capsys, shop.url, "--from", path)
        assert (code, "3 failed" in out) == (3, True)
    code, out, _ = command(monkeypatch, capsys, shop.url, "--from", path, "--json")
    assert code == 3
    assert "Nothing answers" in json.loads(out)["error"]["message"]


def test_a_signal_ends_the_pump_with_what_was_done_so_far(tmp_path: Path) -> None:
    with serving() as shop:
        process = subprocess.Popen(
            [sys.executable, "-m", "wherry", "pump", shop.url, "--rate", "200", "--json"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
        )
        deadline = time.monotonic() + 60
        while len(shop.asked) < 2:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    report = json.loads(out)
    assert process.returncode == 0
    assert report["is_interrupted"]
    assert report["events"] == report["taken"] == len(shop.ids) < 100_000
    assert report["unanswered"] == 0


def test_only_so_many_rows_are_read_as_are_sent() -> None:
    taken = []

    def endless() -> Iterator[Row]:
        for number in range(10**9):
            taken.append(number)
            yield row(number)

    with serving() as shop:
        done = send(shop, islice(endless(), 95), batch=10)
    assert done.events == 95
    assert len(taken) == 95


# The real server


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A collecting server in a process of its own: its address and a write key."""
    # The project imports MLflow, which takes seconds that the other tests need not spend.
    from wherry.project import Project

    project = Project.create(tmp_path_factory.mktemp("shop"))
    key, _ = project.keys.make(DEFAULT_TENANT, "write", label="pump", now=NOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "wherry", "collect", "--port", "0", "--json"],
        cwd=project.home.root,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
    )
    assert process.stdout is not None
    told = ""
    while "}" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    try:
        yield json.loads(told)["address"], key
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow, as it is imported
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_real_server_knows_the_key_and_takes_every_event_of_each_protocol(
    collecting: tuple[str, str], protocol: str
) -> None:
    url, key = collecting
    sent = [row(n, event_id=f"{protocol}-{n}") for n in range(250)]
    done = pump(url, sent, Sending(protocol=protocol, key=key))
    assert (done.problem, done.errors, done.taken, done.refused) == (None, {}, 250, 0)
    wrong = pump(url, sent, Sending(protocol=protocol, key=f"{key}x", connections=1))
    assert "401" in str(wrong.problem)
    if protocol == "native":
        again = pump(url, sent, Sending(key=key))
        assert (again.taken, again.known) == (0, 250)
        old = pump(url, [sent[0], row(1, occurred_us=0)], Sending(key=key))
        assert (old.known, old.refused, old.failed) == (1, 1, 0)
        assert "before 1990" in next(iter(old.reasons))
