"""A file is loaded whole, once, and the same whatever its format."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wherry.collect.load as loading
from collect_shop import HEADER, MAPPING, NOW, count, load, row, write
from wherry.collect import PRESETS
from wherry.config import Field, Mapping
from wherry.errors import LakeError, SourceError
from wherry.lake import Lake

EVENTS = [
    {"at": "2026-01-01 10:00:00", "kind": "view", "who": "anna", "what": "stove", "cost": 49.5},
    {"at": "2026-01-01 10:00:01.25", "kind": "buy", "who": "anna", "what": "stove", "cost": 49.0},
    {"at": "2026-01-02T00:00:00Z", "kind": "search", "who": "bébé", "what": None, "cost": None},
    {"at": "2026-01-02T02:30:00+02:00", "kind": "view", "who": "7", "what": 'a "b", c', "cost": 1},
]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as connection:
        yield connection


def as_csv(events: list[dict[str, object]], mark: str = ",") -> list[str]:
    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in f'"{mark}\n') else text

    names = list(events[0])
    return [mark.join(names), *(mark.join(cell(e[name]) for name in names) for e in events)]


def as_ndjson(events: list[dict[str, object]]) -> list[str]:
    return [json.dumps(event, ensure_ascii=False) for event in events]


FILES = {
    **{f"log.csv{end}": as_csv(EVENTS) for end in ("", ".gz", ".zst")},
    **{f"log.ndjson{end}": as_ndjson(EVENTS) for end in ("", ".gz", ".zst")},
    "log.jsonl": as_ndjson(EVENTS),
    "log.tsv": as_csv(EVENTS, "\t"),
    "log.txt": as_csv(EVENTS, ";"),
}


def taken(con: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return con.execute(
        "SELECT event_id, event_type, occurred_at, visitor_id, items "
        "FROM lake.raw.events ORDER BY occurred_at"
    ).fetchall()


@pytest.mark.parametrize("name", [*FILES, "log.parquet", "typed.parquet"])
def test_every_format_and_compression_gives_the_same_events(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    load(con, write(tmp_path / "first.csv", [*FILES["log.csv"], ""]))
    first = taken(con)
    path = tmp_path / name
    if name == "log.parquet":
        pq.write_table(pa.Table.from_pylist(EVENTS), path)
    elif name == "typed.parquet":
        times = pa.array([r[2] for r in first], pa.timestamp("us")).cast(pa.timestamp("ns", "UTC"))
        table = pa.Table.from_pylist(EVENTS)
        pq.write_table(table.set_column(0, "at", times), path)
    else:
        write(path, FILES[name])
    again = load(con, path)
    assert (again.taken, again.known, again.rejected) == (0, 4, 0)
    assert taken(con) == first


def test_what_was_taken_is_what_the_file_says(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    load(con, write(tmp_path / "log.csv", FILES["log.csv"]))
    assert [r[1:] for r in taken(con)] == [
        ("view", datetime(2026, 1, 1, 10), "anna", [item("stove", 49.5)]),
        ("purchase", datetime(2026, 1, 1, 10, 0, 1, 250_000), "anna", [item("stove", 49.0)]),
        ("search", datetime(2026, 1, 2), "bébé", []),
        ("view", datetime(2026, 1, 2, 0, 30), "7", [item('a "b", c', 1.0)]),
    ]
    (about,) = con.execute("SELECT * EXCLUDE (fingerprint) FROM lake.raw.loads").fetchall()
    path = str(tmp_path / "log.csv")
    bounds = (datetime(2026, 1, 1, 10), datetime(2026, 1, 2, 0, 30))
    assert about == (1, "events", path, NOW, 4, 0, 0, *bounds)


def item(name: str, price: float | None, quantity: float | None = None) -> dict[str, object]:
    return {"id": name, "price": price, "quantity": quantity}


def test_the_hash_of_an_event_stays_what_it_is(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    # Another hash would take every event of an old file for new.
    load(con, write(tmp_path / "log.csv", FILES["log.csv"]))
    microseconds, lengths = 1767261600 * 10**6, len("view") | len("anna") << 21
    said = f"default {microseconds} {lengths}  viewanna5 49500000  stove"
    assert taken(con)[0][0] == hashlib.md5(said.encode()).hexdigest()[:24]


def test_a_list_of_one_item_is_the_same_event_as_one_item(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    own = {"event_type": "view", "occurred_at": "2026-01-01", "visitor_id": "a"}
    one = own | {"item_id": "x", "price": 1.5, "quantity": 2}
    none = own | {"occurred_at": "2026-01-02"}
    many = own | {"items": [item("x", 1.5, 2.0)]}
    empty = none | {"items": []}
    two = own | {"items": [item("x", 1.5, 2.0), item("y", None)]}
    wherry = PRESETS["wherry"]
    first = load(con, write(tmp_path / "a.ndjson", as_ndjson([one, none])), wherry)
    then = load(con, write(tmp_path / "b.ndjson", as_ndjson([many, empty, two])), wherry)
    pq.write_table(pa.Table.from_pylist([many, empty, two]), tmp_path / "c.parquet")
    last = load(con, tmp_path / "c.parquet", wherry)
    assert (first.taken, then.known, then.taken, last.known) == (2, 2, 1, 3)
    (kept,) = con.execute("SELECT items FROM lake.raw.events WHERE len(items) = 2").fetchall()
    assert kept[0] == [item("x", 1.5, 2.0), item("y", None)]


def test_the_same_file_again_is_skipped_at_once(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = write(tmp_path / "log.csv", [HEADER, row(1), row(2), "no time,view,anna,stove,1"])
    first = load(con, path)
    copy = tmp_path / "renamed.csv"
    copy.write_bytes(path.read_bytes())
    again = load(con, copy)
    assert (first.taken, first.rejected, first.is_skipped) == (2, 1, False)
    assert (again.taken, again.rejected, again.is_skipped) == (0, 0, True)
    assert again.load_id == first.load_id
    assert [count(con, table) for table in ("events", "rejected", "loads")] == [2, 1, 1]


def test_the_same_file_by_another_mapping_is_another_load(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = write(tmp_path / "log.csv", [HEADER, row(1)])
    load(con, path)
    other = Mapping(event_type="kind", occurred_at="at", visitor_id="who")
    assert load(con, path, other).taken == 1
    assert load(con, path, default_tenant="north").taken == 1


def test_overlapping_files_add_each_event_once(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [row(second) for second in range(30)]
    first = load(con, write(tmp_path / "a.csv", [HEADER, *rows[:20]]))
    second = load(con, write(tmp_path / "b.csv", [HEADER, *rows[10:], rows[29], rows[29]]))
    assert (first.taken, second.taken, second.known) == (20, 10, 12)
    assert count(con, "events") == 30


def test_what_an_excluded_load_brought_is_taken_again_from_the_corrected_file(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [row(second) for second in range(10)]
    bad = load(con, write(tmp_path / "bad.csv", [HEADER, *rows, row(20, "bot")]))
    corrected = write(tmp_path / "corrected.csv", [HEADER, *rows, row(20)])
    loaded = load(con, corrected, excluded=(bad.load_id,))
    assert (loaded.taken, loaded.known) == (11, 0)
    again = load(con, write(tmp_path / "more.csv", [HEADER, *rows, row(21)]), excluded=(1,))
    assert (again.taken, again.known) == (1, 10)


def test_a_row_that_stands_in_the_file_twice_is_one_event(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    loaded = load(con, write(tmp_path / "log.csv", [HEADER, row(1), row(2), row(1)]))
    assert (loaded.taken, loaded.known) == (2, 1)


def test_an_id_that_comes_back_with_another_time_is_known(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(event_id="id", event_type="kind", occurred_at="at", visitor_id="who")
    lines = ["id,at,kind,who", "1,2026-01-01,view,a", "2,2026-01-01,view,a"]
    load(con, write(tmp_path / "a.csv", lines), mapping)
    late = ["id,at,kind,who", "1,2026-02-01,view,a", "3,2026-02-02,view,a", ",2026-02-03,view,a"]
    loaded = load(con, write(tmp_path / "b.csv", late), mapping)
    assert (loaded.taken, loaded.known) == (2, 1)


def test_the_same_id_in_two_tenants_is_two_events(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = ["tenant,event_id,event_type,occurred_at,visitor_id", "a,1,view,2026-01-01,v"]
    lines.append("b,1,view,2026-01-01,v")
    loaded = load(con, write(tmp_path / "a.csv", lines), PRESETS["wherry"])
    assert (loaded.taken, loaded.known) == (2, 0)


def test_two_sequences_of_texts_that_join_alike_are_two_events(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(
        event_type="k", occurred_at="at", visitor_id="v", session_id="s", item_id="i", query="q"
    )
    cells = ["x,ab,c,d,", "x,a,bc,d,", "x,a,b,cd,", "x,a,b,,cd", "xa,b,c,d,", "x,a,b,c,d"]
    lines = ["at,k,v,s,i,q", *(f"2026-01-01,{cell}" for cell in cells)]
    assert load(con, write(tmp_path / "a.csv", lines), mapping).known == 0


def test_a_load_that_fails_leaves_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "log.csv", [HEADER, row(1), "never,view,anna,stove,1"])

    def fail(*_: object, **__: object) -> None:
        raise duckdb.Error("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(loading, "append_rejects", fail)
        with pytest.raises(LakeError, match="the log is as it was: the disk is full"):
            load(con, path)
    assert [count(con, table) for table in ("events", "rejected", "loads")] == [0, 0, 0]
    assert load(con, path).taken == 1


def test_an_interrupted_load_leaves_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "log.csv", [HEADER, row(1), "never,view,anna,stove,1"])

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading, "append_rejects", stop)
        with pytest.raises(KeyboardInterrupt):
            load(con, path)
    assert [count(con, table) for table in ("events", "loads")] == [0, 0]
    assert load(con, path).load_id == 1


def test_the_steps_of_a_load_are_told_in_order(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    steps: list[str] = []
    path = write(tmp_path / "log.csv", [HEADER, row(1)])
    load(con, path, on_progress=steps.append)
    load(con, path, on_progress=steps.append)
    first = "looking whether the file is known"
    assert steps == [first, "reading", "comparing with the log", "writing", first]


def test_rows_out_of_order_are_written_in_the_order_of_time(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_CHUNK_ROWS", 4)
    rows = [row(second) for second in range(60)]
    random.Random(1).shuffle(rows)
    load(con, write(tmp_path / "log.csv", [HEADER, *rows]))
    times = con.execute("SELECT occurred_at FROM lake.raw.events ORDER BY rowid").fetchall()
    assert times == sorted(times)
    assert len(times) == 60


def test_where_no_tenant_is_named_the_rows_are_the_default_s(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    load(con, write(tmp_path / "log.csv", [HEADER, row(1), "x"]), default_tenant="north")
    for table in ("events", "rejected"):
        rows = con.execute(f"SELECT DISTINCT tenant FROM lake.raw.{table}").fetchall()
        assert rows == [("north",)]


def test_an_event_of_no_visitor_is_its_session_s(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapping = Mapping(event_type=Field(value="view"), occurred_at="at", session_id="s")
    load(con, write(tmp_path / "log.csv", ["at,s", "2026-01-01,7"]), mapping)
    assert con.execute("SELECT visitor_id, session_id FROM lake.raw.events").fetchall() == [
        ("7", "7")
    ]


def test_properties_are_one_object_whatever_they_came_as(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    columns = Mapping(
        event_type=Field(value="view"), occurred_at="at", visitor_id="v", properties=("a", "b")
    )
    lines = ["at,v,a,b", '2026-01-01,1,"say ""x""",', "2026-01-02,1,,"]
    load(con, write(tmp_path / "a.csv", lines), columns)
    whole = Mapping(
        event_type=Field(value="view"), occurred_at="at", visitor_id="v", properties="p"
    )
    events = [
        {"at": "2026-01-01", "v": 1, "p": {"a": 'say "x"'}},
        {"at": "2026-01-02", "v": 1, "p": {}},
        {"at": "2026-01-02", "v": 1, "p": None},
    ]
    again = load(con, write(tmp_path / "b.ndjson", as_ndjson(events)), whole)
    kept = con.execute("SELECT properties FROM lake.raw.events ORDER BY occurred_at").fetchall()
    assert kept == [('{"a":"say \\"x\\""}',), (None,)]
    assert (again.taken, again.known) == (0, 3)


def test_a_file_that_is_cut_off_is_refused_and_nothing_is_taken(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    whole = write(tmp_path / "log.csv.gz", [HEADER, *(row(s % 60, f"v{s}") for s in range(20_000))])
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(SourceError, match="can't be read"):
        load(con, cut)
    assert count(con, "events") == 0


GOOD = {row(second) for second in range(60)}
LINES = st.one_of(
    st.sampled_from(sorted(GOOD)).map(str.encode),
    st.binary(max_size=40),
    st.text(alphabet='",\n\r\t;1a\x00é\x1d', max_size=30).map(lambda t: t.encode()),
)


@pytest.fixture(scope="module")
def used_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path_factory.mktemp("used") / "lake").writer() as connection:
        yield connection


@settings(max_examples=40)
@given(
    lines=st.lists(LINES, max_size=20), is_csv=st.booleans(), end=st.sampled_from([b"\n", b"\r\n"])
)
def test_whatever_the_bytes_no_line_is_lost(
    used_lake: duckdb.DuckDBPyConnection, lines: list[bytes], is_csv: bool, end: bytes
) -> None:
    body = end.join([HEADER.encode(), *lines] if is_csv else lines)
    mapping = MAPPING if is_csv else PRESETS["wherry"]
    tenant = f"t{uuid.uuid4()}"
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"log.{'csv' if is_csv else 'ndjson'}", body)
        try:
            loaded = load(used_lake, path, mapping, default_tenant=tenant)
        except SourceError:
            assert not is_csv
            return
    refused = used_lake.execute(
        f"SELECT line, original FROM lake.raw.rejected WHERE load_id = {loaded.load_id}"
    ).fetchall()
    physical = [ln for ln in body.splitlines() if ln.strip(b" \t") and ln != HEADER.encode()]
    assert len(refused) == loaded.rejected
    assert all(line is not None for line, _ in refused)
    # A record with quoted line ends is one row of several lines.
    rows = loaded.taken + loaded.known + loaded.rejected
    assert rows <= len(physical)
    if b'"' not in body:
        assert rows == len(physical)
        assert loaded.taken + loaded.known == sum(ln.decode("latin1") in GOOD for ln in physical)
