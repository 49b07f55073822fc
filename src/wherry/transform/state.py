"""What the last transform did, kept in the lake itself so that both always agree."""

from __future__ import annotations

import duckdb
import msgspec

from wherry.domain import Severity
from wherry.transform.results import DataTest


class State(msgspec.Struct, frozen=True):
    """The last complete transform.

    ``until`` is the newest load that it took in, ``signature`` the hash of how it made the
    tables, ``excluded`` the loads that it left out, ``tables`` what then stood in ``marts``,
    and ``failed_tests`` how many tests then failed.
    """

    until: int
    signature: str
    excluded: tuple[int, ...]
    tables: tuple[str, ...]
    failed_tests: int = 0


def read_state(con: duckdb.DuckDBPyConnection) -> State | None:
    """Read the last complete transform; ``None`` where there was none."""
    if not _has_meta(con):
        return None
    row = con.execute(
        'SELECT until, signature, excluded, "tables", failed_tests FROM lake.meta.transforms'
    ).fetchone()
    if row is None:
        return None
    return State(row[0], row[1], tuple(row[2]), tuple(row[3]), row[4])


def read_tests(con: duckdb.DuckDBPyConnection) -> list[DataTest]:
    """Read the results of the dbt tests of the last complete transform."""
    if not _has_meta(con):
        return []
    rows = con.execute(
        "SELECT name, model, severity, passed, failures, sql, error FROM lake.meta.tests "
        "ORDER BY name"
    ).fetchall()
    return [
        DataTest(
            name=name,
            model=model,
            severity=Severity(severity),
            passed=passed,
            failures=failures,
            sql=sql,
            error=error,
        )
        for name, model, severity, passed, failures, sql, error in rows
    ]


def write_state(con: duckdb.DuckDBPyConnection, state: State, tests: list[DataTest]) -> None:
    """Record a complete transform, within the transaction that made it."""
    con.execute("CREATE SCHEMA IF NOT EXISTS lake.meta")
    con.execute(
        "CREATE OR REPLACE TABLE lake.meta.tests AS SELECT unnest(?::STRUCT(name VARCHAR, "
        "model VARCHAR, severity VARCHAR, passed BOOLEAN, failures BIGINT, sql VARCHAR, "
        "error VARCHAR)[], recursive := true)",
        [[msgspec.to_builtins(test) for test in tests]],
    )
    con.execute(
        "CREATE OR REPLACE TABLE lake.meta.transforms AS SELECT ?::BIGINT AS until, "
        '?::VARCHAR AS signature, ?::BIGINT[] AS excluded, ?::VARCHAR[] AS "tables", '
        "?::BIGINT AS failed_tests",
        [
            state.until,
            state.signature,
            sorted(state.excluded),
            list(state.tables),
            sum(not test.passed for test in tests),
        ],
    )


def _has_meta(con: duckdb.DuckDBPyConnection) -> bool:
    row = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' "
        "AND schema_name = 'meta' AND table_name IN ('transforms', 'tests')"
    ).fetchone()
    return row is not None and row[0] == 2
