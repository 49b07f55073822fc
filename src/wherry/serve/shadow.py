"""The shadow's answers: computed after the champion's were sent, when the loop has nothing else.

One at a time on the event loop, and between two of them whatever has come in goes first. In a
thread they would take the interpreter's lock from requests for up to five milliseconds at a
time; here a request waits for one answer at the most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from wherry.domain import TenantId
from wherry.serve.metrics import Metrics

logger = logging.getLogger("wherry.serve")


class _Work(NamedTuple):
    tenant: TenantId
    do: Callable[[], None]


class ShadowQueue:
    """What is left to answer in the shadow, ``most_waiting`` at the most; the rest is dropped
    and counted."""

    def __init__(self, metrics: Metrics, *, most_waiting: int = 1_000) -> None:
        self._metrics = metrics
        self._most_waiting = most_waiting
        self._queue: deque[_Work] = deque()
        self._wake = asyncio.Event()

    def put(self, tenant: TenantId, do: Callable[[], None]) -> None:
        """Have something done later; never waits."""
        if len(self._queue) >= self._most_waiting:
            self._metrics.shadow_dropped(tenant)
            return
        self._queue.append(_Work(tenant, do))
        self._wake.set()

    async def run(self) -> None:
        """Do what comes, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await asyncio.sleep(0)  # what has come in meanwhile goes first
                self.do_next()

    def do_next(self) -> None:
        """Do what has waited longest."""
        work = self._queue.popleft()
        try:
            work.do()
        except Exception:  # a model may be a user's own; its error has been logged as an answer
            logger.exception("A shadow's answer for %s can't be noted.", work.tenant)
            self._metrics.shadow_dropped(work.tenant)
