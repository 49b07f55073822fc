"""The lake's table of precomputed recommendations, for every other system to read.

It is derived (invariant 1): from a release and a published snapshot. It can be dropped, and
``wherry precompute`` makes it again.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from wherry.domain import TenantId
from wherry.lake.lake import CATALOG, quote

TABLE = f"{CATALOG}.serving.recommendations"

_COLUMNS = """
    tenant VARCHAR, kind VARCHAR, key VARCHAR, position INTEGER, item_id VARCHAR, score FLOAT,
    fallback VARCHAR, model VARCHAR, made_at TIMESTAMP
"""


def replace_recommendations(
    con: duckdb.DuckDBPyConnection, tenant: TenantId, kind: str, file: Path
) -> None:
    """Let the rows of a Parquet file take the place of a tenant's lists of one kind.

    The caller holds the project lock. It is one transaction: readers see the old lists or the
    new ones.
    """
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.serving")
    con.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} ({_COLUMNS})")
    con.execute("BEGIN")
    try:
        con.execute(f"DELETE FROM {TABLE} WHERE tenant = ? AND kind = ?", [tenant, kind])
        con.execute(f"INSERT INTO {TABLE} SELECT * FROM read_parquet('{quote(str(file))}')")
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise


def remove_recommendations(
    con: duckdb.DuckDBPyConnection, tenant: TenantId, kind: str, keys: Collection[str]
) -> None:
    """Delete the lists of some keys, within the caller's transaction."""
    known = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'serving'",
        [CATALOG],
    ).fetchone()
    if known and known[0]:
        con.execute(
            f"DELETE FROM {TABLE} WHERE tenant = $tenant AND kind = $kind AND key IN $keys",
            {"tenant": tenant, "kind": kind, "keys": list(keys)},
        )
