"""The champions: every tenant's release that answers, swapped in while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from wherry.domain import DEFAULT_TENANT, Release, TenantId
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import Recommender
from wherry.serve.taking import InService, Loader, Outcome, RuleSource

logger = logging.getLogger("wherry.serve")

Source = Callable[[], Mapping[TenantId, tuple[Release, Path] | None]]
"""Says which release, in which folder, is each tenant's champion; None before its first."""


class TenantStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What answers for a tenant under which standing rules, by their names, and why a newer
    release does not, if there is one."""

    model: str | None
    rules: list[str] = []
    error: str | None = None


class Champions:
    """Holds the recommenders that answer; :meth:`refresh` replaces those that changed.

    A release that can't be loaded leaves the one before it answering, and is tried again once
    ``patience`` more refreshes have passed. A roll-back is a change like any other, and so are
    other standing ``rules``.
    """

    def __init__(
        self,
        source: Source,
        load: Loader,
        metrics: Metrics,
        *,
        patience: int = 30,
        rules: RuleSource | None = None,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._service = InService(load, patience=patience, rules=rules)
        self._known: frozenset[TenantId] = frozenset({DEFAULT_TENANT})

    def get(self, tenant: TenantId) -> Recommender | None:
        """The recommender that answers for a tenant now, or None."""
        return self._service.answering.get(tenant)

    def is_known(self, tenant: TenantId) -> bool:
        """Whether there is such a tenant, with a release or still without."""
        return tenant in self._known

    @property
    def is_ready(self) -> bool:
        """Whether anything answers."""
        return bool(self._service.answering)

    def statuses(self) -> dict[TenantId, TenantStatus]:
        """What answers for each tenant, and what went wrong with a newer release."""
        return {tenant: self._status(tenant) for tenant in sorted(self._known)}

    def _status(self, tenant: TenantId) -> TenantStatus:
        recommender = self.get(tenant)
        return TenantStatus(
            model=recommender.label if recommender else None,
            rules=sorted(recommender.answerer.rules.names) if recommender else [],
            error=self._service.error(tenant),
        )

    def refresh(self) -> None:
        """Look for new champions, load them, warm them up and swap them in.

        Blocks for as long as loading takes: call it off the event loop.
        """
        try:
            wanted = self._source()
        except Exception:  # whatever a registry raises must not stop what answers
            logger.exception("Can't look for new champions; those there are go on answering.")
            self._metrics.poll_failed()
            return
        self._known = frozenset({DEFAULT_TENANT, *wanted})
        for tenant, found in wanted.items():
            if found is not None:
                self._follow(tenant, *found)
        for tenant in self._service.tenants():
            if wanted.get(tenant) is None:
                self._withdraw(tenant)

    def _follow(self, tenant: TenantId, release: Release, folder: Path) -> None:
        outcome = self._service.follow(tenant, release, folder)
        if outcome is Outcome.FAILED:
            self._metrics.failed(tenant)
        elif outcome is Outcome.SWAPPED:
            self._metrics.swapped(tenant, release.name, release.version)
            logger.info("%s@%s answers for %s.", release.name, release.version, tenant)

    def _withdraw(self, tenant: TenantId) -> None:
        self._service.withdraw(tenant)
        self._metrics.withdrew(tenant)
        logger.info("Nothing answers for %s any more.", tenant)

    async def watch(self, refresh_seconds: float) -> None:
        """Refresh for ever, in a thread, every so many seconds."""
        while True:
            await asyncio.sleep(refresh_seconds)
            await asyncio.to_thread(self.refresh)
