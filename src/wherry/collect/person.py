"""A person in the log: which rows are of a visitor or name one, and their removal.

What is removed, for the visitors of one tenant:

=============== ====================================================================
``events``      their own; those of a session that bears their name; and those that
                name them as the same person under another id (``user_id``,
                ``anonymous_id``, ``previousId`` and their like in the properties)
``answers``     those that they asked for, by themselves, in a session of theirs, or in
                a request that one of their events names (``request_id``)
``rejected``    every row whose original text or reason mentions them
``deliveries``  every request that brought such an event or row, or mentions them.
                The whole body goes: what others did stays in ``events``, and can't
                be parsed anew.
=============== ====================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import msgspec

from wherry.collect.values import literal
from wherry.domain import TenantId
from wherry.errors import UsageError

_SAME_PERSON = (
    r"(?i:(?:user|visitor|customer|client|anonymous|previous|device|profile|network_?user"
    r"|domain_?user|external|distinct|pseudo)_?id|alias|uid|duid|nuid|tnuid)"
)
_BATCH_ROWS = 20_000
_LONGEST_ID = 1_000


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of the log were of some visitors, or mentioned them."""

    events: int = 0
    rejected: int = 0
    deliveries: int = 0
    answers: int = 0

    def __bool__(self) -> bool:
        return bool(self.events or self.rejected or self.deliveries or self.answers)


class Person:
    """Some visitors of one tenant, as they are looked for.

    Raises:
        UsageError: If an id is empty, or longer than any that the log takes.
    """

    def __init__(self, tenant: TenantId, visitors: Sequence[str]) -> None:
        self.tenant = tenant
        self.visitors = tuple(dict.fromkeys(visitor.strip() for visitor in visitors))
        for visitor in self.visitors:
            if not visitor or len(visitor) > _LONGEST_ID:
                raise UsageError(f"{visitor[:100]!r} can't be a visitor's id.")
        written = {form for visitor in self.visitors for form in _forms(visitor)}
        self._plain = tuple(form.encode() for form in sorted(written))
        either = "|".join(re.escape(form) for form in sorted(written, key=len, reverse=True))
        self._mention = re.compile(rf"(?<![\w-])(?:{either})(?![\w-])".encode())

    def is_in(self, text: bytes) -> bool:
        """Whether a text mentions one of them, as a word of its own."""
        if not any(form in text for form in self._plain):
            return False
        return self._mention.search(text) is not None

    def without(self, text: bytes) -> bytes:
        """A text with each mention of them blotted out."""
        return self._mention.sub(b"(forgotten)", text)

    def events(self) -> str:
        """SQL that is true of their rows in ``raw.events``."""
        ids = ", ".join(literal(visitor) for visitor in self.visitors)
        begins = " OR ".join(
            f"starts_with(session_id, {literal(visitor + '.')})" for visitor in self.visitors
        )
        either = "|".join(
            _escape(form) for visitor in self.visitors for form in sorted(_json_forms(visitor))
        )
        named = literal(rf'"{_SAME_PERSON}"\s*:\s*"?(?:{either})"?\s*[,}}\]]')
        holds = " OR ".join(
            f"contains(properties, {literal(form)})"
            for visitor in self.visitors
            for form in sorted(_json_forms(visitor))
        )
        return (
            f"tenant = {literal(self.tenant)} AND (trim(visitor_id) IN ({ids}) "
            f"OR trim(session_id) IN ({ids}) OR {begins} "
            f"OR (({holds}) AND regexp_matches(properties, {named})))"
        )

    def answers(self) -> str:
        """SQL that is true of their rows in ``raw.answers``, while their events are there."""
        ids = ", ".join(literal(visitor) for visitor in self.visitors)
        begins = " OR ".join(
            f"starts_with(session_id, {literal(visitor + sign)})"
            for visitor in self.visitors
            for sign in ".~"
        )
        theirs = f"FROM lake.raw.events WHERE {self.events()}"
        return (
            f"tenant = {literal(self.tenant)} AND (trim(visitor_id) IN ({ids}) "
            f"OR trim(session_id) IN ({ids}) OR {begins} "
            f"OR trim(session_id) IN (SELECT trim(session_id) {theirs}) "
            "OR request_id IN (SELECT trim(json_extract_string(properties, '$.request_id')) "
            f"{theirs} AND contains(properties, 'request_id')))"
        )


def find_visitors(con: duckdb.DuckDBPyConnection, person: Person) -> list[str]:
    """The visitors of their events, by the ids that tables have."""
    rows = con.execute(
        f"SELECT DISTINCT trim(visitor_id) FROM lake.raw.events WHERE {person.events()} "
        "AND visitor_id IS NOT NULL ORDER BY 1"
    ).fetchall()
    return [visitor for (visitor,) in rows]


def find_events(con: duckdb.DuckDBPyConnection, person: Person) -> list[tuple[str, int]]:
    """The ids of their events, each with its load."""
    return con.execute(
        f"SELECT event_id, load_id FROM lake.raw.events WHERE {person.events()}"
    ).fetchall()


def given_sessions(con: duckdb.DuckDBPyConnection, person: Person) -> list[str]:
    """The ids of the sessions that they were in, of those with an id of the shop's own."""
    rows = con.execute(
        f"SELECT DISTINCT session_id FROM lake.raw.events WHERE {person.events()} "
        "AND session_id IS NOT NULL"
    ).fetchall()
    return [session for (session,) in rows]


def other_names(con: duckdb.DuckDBPyConnection, person: Person) -> list[str]:
    """Ids that their events give for the same person and that nobody asked to forget."""
    named = "anonymous_id|user_id|anonymousId|userId|previousId"
    rows = con.execute(
        "SELECT DISTINCT unnest(regexp_extract_all(properties, "
        f'\'"(?:{named})"\\s*:\\s*"([^"\\\\]+)"\', 1)) FROM lake.raw.events '
        f"WHERE {person.events()} AND properties IS NOT NULL "
        f"UNION SELECT DISTINCT trim(visitor_id) FROM lake.raw.events WHERE {person.events()}"
    ).fetchall()
    return sorted({name for (name,) in rows} - set(person.visitors))


def remove(con: duckdb.DuckDBPyConnection, person: Person) -> Traces:
    """Delete their rows from the log, and from every table that names visitors, in the
    caller's transaction.

    A deleted row is out of sight and still in the files and in older snapshots.
    """
    rejected, requests = _mentioned_rows(con, person)
    answers = _count(con, f"lake.raw.answers WHERE {person.answers()}")
    con.execute(f"DELETE FROM lake.raw.answers WHERE {person.answers()}")
    own = f"SELECT delivery_id FROM lake.raw.events WHERE {person.events()}"
    requests |= {id for (id,) in con.execute(own).fetchall() if id is not None}
    traces = Traces(
        events=_count(con, f"lake.raw.events WHERE {person.events()}"),
        rejected=len(rejected),
        deliveries=len(requests),
        answers=answers,
    )
    con.execute(f"DELETE FROM lake.raw.events WHERE {person.events()}")
    _delete_rows(con, "rejected", "rowid", rejected)
    _delete_rows(con, "deliveries", "delivery_id", requests)
    for schema, table in _derived_tables(con):
        ids = ", ".join(literal(visitor) for visitor in person.visitors)
        con.execute(
            f'DELETE FROM lake."{schema}"."{table}" '
            f"WHERE tenant = {literal(person.tenant)} AND visitor_id IN ({ids})"
        )
    return traces


def _mentioned_rows(con: duckdb.DuckDBPyConnection, person: Person) -> tuple[set[int], set[int]]:
    """The rejected rows that mention them, and the requests that do or brought such a row."""
    rejected: set[int] = set()
    requests: set[int] = set()
    mine = f"tenant = {literal(person.tenant)} OR tenant IS NULL"
    for row, delivery, *texts in _rows(
        con, f"SELECT rowid, delivery_id, original, reason FROM lake.raw.rejected WHERE {mine}"
    ):
        if any(person.is_in((text or "").encode("utf-8", "replace")) for text in texts):
            rejected.add(row)
            requests |= set() if delivery is None else {delivery}
    for delivery, body, context in _rows(
        con, f"SELECT delivery_id, body, context FROM lake.raw.deliveries WHERE {mine}"
    ):
        if person.is_in(body or b"") or person.is_in((context or "").encode()):
            requests.add(delivery)
    return rejected, requests


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, a few at a time, on a cursor of its own."""
    cursor = con.execute(query)
    while batch := cursor.fetchmany(_BATCH_ROWS):
        yield from batch


def _delete_rows(
    con: duckdb.DuckDBPyConnection, table: str, key: str, values: Iterable[int]
) -> None:
    listed = ", ".join(str(value) for value in sorted(values))
    if listed:
        con.execute(f"DELETE FROM lake.raw.{table} WHERE {key} IN ({listed})")


def _derived_tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return con.execute(
        "SELECT c.schema_name, c.table_name FROM duckdb_columns() AS c "
        "JOIN duckdb_tables() AS t USING (database_name, schema_name, table_name) "
        "WHERE database_name = 'lake' AND schema_name <> 'raw' "
        "GROUP BY ALL HAVING count(*) FILTER (column_name IN ('tenant', 'visitor_id')) = 2"
    ).fetchall()


def _count(con: duckdb.DuckDBPyConnection, rows: str) -> int:
    found = con.execute(f"SELECT count(*) FROM {rows}").fetchone()
    return int(found[0]) if found else 0


def _forms(visitor: str) -> set[str]:
    """How an id may be written in a body: as it is, in JSON, in a link."""
    return {*_json_forms(visitor), quote(visitor, safe=""), quote_plus(visitor)}


def _json_forms(visitor: str) -> set[str]:
    plain, ascii_only = json.dumps(visitor, ensure_ascii=False), json.dumps(visitor)
    return {visitor, plain[1:-1], ascii_only[1:-1]}


def _escape(text: str) -> str:
    """A text as a pattern of RE2, DuckDB's: every sign but letters and digits stands for itself."""
    return "".join(char if char.isalnum() else rf"\x{{{ord(char):x}}}" for char in text)
