"""Peaks: the busiest hour beside the mean one."""

from __future__ import annotations

import duckdb
import pytest

from wherry.domain import TenantId
from wherry.watch.peaks import read_peak_to_mean

SHOP = TenantId("shop")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS lake; CREATE SCHEMA lake.marts")
    con.execute("CREATE TABLE lake.marts.interactions (tenant VARCHAR, occurred_at TIMESTAMP)")
    con.execute("CREATE TABLE lake.marts.sessions (tenant VARCHAR, ended_at TIMESTAMP)")
    return con


def put(con: duckdb.DuckDBPyConnection, tenant: str, hour: str, times: int) -> None:
    con.execute(
        "INSERT INTO lake.marts.interactions SELECT ?, ?::TIMESTAMP FROM range(?)",
        [tenant, hour, times],
    )
    con.execute("INSERT INTO lake.marts.sessions VALUES (?, ?)", [tenant, hour])


def test_the_busiest_hour_is_held_against_all_hours_the_empty_ones_too(
    con: duckdb.DuckDBPyConnection,
) -> None:
    put(con, "shop", "2026-01-10 10:20:00", 6)
    put(con, "shop", "2026-01-10 13:59:00", 2)  # 11 and 12 o'clock are empty: a mean of 2
    put(con, "other", "2026-01-10 10:00:00", 100)
    put(con, "shop", "2025-01-01 10:00:00", 100)  # long ago
    assert read_peak_to_mean(con, SHOP) == 3.0


def test_without_anything_to_go_by_it_is_one(con: duckdb.DuckDBPyConnection) -> None:
    assert read_peak_to_mean(con, SHOP) == 1.0
