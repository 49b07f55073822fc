"""The subject of the behavioural tests: what would be released, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wherry.config import Behave
from wherry.domain import Check, TenantId
from wherry.learn.answer import Answerer
from wherry.learn.instances import Instances
from wherry.learn.metrics import Evaluation
from wherry.learn.traits import Traits


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a check looks at.

    ``answerer`` is what would be released, fitted on all sessions, as it would answer: under
    the shop's standing rules, but for those with dates. The figures are of models alone:
    ``winner``, ``baseline`` and ``champion`` are the answers of the recipes to the same
    ``instances`` of the test window, each fitted on the sessions before it; ``baseline`` is None
    where it could not be fitted, ``champion`` before the first release and where
    ``champion_fault`` says why not.
    ``counts`` (n_items,) are events in training, ``rules`` the bounds. ``vectors`` (n_items, d)
    tell which items occur together in training (:func:`wherry.learn.embedding.embed`), ``traits``
    what is known of each session of the instances, ``leaks`` what the audit of the training set
    found.
    """

    tenant: TenantId
    answerer: Answerer
    instances: Instances
    counts: NDArray[np.int64]
    winner: Evaluation
    baseline: Evaluation | None
    champion: Evaluation | None
    metric: str
    seed: int
    rules: Behave
    champion_fault: str = ""
    vectors: NDArray[np.float32] | None = None
    traits: Traits = field(default_factory=dict)
    leaks: tuple[Check, ...] = ()

    def prefixes(self, at_most: int) -> list[tuple[str, ...]]:
        """Some sessions of the test window, as items' ids: a seeded sample."""
        rng = np.random.default_rng(self.seed)
        n = min(at_most, len(self.instances))
        chosen = np.sort(rng.choice(len(self.instances), n, replace=False))
        ids = self.answerer.vocabulary.ids
        return [tuple(ids[code] for code in self.instances.prefix(int(i))) for i in chosen]
