"""Volumes: what a snapshot holds of one tenant, and of no other."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from wherry.domain import TenantId
from wherry.lake import Lake
from wherry.watch import read_volumes

_SESSIONS = """
CREATE SCHEMA lake.marts;
CREATE TABLE lake.marts.sessions AS
SELECT * FROM (VALUES
    ('north', 3, TIMESTAMP '2026-01-01 10:00', TIMESTAMP '2026-01-01 10:05'),
    ('north', 5, TIMESTAMP '2026-01-02 10:00', TIMESTAMP '2026-01-02 10:05'),
    ('south', 70, TIMESTAMP '2025-01-01 10:00', TIMESTAMP '2027-01-02 10:05')
) AS t(tenant, events, started_at, ended_at);
CREATE TABLE lake.marts.overview_daily AS
SELECT * FROM (VALUES
    ('north', DATE '2026-01-01', 3, 1, 0), ('north', DATE '2026-01-02', 5, 1, 1),
    ('south', DATE '2026-01-03', 70, 1, 9)
) AS t(tenant, day, events, sessions, transactions);
"""


def test_volumes_are_those_of_one_tenant_with_its_newest_days_first(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", threads=1)
    with lake.writer() as con:
        con.execute(_SESSIONS)
    with lake.reader() as con:
        north = read_volumes(con, TenantId("north"))
        newest = read_volumes(con, TenantId("north"), days=1)
        nobody = read_volumes(con, TenantId("nobody"))
    assert (north.events, north.sessions) == (8, 2)
    assert north.first_event == datetime(2026, 1, 1, 10)
    assert north.last_event == datetime(2026, 1, 2, 10, 5)
    assert [(day.day, day.events, day.transactions) for day in north.days] == [
        (date(2026, 1, 2), 5, 1),
        (date(2026, 1, 1), 3, 0),
    ]
    assert newest.days == north.days[:1]
    assert (nobody.events, nobody.sessions, nobody.last_event, nobody.days) == (0, 0, None, ())
