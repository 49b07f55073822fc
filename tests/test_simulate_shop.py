from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wherry.simulate.files
import wherry.simulate.shop
from wherry.domain import TenantId
from wherry.errors import UsageError
from wherry.simulate import Simulated, open_shop, simulate

START = datetime(2026, 3, 2)
COLUMNS = [
    "tenant", "event_id", "event_type", "occurred_at", "visitor_id",
    "session_id", "item_id", "price", "quantity", "query",
]  # fmt: skip


def small(out: Path, **changes: object) -> Simulated:
    settings: dict[str, object] = {
        "events": 6_000, "seed": 7, "start": START, "days": 3, "items": 300, "visitors": 2_000,
    }  # fmt: skip
    return simulate(out, **(settings | changes))  # type: ignore[arg-type]


def rows(done: Simulated) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in done.files])


def test_the_columns_are_plain_and_stand_in_the_stated_order(tmp_path: Path) -> None:
    done = small(tmp_path)
    schema = pq.read_table(done.files[0]).schema
    assert schema.names == COLUMNS
    assert schema.field("item_id").type == pa.string()
    assert schema.field("occurred_at").type == pa.timestamp("ms")
    assert rows(done).num_rows == done.events
    assert pq.read_table(done.catalogue).num_rows == done.items == 300


def test_about_as_many_events_come_as_were_asked_for(tmp_path: Path) -> None:
    done = small(tmp_path, events=70_000, days=7)
    assert done.events == pytest.approx(70_000, rel=0.05)


def test_the_same_seed_gives_the_same_rows_on_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wherry.simulate.shop, "SESSIONS_PER_PART", 50)
    one, four = small(tmp_path / "1", threads=1), small(tmp_path / "4", threads=4)
    assert [f.read_bytes() for f in one.files] == [f.read_bytes() for f in four.files]
    assert one.catalogue.read_bytes() == four.catalogue.read_bytes()


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    one, other = small(tmp_path / "1"), small(tmp_path / "2", seed=8)
    assert not rows(one).equals(rows(other))
    assert one.catalogue.read_bytes() != other.catalogue.read_bytes()


def test_a_day_is_the_same_alone_as_among_others(tmp_path: Path) -> None:
    long = rows(small(tmp_path / "long"))
    alone = small(tmp_path / "alone", events=2_000, days=1, start=START + timedelta(days=2))
    day = (START + timedelta(days=2) - datetime(1970, 1, 1)).days
    ids = [event_id.startswith(f"{day}-") for event_id in long["event_id"].to_pylist()]
    assert long.filter(pa.array(ids)).equals(rows(alone))
    assert alone.catalogue.read_bytes() == (tmp_path / "long" / "items.parquet").read_bytes()


def test_a_tenant_does_not_depend_on_the_others_though_their_ids_collide(tmp_path: Path) -> None:
    north, south = TenantId("north"), TenantId("south")
    both = rows(small(tmp_path / "both", events=12_000, tenants=(north, south)))
    alone = rows(small(tmp_path / "alone", tenants=(south,)))
    tenants = both["tenant"].to_numpy()
    assert both.filter(tenants == south).equals(alone)
    other = both.filter(tenants == north)
    for column in ("event_id", "item_id", "visitor_id"):
        shared = set(other[column].to_pylist()) & set(alone[column].to_pylist()) - {None}
        assert len(shared) > 50


def test_a_session_id_is_given_only_if_asked_for(tmp_path: Path) -> None:
    assert rows(small(tmp_path / "none"))["session_id"].null_count == small(tmp_path / "n").events
    done = small(tmp_path / "given", sessions_given=True)
    owners = rows(done).group_by("session_id").aggregate([("visitor_id", "count_distinct")])
    assert owners["session_id"].null_count == 0
    assert owners.num_rows == done.sessions
    assert set(owners["visitor_id_count_distinct"].to_pylist()) == {1}


def test_event_ids_are_unique_and_a_duplicate_is_exact(tmp_path: Path) -> None:
    once = rows(small(tmp_path / "once", duplicates=0.0))
    assert len(set(once["event_id"].to_pylist())) == once.num_rows
    twice = rows(small(tmp_path / "twice", duplicates=0.2))
    ids = len(set(twice["event_id"].to_pylist()))
    assert twice.num_rows / ids == pytest.approx(1.2, abs=0.03)
    assert twice.group_by(COLUMNS).aggregate([]).num_rows == ids


def test_disorder_is_the_share_of_events_that_stand_behind_later_ones(tmp_path: Path) -> None:
    def late(disorder: float) -> float:
        times = rows(small(tmp_path / str(disorder), days=1, disorder=disorder, duplicates=0.0))
        seen = times["occurred_at"].cast(pa.int64()).to_numpy()
        return float(np.mean(seen < np.maximum.accumulate(seen)))

    assert late(0.0) == 0
    assert late(0.1) == pytest.approx(0.1, abs=0.03)


def test_files_follow_each_other_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wherry.simulate.files, "ROWS_PER_FILE", 1_000)
    done = small(tmp_path)
    assert [path.name for path in done.files] == [
        f"events-2026-03-0{day}.parquet" for day in (2, 3, 4)
    ]
    first = [pq.read_table(path)["occurred_at"].to_numpy().min() for path in done.files]
    assert first == sorted(first)
    assert not list(tmp_path.glob("*.unfinished"))


def test_visitors_return_on_other_days(tmp_path: Path) -> None:
    done = small(tmp_path)
    (share,) = duckdb.sql(
        f"""select avg((days > 1)::int) from (select count(distinct occurred_at::date) as days
        from read_parquet('{tmp_path}/events*.parquet') group by visitor_id)"""
    ).fetchall()[0]
    assert done.events > 0
    assert share > 0.05


def test_progress_counts_the_parts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    small(tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": 0}, "events is 0"),
        ({"days": -1}, "days is -1"),
        ({"seed": -3}, "seed is -3"),
        ({"duplicates": 1.5}, "duplicates is 1.5"),
        ({"disorder": -0.1}, "disorder is -0.1"),
        ({"items": 0}, "items is 0"),
        ({"visitors": 0}, "visitors is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"tenants": ()}, "tenants are"),
        ({"tenants": (TenantId("a"), TenantId("a"))}, "tenants are"),
        ({"tenants": (TenantId("a/b"),)}, "a/b"),
        ({"events": 10**12}, "too many"),
    ],
)
def test_a_request_out_of_range_names_the_value(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        small(tmp_path, **changes)


def test_no_two_days_and_no_two_tenants_are_alike(tmp_path: Path) -> None:
    table = rows(small(tmp_path, days=14, tenants=(TenantId("a"), TenantId("b"))))
    times = table["occurred_at"].to_numpy().astype("datetime64[D]")
    for tenant in ("a", "b"):
        mine = table["tenant"].to_numpy() == tenant
        weeks = [
            table.filter(mine & (times == np.datetime64(day)))["item_id"].to_pylist()
            for day in ("2026-03-03", "2026-03-10")
        ]
        assert weeks[0] != weeks[1]
    parts = [table.filter(table["tenant"].to_numpy() == tenant) for tenant in ("a", "b")]
    assert parts[0]["item_id"].to_pylist() != parts[1]["item_id"].to_pylist()


def test_a_shop_is_found_again_by_its_folder(tmp_path: Path) -> None:
    simulate(tmp_path, events=2_000, seed=4, start=START, days=2, tenants=(TenantId("north"),))
    shop = open_shop(tmp_path, TenantId("north"))
    told = pq.read_table(tmp_path / "items.parquet")
    assert shop.catalogue.names == told["name"].to_pylist()
    assert shop.catalogue.price.tolist() == told["price"].to_pylist()
    with pytest.raises(UsageError, match="there are north"):
        open_shop(tmp_path, TenantId("south"))
