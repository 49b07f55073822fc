"""The stages of one tenant's run, from the audit of its data to its release."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import msgspec

from wherry.behave import behave, load_own_checks
from wherry.config import Settings
from wherry.domain import (
    STAGES,
    Candidate,
    Mode,
    Outcome,
    Release,
    RunId,
    Stage,
    TenantId,
    TenantRun,
    Verdict,
)
from wherry.errors import WherryError
from wherry.lake import Lake, Published, newest_snapshot, publish, read_published
from wherry.project.home import Home
from wherry.project.progress import Progress, folder_mark, mark_of
from wherry.project.releasing import Releasing
from wherry.project.training import Training
from wherry.project.versions import code_version, package_versions
from wherry.registry import Challenger, Registry, in_words, label, model_name
from wherry.transform import DataTest
from wherry.transform.audit import audit

TENANT_STAGES = STAGES[2:]
"""The stages that each tenant goes through by itself."""


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all tenants of a run share. ``stages`` are to be done, again where ``forced``."""

    home: Home
    settings: Settings
    lake: Lake
    registry: Registry
    progress: Progress
    releasing: Releasing
    run_id: RunId
    now: datetime
    stages: Collection[str]
    forced: bool
    tests: tuple[DataTest, ...]
    on_stage: Callable[[str, TenantId], None]


class _Blocked(Exception):
    """A verdict stands in the way of the stages that follow."""


@dataclass
class TenantStages:
    """One tenant's way through a run.

    ``state`` names the data that it starts from, ``rejected`` the rows that were turned away.
    """

    context: RunContext
    tenant: TenantId
    state: str
    rejected: str = ""
    stages: list[Stage] = field(default_factory=list)
    facts: dict[str, int | float | str] = field(default_factory=dict)
    audit: Verdict | None = None
    behave: Verdict | None = None
    candidates: tuple[Candidate, ...] = ()
    winner: str = ""
    snapshot: int | None = None
    release: Release | None = None
    trial: str = ""

    def run(self) -> TenantRun:
        """Go from stage to stage until the last, or until one stands in the way."""
        for name in TENANT_STAGES:
            if name in self.context.stages and not self._stage(name):
                break
        return TenantRun(
            tenant=self.tenant,
            stages=tuple(self.stages),
            snapshot=self.snapshot,
            facts=self.facts,
            audit=self.audit,
            candidates=self.candidates,
            winner=self.winner,
            behave=self.behave,
            release=self.release,
            trial=self.trial,
        )

    def _stage(self, name: str) -> bool:
        """Do one stage; whether the next may follow."""
        self.context.on_stage(name, self.tenant)
        mark = self._mark(name)
        started = time.perf_counter()
        rows, note, outcome = None, "", Outcome.NOTHING_NEW
        try:
            if self.context.forced or not self.context.progress.is_done(self.tenant, name, mark):
                rows, note = getattr(self, f"_{name}")()
                self.context.progress.done(self.tenant, name, mark)
                outcome = Outcome.DONE
        except _Blocked as blocked:
            outcome, note = Outcome.BLOCKED, str(blocked)
        except (WherryError, duckdb.Error, OSError) as error:
            # One tenant's failure is recorded and leaves the others to go on.
            outcome, note = Outcome.FAILED, str(error)
        seconds = time.perf_counter() - started
        self.stages.append(Stage(name=name, outcome=outcome, seconds=seconds, rows=rows, note=note))
        return outcome in (Outcome.DONE, Outcome.NOTHING_NEW)

    def _mark(self, name: str) -> str:
        """Everything that goes into a stage, and nothing else: what is added to a bound is
        audited or tested again, and trains nothing anew."""
        settings, home = self.context.settings, self.context.home
        inputs: list[object] = [self.state]
        if name == "audit":
            inputs += [self.rejected, settings.audit]
            if settings.audit.max_age_hours >= 0:
                inputs.append(self.context.now.replace(minute=0, second=0, microsecond=0))
        if name in ("learn", "behave", "release"):
            recipe = msgspec.structs.replace(settings.learn, workers=0)
            rules = settings.behave
            inputs += [recipe, rules.baseline, rules.hide_purchased, rules.session_properties]
            inputs.append(folder_mark(home.models))
        if name == "behave":
            inputs += [settings.behave, folder_mark(home.behaviour)]
        return mark_of(*inputs)

    def _audit(self) -> tuple[int, str]:
        with self.context.lake.reader() as con:
            self.audit = audit(
                con,
                self.tenant,
                self.context.settings.audit,
                self.context.tests,
                self.context.now,
            )
        self._block_unless(self.audit)
        return len(self.audit.checks), f"{len(self.audit.checks)} checks passed"

    def _publish(self) -> tuple[int | None, str]:
        with self.context.lake.reader() as con:
            self.snapshot = newest_snapshot(con)
            self.facts |= read_facts(con, self.tenant)
        published = Published(self.snapshot, self.context.run_id, self.context.now)
        publish(self.context.home.published, self.tenant, published)
        events = self.facts.get("events")
        return int(events) if events is not None else None, f"snapshot {self.snapshot}"

    def _learn(self) -> tuple[int, str]:
        published = read_published(self.context.home.published).get(self.tenant)
        if published is None:
            raise WherryError(
                f"Nothing is published for {self.tenant!r} yet. Run all stages: wherry run"
            )
        self.snapshot = published.snapshot
        champion = self.context.registry.champion(self.tenant)
        training = self._training(self.context.run_id)
        trained = training.train(self.context.lake, self.tenant, published.snapshot, champion)
        self.context.progress.done(self.tenant, "trained_by", self.context.run_id)
        self.candidates, self.winner = trained.candidates, trained.winner
        self.facts |= {"trained on sessions": trained.sessions, "trained on items": trained.items}
        failed = [candidate.name for candidate in trained.candidates if candidate.error]
        note = f"{trained.winner} leads" + (f"; failed: {', '.join(failed)}" if failed else "")
        return trained.sessions, note

    def _behave(self) -> tuple[int, str]:
        own = load_own_checks(self.context.home.behaviour)
        training = self._last_training()
        trained = training.read()
        assert trained is not None
        self.candidates, self.winner = trained.candidates, trained.winner
        self.snapshot = trained.snapshot
        self.behave = behave(training.subject(self.tenant, trained), own)
        self._block_unless(self.behave)
        return len(self.behave.checks), f"{len(self.behave.checks)} checks passed"

    def _release(self) -> tuple[None, str]:
        context, training = self.context, self._last_training()
        trained = training.read()
        assert trained is not None
        self.snapshot = trained.snapshot
        winner = training.candidate(trained.winner)
        code = code_version(context.home.root)
        release = Release(
            tenant=self.tenant,
            name=model_name(context.registry.name, self.tenant),
            version=0,
            model=winner.model,
            params=winner.params,
            seed=winner.seed,
            snapshot=trained.snapshot,
            run_id=context.run_id,
            code=code,
            packages=package_versions(),
            metrics=winner.metrics,
            released_at=context.now,
            learned_with=trained.learned_with,
        )
        tags = {"wherry.run": context.run_id, "wherry.snapshot": str(trained.snapshot)}
        tags["wherry.code"] = code
        runs = context.registry.log_candidates(self.tenant, trained.candidates, tags)
        tried = context.releasing.rollouts.of(self.tenant)
        is_first = context.registry.champion(self.tenant) is None
        takes_over = is_first or (context.settings.release.mode == "champion" and tried is None)
        self.release = context.registry.release(
            release, training.recommender, runs[trained.winner], as_champion=takes_over
        )
        if takes_over:
            context.releasing.take_over(self.release)
        else:
            self.trial = self._try(self.release, tried)
        note = f"{label(self.release)} ({winner.model})"
        return None, f"{note} {self.trial}".strip()

    def _try(self, release: Release, tried: Challenger | None) -> str:
        """Begin to try a release, unless another is being tried; says which in a few words."""
        releasing, rules = self.context.releasing, self.context.settings.release
        if tried is not None:
            releasing.register(release, tried)
            return f"waits, since {label(tried.release)} is being tried"
        begun = releasing.start(release, Mode(rules.mode), rules.share or None)
        return f"is tried: {in_words(begun.rollout)}"

    def _block_unless(self, verdict: Verdict) -> None:
        if not verdict.passed:
            names = ", ".join(dict.fromkeys(check.name for check in verdict.failures))
            raise _Blocked(f"failed: {names}")

    def _training(self, run_id: RunId) -> Training:
        folder = self.context.home.training(run_id, self.tenant)
        return Training(folder, self.context.home, self.context.settings)

    def _last_training(self) -> Training:
        run_id = self.context.progress.value(self.tenant, "trained_by")
        training = self._training(RunId(run_id or ""))
        if not run_id or training.read() is None:
            raise WherryError(
                f"Nothing has been learned for {self.tenant!r} yet. Run: wherry run --from learn"
            )
        return training


_FACTS = """
SELECT count(*) AS sessions, sum(events) AS events, count(DISTINCT visitor_id) AS visitors,
       min(started_at) AS first_event, max(ended_at) AS last_event,
       (SELECT count(*) FROM lake.marts.items WHERE tenant = $tenant) AS items,
       (SELECT count(*) FROM lake.marts.interactions WHERE tenant = $tenant) AS interactions
FROM lake.marts.sessions WHERE tenant = $tenant
"""


def read_facts(con: duckdb.DuckDBPyConnection, tenant: TenantId) -> dict[str, int | float | str]:
    """What a snapshot holds of one tenant, in a few figures."""
    cursor = con.execute(_FACTS, {"tenant": tenant})
    names = [column[0] for column in cursor.description or []]
    row = cursor.fetchone() or ()
    facts: dict[str, int | float | str] = {}
    for name, value in zip(names, row, strict=False):
        if isinstance(value, datetime):
            facts[name.replace("_", " ")] = f"{value:%Y-%m-%d %H:%M}"
        elif value is not None:
            facts[name] = int(value)
    return facts


def settings_record(settings: Settings) -> dict[str, object]:
    """The settings in effect, as plain values for the record of a run; no password among them."""
    registry = settings.registry
    told = re.sub(r"//[^/]*@", "//…@", registry.tracking_uri)
    kept = msgspec.structs.replace(registry, tracking_uri=told)
    plain: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(settings, registry=kept))
    return plain
