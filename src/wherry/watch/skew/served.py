"""Served answers: a sample of what the log holds, with what it takes to compute them again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import msgspec

from wherry.domain import Role, Rule, TenantId
from wherry.domain.rule import Range, Word
from wherry.learn.answer import Query

_FILTER = dict[str, Word | list[Word] | Range]

_UNTIL = """
SELECT max(loaded_at) - to_microseconds($window) FROM lake.raw.loads
WHERE load_id <= (SELECT until FROM lake.meta.transforms) AND kind = 'events' AND source = 'inbox'
"""

_SINCE = """
SELECT max(answered_at) - to_days($days) FROM lake.raw.answers
WHERE tenant = $tenant AND coalesce(error, '') = '' AND answered_at <= $until
"""

_SAMPLE = """
SELECT batch_id || '.' || place, request_id, answered_at, coalesce(asked_at, answered_at), role,
       model, version, nullif(trim(visitor_id), ''), nullif(trim(session_id), ''), session,
       is_live, is_given, k, filter, own_rules, without_rules, exclude, purchased, items, scores,
       rules
FROM lake.raw.answers
WHERE tenant = $tenant AND coalesce(error, '') = ''
  AND answered_at >= $since AND answered_at <= $until
ORDER BY hash(batch_id, place, $seed), 1
LIMIT $count
"""


class Served(NamedTuple):
    """An answer as it was served, as :class:`wherry.domain.LoggedAnswer` says.

    ``is_given`` is None where it was logged before that was noted.
    """

    answer_id: str
    request_id: str
    answered_at: datetime
    asked_at: datetime
    role: Role
    model: str
    version: int
    visitor_id: str | None
    session_id: str | None
    session: tuple[str, ...]
    is_live: bool
    is_given: bool | None
    k: int
    filter: str
    own_rules: str
    without_rules: tuple[str, ...]
    exclude: tuple[str, ...]
    purchased: tuple[str, ...]
    items: tuple[str, ...]
    scores: tuple[float, ...]
    rules: frozenset[str]

    @property
    def release(self) -> str:
        """The release that answered, such as ``recommender@3``."""
        return f"{self.model}@{self.version}"

    @property
    def query(self) -> Query:
        """What was asked, about the session that was served."""
        return Query(
            session=self.session,
            k=self.k,
            filter=msgspec.json.decode(self.filter, type=_FILTER) if self.filter else {},
            exclude=self.exclude,
            purchased=self.purchased,
            rules=msgspec.json.decode(self.own_rules, type=list[Rule]) if self.own_rules else (),
            without=self.without_rules,
        )


def draw(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    *,
    count: int,
    days: int,
    seed: int,
    window: timedelta,
) -> list[Served]:
    """Draw answers of the newest ``days`` that have any, those that failed left out.

    Only answers given before the newest load of the inbox that the transform has taken in,
    less ``window``, are drawn: every event that had been acknowledged by then is in the marts.
    """
    if not _is_ready(con):
        return []
    size = window // timedelta(microseconds=1)
    facts = {"tenant": tenant, "until": _one(con, _UNTIL, {"window": size})}
    facts["since"] = _one(con, _SINCE, {**facts, "days": days})
    rows = con.execute(_SAMPLE, {**facts, "seed": seed, "count": count}).fetchall()
    return sorted(map(_served, rows), key=lambda each: (each.answered_at, each.answer_id))


def _one(con: duckdb.DuckDBPyConnection, sql: str, facts: dict[str, Any]) -> datetime | None:
    row = con.execute(sql, facts).fetchone()
    return row[0] if row else None


def _is_ready(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether there are answers with all that is needed, and a transform."""
    row = con.execute(
        "SELECT count(*) FROM duckdb_columns() WHERE database_name = 'lake' AND ("
        "(schema_name = 'raw' AND table_name = 'answers' AND column_name = 'own_rules') OR "
        "(schema_name = 'meta' AND table_name = 'transforms' AND column_name = 'until') OR "
        "(schema_name = 'marts' AND table_name = 'interactions' AND column_name = 'event_id'))"
    ).fetchone()
    return row is not None and row[0] == 3


def _served(row: tuple[Any, ...]) -> Served:
    head, session, rest = row[:9], row[9], row[10:]
    is_live, is_given, k, wanted, own, without, exclude, purchased, items, scores, rules = rest
    values = (
        *head[:4],
        Role(head[4]),
        *head[5:],
        tuple(session or ()),
        bool(is_live),
        is_given,
        k,
        wanted or "",
        own or "",
        tuple(without or ()),
        tuple(exclude or ()),
        tuple(purchased or ()),
        tuple(items or ()),
        tuple(scores or ()),
        frozenset(msgspec.json.decode(rules)) if rules else frozenset(),
    )
    return Served._make(values)
