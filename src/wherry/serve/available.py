"""What can be bought now: the catalogue that a release knows, and what was told since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

from wherry.domain import TenantId
from wherry.live.availability import LiveAvailability, ToldItem
from wherry.serve.recommender import Recommender


class _Seen(NamedTuple):
    """How a recommender answers after the change of this number; None: as it always did.

    It never is the recommender itself, which would then be kept for ever.
    """

    version: int
    recommender: Recommender | None


class AvailableNow:
    """Makes recommenders answer by what was told of items since their release was made.

    A telling counts where it is newer than what the release's catalogue was told itself. Asking
    costs one read of a number, unless something was told since it was asked last. It is used on
    the event loop.
    """

    def __init__(self, live: LiveAvailability) -> None:
        self._live = live
        self._seen: WeakKeyDictionary[Recommender, _Seen] = WeakKeyDictionary()
        self._held: dict[Recommender, Recommender] | None = None

    def see(self, recommender: Recommender) -> Recommender:
        """The recommender that answers for the given one now."""
        held = self._held
        if held is None:
            return self._see(recommender)
        if recommender not in held:
            held[recommender] = self._see(recommender)
        return held[recommender]

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All within is asked about one moment, for which each recommender is looked at once."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def _see(self, recommender: Recommender) -> Recommender:
        version = self._live.version(recommender.tenant)
        seen = self._seen.get(recommender)
        if seen is None or seen.version != version:
            seen = self._seen[recommender] = self._look(recommender, version, seen)
        return seen.recommender or recommender

    def newest(self, tenant: TenantId, items: list[str]) -> list[ToldItem | None]:
        """What was told of some items last, as far as it is still kept."""
        return [each and each[0] for each in self._live.of(tenant, items)]

    def _look(self, recommender: Recommender, version: int, seen: _Seen | None) -> _Seen:
        """What was told since it was looked at last, on top of what was known then; all of it
        where the store was begun anew meanwhile."""
        known = _Seen(0, None) if seen is None or seen.version > version else seen
        answerer = recommender.answerer
        told: dict[int, bool] = {}
        for each in self._live.since(recommender.tenant, known.version):
            code = answerer.vocabulary.code(each.item)
            if code is not None and each.told_at > answerer.catalogue.told_at[code]:
                told[code] = each.available
        if not told:
            return _Seen(version, known.recommender)
        now = (known.recommender or recommender).answerer.with_availability(told)
        return _Seen(version, recommender.with_answerer(now))
