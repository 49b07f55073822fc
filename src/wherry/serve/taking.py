"""Taking releases into service: read, warmed up, and only then swapped in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from wherry.domain import Release, Rule, TenantId
from wherry.serve.recommender import Recommender

logger = logging.getLogger("wherry.serve")

Loader = Callable[[Release, Path], Recommender]
"""Reads a release's folder into what answers."""

RuleSource = Callable[[], Sequence[Rule]]
"""Says which standing rules hold now, of all tenants."""

_Key = tuple[TenantId, str, int, Path]


class _Wanted(NamedTuple):
    """A release, and the rules that it is to answer under; None: those that it was loaded with."""

    key: _Key
    rules: tuple[Rule, ...] | None


class Outcome(Enum):
    """What came of following a release."""

    SAME = "same"
    SWAPPED = "swapped"
    RULED = "ruled"
    FAILED = "failed"


class InService:
    """One recommender a tenant, replaced while requests go on.

    A release that can't be loaded leaves the one before it in service, and is tried again once
    ``patience`` more looks have passed. ``rules`` is asked at each look: other rules replace the
    recommender too, and read nothing anew. Assigning to a dict is atomic, so a request sees the
    old recommender or the new one, whole.
    """

    def __init__(self, load: Loader, *, patience: int, rules: RuleSource | None = None) -> None:
        self._load = load
        self._patience = patience
        self._rules = rules
        self.answering: dict[TenantId, Recommender] = {}
        self._loaded: dict[TenantId, Recommender] = {}
        self._chosen: dict[TenantId, _Wanted] = {}
        self._failed: dict[TenantId, tuple[_Wanted, int, str]] = {}

    def tenants(self) -> set[TenantId]:
        """Whoever has a release in service, or one that could not be taken into it."""
        return {*self.answering, *self._failed}

    def error(self, tenant: TenantId) -> str | None:
        """Why a tenant's newest release is not in service; None where it is."""
        failed = self._failed.get(tenant)
        return failed[2] if failed else None

    def follow(self, tenant: TenantId, release: Release, folder: Path) -> Outcome:
        """Take a release into service under the rules that hold now, unless it is, or has just
        failed to be.

        Blocks for as long as loading takes: call it off the event loop.
        """
        key = (release.tenant, release.name, release.version, folder)
        wanted = _Wanted(key, None if self._rules is None else tuple(self._rules()))
        chosen, failed = self._chosen.get(tenant), self._failed.get(tenant)
        if chosen == wanted:
            self._failed.pop(tenant, None)
            return Outcome.SAME
        if failed and failed[0] == wanted and failed[1] > 0:
            self._failed[tenant] = (wanted, failed[1] - 1, failed[2])
            return Outcome.SAME
        is_loaded = chosen is not None and chosen.key == key
        label = f"{release.name}@{release.version}"
        try:
            loaded = self._loaded[tenant] if is_loaded else self._load(release, folder)
            recommender = loaded if wanted.rules is None else loaded.under(wanted.rules)
            recommender.warm_up()
        except Exception as error:  # a model may be a user's own and raise anything
            logger.exception("%s of %s can't be loaded.", label, tenant)
            self._failed[tenant] = (wanted, self._patience, f"{label}: {error}")
            return Outcome.FAILED
        self.answering[tenant], self._loaded[tenant] = recommender, loaded
        self._chosen[tenant] = wanted
        self._failed.pop(tenant, None)
        return Outcome.RULED if is_loaded else Outcome.SWAPPED

    def withdraw(self, tenant: TenantId) -> None:
        """Let nothing be in service for a tenant."""
        for kept in (self.answering, self._loaded, self._chosen, self._failed):
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
