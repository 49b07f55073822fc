"""What can be bought now: the catalogue that a release knows, and what was told since."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

from wherry.domain import TenantId
from wherry.live.availability import LiveAvailability, ToldItem
from wherry.serve.recommender import Recommender


class _Seen(NamedTuple):
    """A recommender as it answers after a change, and what it took for that: code → available."""

    version: int
    told: dict[int, bool]
    recommender: Recommender


class AvailableNow:
    """Makes recommenders answer by what was told of items since their release was made.

    A telling counts where it is newer than what the release's catalogue was told itself. Asking
    costs one read of a number, unless something was told since it was asked last. It is used on
    the event loop.
    """

    def __init__(self, live: LiveAvailability) -> None:
        self._live = live
        self._seen: WeakKeyDictionary[Recommender, _Seen] = WeakKeyDictionary()

    def see(self, recommender: Recommender) -> Recommender:
        """The recommender that answers for the given one now."""
        version = self._live.version(recommender.tenant)
        seen = self._seen.get(recommender)
        if seen is None or seen.version != version:
            seen = self._seen[recommender] = self._look(recommender, version, seen)
        return seen.recommender

    def newest(self, tenant: TenantId, items: list[str]) -> list[ToldItem | None]:
        """What was told of some items last, as far as it is still kept."""
        return [each and each[0] for each in self._live.of(tenant, items)]

    def _look(self, recommender: Recommender, version: int, seen: _Seen | None) -> _Seen:
        since = 0 if seen is None or seen.version > version else seen.version
        told = dict(seen.told) if seen is not None and since else {}
        answerer = recommender.answerer
        for each in self._live.since(recommender.tenant, since):
            code = answerer.vocabulary.code(each.item)
            if code is not None and each.told_at > answerer.catalogue.told_at[code]:
                told[code] = each.available
        if not told:
            return _Seen(version, told, recommender)
        return _Seen(version, told, recommender.with_answerer(answerer.with_availability(told)))
