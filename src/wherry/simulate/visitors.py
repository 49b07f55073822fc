"""What a crowd did, counted by the model that answered it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from wherry.simulate.latencies import Latencies, Latency
from wherry.simulate.shopper import Act
from wherry.simulate.tally import Words


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the lists of one model: ``clicks`` on them, and what the visitors did on the
    pages that showed them."""

    lists: int
    clicks: int
    adds: int
    purchases: int

    @property
    def click_through(self) -> float:
        """Clicks for each list."""
        return self.clicks / self.lists if self.lists else 0.0


class Visited(msgspec.Struct, frozen=True, kw_only=True):
    """What a crowd did: its ``visits`` that ended, ``events`` that were acknowledged, and what
    came of the lists, by model. ``put_off`` counts the answers 429 and 503, ``errors`` what else
    went wrong, by what it was. ``latency`` is that of recommendations, waits included."""

    url: str
    visits: int
    events: int
    models: dict[str, Shown]
    put_off: int
    errors: dict[str, int]
    seconds: float
    latency: Latency


class Visitors:
    """The counts while a crowd is at it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.visits = self.events = self.put_off = 0
        self.errors, self.latencies = Words(), Latencies()
        self._lists: Counter[str] = Counter()
        self._acts: dict[str, Counter[str]] = {}

    def page(self, model: str, acts: Sequence[Act]) -> None:
        """Count a list of a model, and what was done on its page."""
        self._lists[model] += 1
        self._acts.setdefault(model, Counter()).update(act.kind for act in acts)

    def summary(self, seconds: float) -> Visited:
        """What was counted so far."""
        return Visited(
            url=self._url,
            visits=self.visits,
            events=self.events,
            models={model: self._shown(model) for model in sorted(self._lists)},
            put_off=self.put_off,
            errors=dict(self.errors.counts),
            seconds=seconds,
            latency=self.latencies.summary(),
        )

    def _shown(self, model: str) -> Shown:
        acts = self._acts[model]
        return Shown(
            lists=self._lists[model],
            clicks=acts["click"],
            adds=acts["add"],
            purchases=acts["purchase"],
        )
