"""The challengers: the releases that are tried beside the champions, followed like those."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from wherry.domain import Rollout, TenantId
from wherry.registry import Challengers as Tried
from wherry.registry import label
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import Recommender
from wherry.serve.taking import InService, Loader, Outcome, RuleSource

logger = logging.getLogger("wherry.serve")

RolloutSource = Callable[[], Tried]
"""Says what is tried of each tenant."""


class Contest(NamedTuple):
    """A rollout under way, and the recommender that is tried; None and why if it can't be read."""

    rollout: Rollout
    recommender: Recommender | None
    error: str = ""


class Challengers:
    """Holds the recommenders that are tried; :meth:`refresh` follows the rollouts.

    A rollout begins here once its challenger is loaded and warm, and ends with the next
    refresh after it was ended.
    """

    def __init__(
        self,
        source: RolloutSource,
        load: Loader,
        metrics: Metrics,
        *,
        patience: int = 30,
        rules: RuleSource | None = None,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._service = InService(load, patience=patience, rules=rules)
        self._contests: dict[TenantId, Contest] = {}

    def get(self, tenant: TenantId) -> Contest | None:
        """What is tried beside a tenant's champion now, or None."""
        return self._contests.get(tenant)

    def refresh(self) -> None:
        """Look what is tried, and take it up; what has ended goes first.

        Blocks for as long as loading takes: call it off the event loop.
        """
        try:
            wanted = self._source()
        except Exception:  # whatever is wrong with the files must not stop what answers
            logger.exception("Can't look for rollouts; those there are go on.")
            self._metrics.poll_failed()
            return
        for tenant in {*self._contests, *self._service.tenants()} - wanted.keys():
            self._withdraw(tenant)
        for tenant, challenger in wanted.items():
            known = self._contests.get(tenant)
            if known is not None and known.rollout.rollout_id != challenger.rollout.rollout_id:
                self._withdraw(tenant)
            outcome = self._service.follow(tenant, challenger.release, challenger.folder)
            if outcome is Outcome.FAILED:
                self._metrics.failed(tenant)
            elif outcome is Outcome.SWAPPED:
                logger.info("%s is tried for %s.", label(challenger.release), tenant)
                self._metrics.tries(tenant, challenger.release.name, challenger.release.version)
            self._contests[tenant] = Contest(
                challenger.rollout,
                self._service.answering.get(tenant),
                self._service.error(tenant) or "",
            )

    def _withdraw(self, tenant: TenantId) -> None:
        self._contests.pop(tenant, None)
        self._service.withdraw(tenant)
        self._metrics.tries_nothing(tenant)
        logger.info("Nothing is tried for %s any more.", tenant)

    async def watch(self, refresh_seconds: float) -> None:
        """Refresh for ever, in a thread, every so many seconds."""
        while True:
            await asyncio.sleep(refresh_seconds)
            await asyncio.to_thread(self.refresh)
