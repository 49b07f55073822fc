"""The card of a run, with examples of what the winner would have shown, by the items' names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from wherry.behave import Subject
from wherry.config import Settings
from wherry.domain import Release, RunId, RunRecord, TenantId, TenantRun
from wherry.errors import LakeError, ProjectError
from wherry.lake import Lake
from wherry.project.decisions import DecisionLog
from wherry.project.home import Home
from wherry.project.outcomes import outcome_lines
from wherry.project.progress import Progress
from wherry.project.records import read_record
from wherry.project.training import Training
from wherry.registry import Registry
from wherry.report import Example, OutcomeLines, Previous, write_card
from wherry.watch import read_outcomes

_EXAMPLES, _SHOWN = 10, 5


def write_run_card(
    path: Path, record: RunRecord, home: Home, settings: Settings, registry: Registry
) -> Path:
    """Write a run's card: what it did, what its winner shows, and who answers now."""
    champions = (registry.champion(tenant.tenant) for tenant in record.tenants)
    examples = (
        example
        for tenant in record.tenants
        if tenant.winner
        for example in _examples(_training(record, tenant, home, settings), tenant)
    )
    return write_card(
        path,
        record,
        champion=tuple(champion for champion in champions if champion is not None),
        examples=tuple(examples),
        previous=tuple(_previous(record, home, registry)),
        outcomes=dict(_outcomes(record, Lake(home.lake))),
        decisions={
            run.tenant: DecisionLog(home.decisions).read(run.tenant).decisions
            for run in record.tenants
        },
    )


def _outcomes(record: RunRecord, lake: Lake) -> Iterator[tuple[TenantId, OutcomeLines]]:
    """What came of each tenant's answers, in the snapshot that this run published or found."""
    for run in record.tenants:
        if run.snapshot is None:
            continue
        try:
            with lake.reader(run.snapshot) as con:
                found = read_outcomes(con, run.tenant)
        except (LakeError, duckdb.Error):  # an old run's snapshot was let go of
            continue
        if found:
            yield run.tenant, outcome_lines(found, "model")


def _training(record: RunRecord, run: TenantRun, home: Home, settings: Settings) -> Training:
    """A run's own training, or the last one, which it tested again."""
    trained_by = RunId(Progress(home.progress).value(run.tenant, "trained_by") or "")
    own = home.training(record.run_id, run.tenant)
    folder = own if own.exists() or not trained_by else home.training(trained_by, run.tenant)
    return Training(folder, home, settings)


def _previous(record: RunRecord, home: Home, registry: Registry) -> Iterator[Previous]:
    """Each tenant's release before this run's, or its newest where this run released nothing."""
    for run in record.tenants:
        version = run.release.version if run.release is not None else None
        older = [
            release
            for release, _ in registry.releases(run.tenant)
            if release.run_id != record.run_id and (version is None or release.version < version)
        ]
        if run.winner and older:
            release = max(older, key=lambda each: each.version)
            yield Previous(release=release, facts=_facts(home, release))


def _facts(home: Home, release: Release) -> dict[str, int | float | str]:
    """The facts of the data that a release was made from, by the record of its run."""
    try:
        record = read_record(home.runs / release.run_id)
    except ProjectError:  # the run's folder is gone: the release is told without them
        return {}
    return next((run.facts for run in record.tenants if run.tenant == release.tenant), {})


def _examples(training: Training, run: TenantRun) -> Iterator[Example]:
    """Sessions of the test window, what the winner's recipe showed them, and what came next."""
    trained = training.read()
    if trained is None or (trained.snapshot, trained.winner) != (run.snapshot, run.winner):
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
    """A few instances evenly over the test window, with three to six items before if there are."""
    lengths, known = subject.instances.lengths, subject.instances.targets >= 0
    fit = np.flatnonzero((lengths >= 3) & (lengths <= 6) & known)
    if len(fit) < _EXAMPLES:
        fit = np.flatnonzero(known)
    chosen = np.linspace(0, len(fit) - 1, min(_EXAMPLES, len(fit)), dtype=int)
    return [int(instance) for instance in fit[chosen]]
