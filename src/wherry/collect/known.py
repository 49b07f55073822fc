"""Which events the log has already: an event counts once, whenever and however it comes."""

from __future__ import annotations

import duckdb


def mark_known_events(con: duckdb.DuckDBPyConnection, counted: str, *, gives_ids: bool) -> None:
    """Put the events in ``temp.incoming`` that the log does not need into ``temp.surplus``.

    These are the events that the log has already, and of several with one id all but the
    first received. ``counted`` is the condition on the rows of the log that count.
    ``gives_ids`` says that the shop gave (some of) the ids; the others are hashes of the
    envelope.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE surplus AS WITH "
        "twice AS (SELECT hash(tenant, event_id) AS mark FROM temp.incoming "
        "WHERE reason IS NULL GROUP BY 1 HAVING count(*) > 1), "
        "places AS (SELECT rowid AS id, row_number() OVER (PARTITION BY tenant, event_id "
        "ORDER BY received_at, occurred_at, rowid) AS place FROM temp.incoming "
        "WHERE reason IS NULL AND hash(tenant, event_id) IN (SELECT mark FROM twice)) "
        "SELECT id FROM places WHERE place > 1"
    )
    # The hash of an event covers its time, so only the log of these times can hold it.
    # An id that the shop gave may come back with another time.
    times = (
        ""
        if gives_ids
        else "AND occurred_at BETWEEN (SELECT min(occurred_at) FROM temp.incoming "
        "WHERE reason IS NULL) AND (SELECT max(occurred_at) FROM temp.incoming "
        "WHERE reason IS NULL)"
    )
    con.execute(
        "INSERT INTO temp.surplus SELECT i.rowid FROM temp.incoming AS i "
        "SEMI JOIN (SELECT tenant, event_id FROM lake.raw.events "
        f"WHERE {counted} {times}) AS e "
        "ON i.tenant = e.tenant AND i.event_id = e.event_id "
        "WHERE i.rowid NOT IN (SELECT id FROM temp.surplus)"
    )
