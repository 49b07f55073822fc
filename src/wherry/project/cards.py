"""The card of a run, with examples of what the winner would have shown, by the items' names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wherry.behave import Subject
from wherry.config import Settings
from wherry.domain import RunRecord, TenantRun
from wherry.project.home import Home
from wherry.project.training import Training
from wherry.registry import Registry
from wherry.report import Example, write_card

_EXAMPLES, _SHOWN = 5, 5


def write_run_card(
    path: Path, record: RunRecord, home: Home, settings: Settings, registry: Registry
) -> Path:
    """Write a run's card: what it did, what its winner shows, and who answers now."""
    champions = (registry.champion(tenant.tenant) for tenant in record.tenants)
    examples = (
        example
        for tenant in record.tenants
        if tenant.winner
        for example in _examples(
            Training(home.training(record.run_id, tenant.tenant), home, settings), tenant
        )
    )
    return write_card(
        path,
        record,
        champion=tuple(champion for champion in champions if champion is not None),
        examples=tuple(examples),
    )


def _examples(training: Training, run: TenantRun) -> Iterator[Example]:
    """Sessions of the test window, what the winner's recipe showed them, and what came next."""
    trained = training.read()
    if trained is None:
        return
    subject = training.subject(run.tenant, trained)
    ids = subject.answerer.vocabulary.ids
    names = subject.answerer.catalogue.names
    for instance in _telling(subject):
        shown = subject.winner.shown[instance, :_SHOWN]
        prefix, target = subject.instances.prefix(instance), subject.instances.targets[instance]
        codes = [*prefix.tolist(), *shown[shown >= 0].tolist(), int(target)]
        yield Example(
            tenant=run.tenant,
            session=tuple(ids[code] for code in prefix),
            shown=tuple(ids[code] for code in shown if code >= 0),
            next=ids[target],
            names={ids[code]: str(names[code]) for code in codes if names[code]},
        )


def _telling(subject: Subject) -> list[int]:
    """A few instances with three to six items before, evenly over the test window."""
    lengths = subject.instances.lengths
    fit = np.flatnonzero((lengths >= 3) & (lengths <= 6) & (subject.instances.targets >= 0))
    chosen = np.linspace(0, len(fit) - 1, min(_EXAMPLES, len(fit)), dtype=int)
    return [int(instance) for instance in fit[chosen]]
