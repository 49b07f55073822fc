"""Precomputing: the champion's list for every known visitor or item, put where the server and any
other system read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

import msgspec

from wherry.config import Settings
from wherry.lake import Lake
from wherry.lake.serving import replace_recommendations
from wherry.project.home import Home
from wherry.project.list_files import write_lists
from wherry.project.lists import Keyed, Made, items, make, still_known, visitors
from wherry.serve import Recommender
from wherry.serve.precomputed import Kind


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a precomputation came to: ``keys`` with a list, ``lists`` that were computed, since
    equal sessions share one, in so many ``seconds``; ``file`` is the Parquet file."""

    kind: Kind
    model: str
    keys: int
    lists: int
    seconds: float
    file: str

    @property
    def rate(self) -> float:
        """Lists a second."""
        return self.lists / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Precomputation:
    """One tenant's lists of ``k`` items, by the ``recommender`` that answers for it, of the
    visitors of a ``snapshot``.

    The lists are computed beside everything else. Only to put them in place the project lock is
    held, which ``writing`` takes.
    """

    home: Home
    settings: Settings
    lake: Lake
    recommender: Recommender
    snapshot: int
    k: int
    now: datetime
    writing: Callable[[], AbstractContextManager[None]]
    report: Callable[[str], None]

    def make(self, kind: Kind) -> Done:
        """Make the lists of one kind."""
        self.report(f"{kind}: reading")
        keyed = self._keyed(kind)
        began = perf_counter()
        made = make(
            self.recommender.answerer,
            keyed.sessions,
            self.k,
            workers=os.cpu_count() or 1,
            now=int(self.now.replace(tzinfo=UTC).timestamp() * 1000),
            report=partial(self._tell, kind),
        )
        return self._land(kind, keyed, made, perf_counter() - began)

    def _tell(self, kind: Kind, words: str) -> None:
        self.report(f"{kind}: {words}")

    def _keyed(self, kind: Kind) -> Keyed:
        if kind is Kind.ITEMS:
            return items(self.recommender.answerer)
        with self.lake.reader(self.snapshot) as con:
            return visitors(
                con,
                self.recommender.answerer,
                self.recommender.tenant,
                days=self.settings.learn.history_days,
                longest=self.settings.serve.max_session_items,
            )

    def _land(self, kind: Kind, keyed: Keyed, made: Made, seconds: float) -> Done:
        tenant = self.recommender.tenant
        with self.writing(), self.lake.writer() as con:
            self.report(f"{kind}: writing")
            if kind is Kind.VISITORS:
                keyed = still_known(con, tenant, keyed)
            file = write_lists(
                self.home.precomputed,
                self.recommender,
                keyed,
                made,
                kind=kind,
                k=self.k,
                snapshot=self.snapshot,
                now=self.now,
            )
            replace_recommendations(con, tenant, kind, file)
        return Done(
            kind=kind,
            model=self.recommender.label,
            keys=len(keyed.keys),
            lists=len(keyed.sessions),
            seconds=seconds,
            file=str(file),
        )
