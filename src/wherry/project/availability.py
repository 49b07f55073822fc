"""A project's live availability: made again from the log, and let go of once releases know it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import duckdb

from wherry.collect.availability import read_tellings, read_waiting_tellings
from wherry.collect.catalogue import apart_from
from wherry.config import Settings
from wherry.domain import Release, TenantId
from wherry.domain.availability import Telling
from wherry.lake import Lake, has_raw_tables
from wherry.live.availability import LiveAvailability, ToldItem, microseconds
from wherry.project.home import Home
from wherry.registry import Registry

logger = logging.getLogger("wherry.project")

KEPT = timedelta(days=30)
"""How long a telling stays after it was told, though the champion knows it by then: a roll-back
may make a release champion that does not."""

_EVERY = timedelta(hours=1)

_KNOWN = """
SELECT item_id, epoch_us(available_told_at) FROM lake.marts.items
WHERE tenant = $tenant AND item_id IN (SELECT unnest($items))
"""


class AvailabilityCare:
    """Looks after live availability beside a server; of all servers one does it at a time."""

    def __init__(
        self,
        live: LiveAvailability,
        home: Home,
        settings: Settings,
        lake: Lake,
        registry: Registry,
        clock: Callable[[], datetime],
    ) -> None:
        self._live = live
        self._home = home
        self._settings = settings
        self._lake = lake
        self._registry = registry
        self._clock = clock
        self._drop_at = datetime.min

    def tend(self) -> None:
        """Make everything again from the log where the store is new; drop what is long known.

        Raises:
            WherryError: the log or a release's snapshot can't be read.
        """
        if not self._live.is_complete:
            tellings = [*self._logged(), *read_waiting_tellings(self._home.inbox)]
            if self._live.tell(tellings):
                self._live.mark_complete()
        now = self._clock()
        if now >= self._drop_at:
            self._drop_at = now + _EVERY
            for tenant, (champion, _) in self._registry.champions().items():
                self._drop(tenant, champion, now)

    def _logged(self) -> Iterator[Telling]:
        if not self._lake.exists():
            return
        with self._lake.reader() as con:
            if has_raw_tables(con, "availability"):
                counted = apart_from(self._settings.transform.exclude_loads)
                yield from read_tellings(con, counted)

    def _drop(self, tenant: TenantId, champion: Release, now: datetime) -> None:
        before = microseconds(now - KEPT)
        old = [each for each in self._live.since(tenant, 0) if each.told_at < before]
        if old:
            with self._lake.reader(champion.snapshot) as con:
                known = _known(con, tenant, old)
            dropped = self._live.drop(tenant, known)
            logger.info("The champion of %s knows what was told of %d items.", tenant, dropped)


def _known(
    con: duckdb.DuckDBPyConnection, tenant: TenantId, told: list[ToldItem]
) -> list[ToldItem]:
    """Of what was told of items, what a snapshot knows."""
    facts = {"tenant": tenant, "items": [each.item for each in told]}
    rows = con.execute(_KNOWN, facts).fetchall()
    at = {item: told_at or 0 for item, told_at in rows}
    return [each for each in told if at.get(each.item, 0) >= each.told_at]
