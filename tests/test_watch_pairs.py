from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from wherry.domain import DEFAULT_TENANT, Mode, Rollout
from wherry.lake import Lake, create_raw_tables
from wherry.watch import read_pairs

ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=DEFAULT_TENANT,
    mode=Mode.SHADOW,
    version=2,
    share=1.0,
    started_at=datetime(2026, 1, 1),
)


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as con:
        create_raw_tables(con)
        yield con


def log(
    con: duckdb.DuckDBPyConnection,
    request: str,
    role: str,
    items: str,
    *,
    session: str = "",
    rollout: str = "r1.1",
    error: str = "",
    microseconds: int = 1_000,
) -> None:
    row = {
        "tenant": "default",
        "request_id": request,
        "role": role,
        "rollout": rollout,
        "session": session.split(),
        "items": items.split(),
        "from_model": len(items.split()),
        "latency_us": microseconds,
        "error": error,
        "batch_id": f"{request}-{role}",
        "place": 0,
    }
    names, values = ", ".join(row), [*row.values()]
    marks = ", ".join("?" * len(row))
    con.execute(f"INSERT INTO lake.raw.answers ({names}) VALUES ({marks})", values)


def test_answers_to_the_same_request_are_compared_as_a_whole_and_by_slice(
    con: duckdb.DuckDBPyConnection,
) -> None:
    log(con, "q1", "champion", "a b c d", session="x")
    log(con, "q1", "shadow", "a b c d", session="x", microseconds=3_000)
    log(con, "q2", "champion", "a b c d", session="x y")
    log(con, "q2", "shadow", "b a e f", session="x y", microseconds=3_000)
    whole, *slices = read_pairs(con, ROLLOUT)
    assert (whole.slice, whole.requests, whole.overlap, whole.same_first) == ("all", 2, 0.75, 0.5)
    assert whole.rank_correlation == pytest.approx(0.0)  # 1 and -1
    assert (whole.champion_p50_ms, whole.shadow_p50_ms) == (1.0, 3.0)
    by_name = {each.slice: each for each in slices}
    assert by_name["session: 1 item"].overlap == 1.0
    assert by_name["session: 2 to 4 items"].rank_correlation == pytest.approx(-1.0)
    assert by_name["answer: the model"].requests == 2


def test_what_has_no_partner_failed_or_is_of_another_rollout_is_left(
    con: duckdb.DuckDBPyConnection,
) -> None:
    log(con, "alone", "champion", "a b")
    log(con, "failed", "champion", "a b")
    log(con, "failed", "shadow", "", error="ZeroDivisionError")
    log(con, "other", "champion", "a b", rollout="r0.1")
    log(con, "other", "shadow", "a b", rollout="r0.1")
    assert read_pairs(con, ROLLOUT) == ()
    log(con, "none", "champion", "a b")
    log(con, "none", "shadow", "c d")
    (whole, *_) = read_pairs(con, ROLLOUT)
    assert (whole.requests, whole.overlap, whole.rank_correlation) == (1, 0.0, None)
