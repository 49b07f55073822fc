"""Items as they were told: what had been said, at a time, of which can be bought."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from weakref import WeakKeyDictionary

import duckdb

from wherry.domain import TenantId
from wherry.lake import has_raw_tables
from wherry.learn.answer import Answerer

_TELLINGS = """
SELECT trim(item_id), available, epoch_us(received_at) FROM lake.raw.availability
WHERE tenant = $tenant AND received_at <= $until ORDER BY received_at, load_id
"""


class Telling(NamedTuple):
    """That an item can be bought or not, as it was told at a time, in microseconds UTC."""

    item: str
    available: bool
    told_at: int


class _News(NamedTuple):
    """What a release's own catalogue does not know, in the order of time: when it was told, of
    which item by its number, and what."""

    times: list[int]
    codes: list[int]
    tellings: list[Telling]


class Tellings:
    """What was told of a tenant's items over HTTP, in the order in which it came."""

    def __init__(self, tellings: Sequence[Telling]) -> None:
        self._all = tellings
        self._times = [each.told_at for each in tellings]
        self._news: WeakKeyDictionary[Answerer, _News] = WeakKeyDictionary()

    def by(self, at: int, answerer: Answerer) -> dict[int, Telling]:
        """What had been told by a time that a release's own catalogue did not know yet, the
        newest of each item, by its number."""
        news = self._news_for(answerer)
        end = bisect_right(news.times, at)
        return dict(zip(news.codes[:end], news.tellings[:end], strict=True))

    def _news_for(self, answerer: Answerer) -> _News:
        found = self._news.get(answerer)
        if found is None:
            found = self._news[answerer] = _News([], [], [])
            for each in self._all:
                code = answerer.vocabulary.code(each.item)
                if code is not None and each.told_at > answerer.catalogue.told_at[code]:
                    found.times.append(each.told_at)
                    found.codes.append(code)
                    found.tellings.append(each)
        return found

    def times(self, since: int, until: int) -> list[int]:
        """When something was told after one time, up to another, the latest first."""
        return sorted({at for at in self._times if since < at <= until}, reverse=True)


def read_tellings(con: duckdb.DuckDBPyConnection, tenant: TenantId, until: datetime) -> Tellings:
    """Read what was told of a tenant's items up to a time."""
    if not has_raw_tables(con, "availability"):
        return Tellings([])
    rows = con.execute(_TELLINGS, {"tenant": tenant, "until": until}).fetchall()
    return Tellings([Telling(*row) for row in rows])
