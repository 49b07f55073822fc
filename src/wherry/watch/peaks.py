"""Peaks: how much busier a shop's busiest hour is than its mean one."""

from __future__ import annotations

import duckdb

from wherry.domain import TenantId

_HOURS = """
WITH hours AS (
    SELECT date_trunc('hour', occurred_at) AS hour, count(*) AS events
    FROM lake.marts.interactions
    WHERE tenant = $tenant AND occurred_at > (
        SELECT max(ended_at) - to_days($days) FROM lake.marts.sessions WHERE tenant = $tenant)
    GROUP BY hour)
SELECT max(events), sum(events), date_diff('hour', min(hour), max(hour)) + 1 FROM hours
"""


def read_peak_to_mean(con: duckdb.DuckDBPyConnection, tenant: TenantId, *, days: int = 28) -> float:
    """The interactions of the busiest hour, divided by the mean of all hours of the newest days.

    Hours (UTC) with no interaction count; 1 where there is nothing to go by.
    """
    row = con.execute(_HOURS, {"tenant": tenant, "days": days}).fetchone()
    if row is None or not row[0]:
        return 1.0
    highest, total, hours = (int(each) for each in row)
    return highest * hours / total
