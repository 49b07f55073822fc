"""Taking releases into service: read, warmed up, and only then swapped in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from weakref import WeakValueDictionary

from wherry.domain import Release, TenantId
from wherry.serve.recommender import Recommender

logger = logging.getLogger("wherry.serve")

Loader = Callable[[Release, Path], Recommender]
"""Reads a release's folder into what answers."""

_Key = tuple[TenantId, str, int, Path]


class Outcome(Enum):
    """What came of following a release."""

    SAME = "same"
    SWAPPED = "swapped"
    FAILED = "failed"


class InService:
    """One recommender a tenant, replaced while requests go on.

    A release that can't be loaded leaves the one before it in service, and is tried again once
    ``patience`` more looks have passed. Assigning to a dict is atomic, so a request sees the old
    recommender or the new one, whole.
    """

    def __init__(self, load: Loader, *, patience: int) -> None:
        self._load = load
        self._patience = patience
        self.answering: dict[TenantId, Recommender] = {}
        self._chosen: dict[TenantId, _Key] = {}
        self._failed: dict[TenantId, tuple[_Key, int, str]] = {}

    def tenants(self) -> set[TenantId]:
        """Whoever has a release in service, or one that could not be taken into it."""
        return {*self.answering, *self._failed}

    def error(self, tenant: TenantId) -> str | None:
        """Why a tenant's newest release is not in service; None where it is."""
        failed = self._failed.get(tenant)
        return failed[2] if failed else None

    def follow(self, tenant: TenantId, release: Release, folder: Path) -> Outcome:
        """Take a release into service, unless it is, or has just failed to be.

        Blocks for as long as loading takes: call it off the event loop.
        """
        key = (release.tenant, release.name, release.version, folder)
        if self._chosen.get(tenant) == key:
            self._failed.pop(tenant, None)
            return Outcome.SAME
        failed = self._failed.get(tenant)
        if failed and failed[0] == key and failed[1] > 0:
            self._failed[tenant] = (key, failed[1] - 1, failed[2])
            return Outcome.SAME
        label = f"{release.name}@{release.version}"
        try:
            recommender = self._load(release, folder)
            recommender.warm_up()
        except Exception as error:  # a model may be a user's own and raise anything
            logger.exception("%s of %s can't be loaded.", label, tenant)
            self._failed[tenant] = (key, self._patience, f"{label}: {error}")
            return Outcome.FAILED
        self.answering[tenant] = recommender
        self._chosen[tenant] = key
        self._failed.pop(tenant, None)
        return Outcome.SWAPPED

    def withdraw(self, tenant: TenantId) -> None:
        """Let nothing be in service for a tenant."""
        for kept in (self.answering, self._chosen, self._failed):
            kept.pop(tenant, None)


class LoadedOnce:
    """A loader that gives what it has loaded already, as long as anybody holds it.

    So a challenger that becomes the champion need not be read and held a second time.
    """

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._held: WeakValueDictionary[_Key, Recommender] = WeakValueDictionary()
        self._lock = threading.Lock()

    def __call__(self, release: Release, folder: Path) -> Recommender:
        """Read a release, or give the one that is held."""
        key = (release.tenant, release.name, release.version, folder)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = self._load(release, folder)
            return held
