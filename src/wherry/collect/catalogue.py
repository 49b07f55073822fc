"""What the log knows of the items: a telling is only added when it says something new."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

TOLD = ("name", "category", "price", "available", "attributes")
"""What a telling says of an item; two that agree in all of it are the same."""

_SAME_ALL = " AND ".join(f"n.{part} IS NOT DISTINCT FROM k.{part}" for part in TOLD)
_SAME = (
    f"({_SAME_ALL} AND (k.told_since IS NULL OR n.available IS NULL OR n.available = k.told_since))"
)
"""That a telling says what is known, also of what was told over HTTP since."""


def apart_from(excluded: Collection[int]) -> str:
    """The condition on a raw table that leaves out the rows of some loads."""
    return f"load_id NOT IN ({', '.join(map(str, excluded))})" if excluded else "true"


def _newest_known(counted: str) -> str:
    """SQL of each item's newest telling in the log, and of its availability ``told_since``."""
    told = ", ".join(f"{part} := {part}" for part in TOLD)
    return (
        "SELECT w.*, arg_max(a.available, a.received_at) AS told_since "
        "FROM (SELECT tenant, item_id, last.* FROM (SELECT tenant, item_id, "
        f"arg_max(struct_pack({told}, told_at := received_at), "
        "struct_pack(a := received_at, b := load_id)) AS last "
        f"FROM lake.raw.items WHERE {counted} GROUP BY ALL)) AS w "
        f"LEFT JOIN (FROM lake.raw.availability WHERE {counted}) AS a "
        "ON a.tenant = w.tenant AND a.item_id = w.item_id AND a.received_at > w.told_at "
        "GROUP BY ALL"
    )


def mark_known_items(con: duckdb.DuckDBPyConnection, counted: str) -> None:
    """Put the rows of a catalogue in ``temp.incoming`` that say nothing new into ``temp.surplus``.

    ``counted`` is the condition on the rows of the log that count. Of several rows of one item
    in a file the newest counts, or else the last. A row that says what is known is known.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE surplus AS SELECT n.rowid AS id FROM ("
        "SELECT rowid, *, row_number() OVER (PARTITION BY tenant, item_id "
        "ORDER BY received_at DESC, __order DESC) AS place "
        "FROM temp.incoming WHERE reason IS NULL) AS n "
        f"LEFT JOIN ({_newest_known(counted)}) AS k "
        "ON n.tenant = k.tenant AND n.item_id = k.item_id "
        f"WHERE n.place > 1 OR (k.item_id IS NOT NULL AND {_SAME})"
    )


def append_items(con: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Append the rows of a catalogue that say something new."""
    con.execute(
        f"INSERT INTO lake.raw.items SELECT tenant, item_id, {', '.join(TOLD)}, "
        f"received_at, {load_id} FROM temp.incoming "
        "WHERE reason IS NULL AND rowid NOT IN (SELECT id FROM temp.surplus)"
    )


def append_told_items(
    con: duckdb.DuckDBPyConnection, told: list[str], load_id: int, counted: str
) -> int:
    """Append what the events in ``temp.incoming`` newly tell of their items; return how many.

    ``told`` are the fields of an item that the rows tell, ``counted`` is the condition on the
    rows of the log that count. Each item's newest telling counts,
    and only if it is newer than what is known; it is dated by its event (``received_at``), so
    that the order of the files does not matter.
    """
    said = {"price": "items[1].price"} | {name: name for name in told}
    empty = {"available": "NULL::BOOLEAN"}
    parts = ", ".join(
        f"{said.get(part, empty.get(part, 'NULL::VARCHAR'))} AS {part}" for part in TOLD
    )
    something = ", ".join(f"CAST({name} AS VARCHAR)" for name in told)
    # One number orders tellings by time, and those of one moment always the same way.
    place = "epoch_us(occurred_at)::HUGEINT * 18446744073709551616 + hash(event_id)"
    newest = (
        f"SELECT arg_max(rowid, {place}) FROM temp.incoming "
        f"WHERE reason IS NULL AND len(items) = 1 AND coalesce({something}) IS NOT NULL "
        "GROUP BY tenant, items[1].id"
    )
    row = con.execute(
        "INSERT INTO lake.raw.items SELECT n.tenant, n.item_id, "
        f"{', '.join(f'n.{part}' for part in TOLD)}, n.told_at, {load_id} FROM ("
        f"SELECT tenant, items[1].id AS item_id, {parts}, occurred_at AS told_at "
        f"FROM temp.incoming WHERE rowid IN ({newest})) AS n "
        f"LEFT JOIN ({_newest_known(counted)}) AS k "
        "ON n.tenant = k.tenant AND n.item_id = k.item_id "
        f"WHERE k.item_id IS NULL OR (n.told_at > k.told_at AND NOT ({_SAME}))"
    ).fetchone()
    return int(row[0]) if row else 0
