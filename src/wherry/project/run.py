"""One run of a project: load and transform for all tenants, then each tenant's own stages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import msgspec

from wherry.collect import Loaded, drain, find_files, find_mapping, load_file
from wherry.config import Settings, Source
from wherry.domain import DEFAULT_TENANT, STAGES, Outcome, RunId, RunRecord, Stage, TenantId
from wherry.errors import WherryError
from wherry.lake import Lake, compact, create_raw_tables, next_load_id
from wherry.project.home import Home
from wherry.project.progress import Progress, mark_of
from wherry.project.records import run_folders
from wherry.project.releasing import Releasing
from wherry.project.stages import RunContext, TenantStages, settings_record
from wherry.project.versions import code_version, package_versions
from wherry.registry import Registry
from wherry.transform import Outcome as Extent
from wherry.transform import transform
from wherry.transform.state import read_state, read_tests

KEPT_TRAININGS = 3
"""Of how many runs the training sets and candidates are kept; records and cards all are."""

Reporter = Callable[[str], None]
"""Is told in a few words what is being done now."""

_STATES = """
SELECT tenant, max(load_id), count(*) FROM lake.raw.{table} GROUP BY tenant
"""

_REJECTED = """
SELECT max(load_id), count(*) FROM lake.raw.rejected WHERE tenant = ? OR tenant IS NULL
"""


@dataclass
class Run:
    """One run. The caller holds the project lock and has recovered the lake.

    ``stages`` are to be done; ``forced`` does them again even where nothing has changed, and
    ``full_refresh`` rebuilds every derived table from the log.
    """

    home: Home
    settings: Settings
    lake: Lake
    registry: Registry
    releasing: Releasing
    run_id: RunId
    now: datetime
    report: Reporter
    stages: Collection[str] = STAGES
    forced: bool = False
    full_refresh: bool = False
    done: list[Stage] = field(default_factory=list)

    def run(self) -> RunRecord:
        """Do the stages and return the record; what fails is in it and is not raised."""
        started = time.perf_counter()
        going_on = all(
            self._shared(name, work)
            for name, work in (("load", self._load), ("transform", self._transform))
            if name in self.stages
        )
        tenants = tuple(each.run() for each in self._tenants()) if going_on else ()
        self._forget_old_trainings()
        return RunRecord(
            run_id=self.run_id,
            shop=self.settings.shop,
            started_at=self.now,
            seconds=time.perf_counter() - started,
            code=code_version(self.home.root),
            packages=package_versions(),
            settings=settings_record(self.settings),
            stages=tuple(self.done),
            tenants=tenants,
        )

    def _shared(self, name: str, work: Callable[[], Stage]) -> bool:
        """Do a stage that all tenants share; whether the next may follow."""
        self.report(name)
        started = time.perf_counter()
        try:
            stage = work()
        except (WherryError, duckdb.Error, OSError) as error:
            stage = Stage(name=name, outcome=Outcome.FAILED, seconds=0.0, note=str(error))
        seconds = time.perf_counter() - started
        self.done.append(msgspec.structs.replace(stage, seconds=seconds))
        return stage.outcome is not Outcome.FAILED

    def _load(self) -> Stage:
        with self.lake.writer() as con:
            create_raw_tables(con)
            loads = drain(
                con,
                self.home.inbox,
                now=self.now,
                excluded=self.settings.transform.exclude_loads,
                on_progress=self._within("inbox"),
            )
            for source in self.settings.sources:
                loads += self._load_source(con, source)
            if any(not load.is_skipped for load in loads):
                compact(con)
        taken, rejected = sum(x.taken for x in loads), sum(x.rejected for x in loads)
        return Stage(
            name="load",
            outcome=Outcome.DONE if taken or rejected else Outcome.NOTHING_NEW,
            seconds=0.0,
            rows=taken,
            note=f"{rejected:,} rejected" if rejected else "",
        )

    def _load_source(self, con: duckdb.DuckDBPyConnection, source: Source) -> list[Loaded]:
        mapping = find_mapping(source.preset, self.settings.imports)
        return [
            load_file(
                con,
                path,
                mapping,
                now=self.now,
                excluded=self.settings.transform.exclude_loads,
                on_progress=self._within(path.name),
            )
            for path in find_files(source.path, self.home.root)
        ]

    def _transform(self) -> Stage:
        with self.lake.reader() as con:
            if next_load_id(con) == 1:
                note = "nothing has been imported yet: wherry import"
                return Stage(name="transform", outcome=Outcome.SKIPPED, seconds=0.0, note=note)
        made = transform(
            self.lake,
            self.home.transforms,
            self.home.dbt,
            gap_minutes=self.settings.sessions.gap_minutes,
            exclude_loads=self.settings.transform.exclude_loads,
            attribution_minutes=self.settings.outcomes.attribution_minutes,
            clicks=self.settings.outcomes.clicks,
            full_refresh=self.full_refresh,
            on_progress=self._within("transform"),
        )
        is_new = made.outcome is not Extent.NOTHING_NEW
        return Stage(
            name="transform",
            outcome=Outcome.DONE if is_new else Outcome.NOTHING_NEW,
            seconds=0.0,
            rows=made.rows,
            note=str(made.outcome) if is_new else "",
            parts={model.name: model.seconds for model in made.models},
        )

    def _tenants(self) -> list[TenantStages]:
        with self.lake.reader() as con:
            states, tests = _states(con), tuple(read_tests(con))
            rejected = {
                tenant: mark_of(con.execute(_REJECTED, [tenant]).fetchone()) for tenant in states
            }
        context = RunContext(
            home=self.home,
            settings=self.settings,
            lake=self.lake,
            registry=self.registry,
            progress=Progress(self.home.progress),
            releasing=self.releasing,
            run_id=self.run_id,
            now=self.now,
            stages=self.stages,
            forced=self.forced,
            tests=tests,
            on_stage=self._report_stage,
        )
        return [
            TenantStages(context, tenant, state, rejected[tenant])
            for tenant, state in states.items()
        ]

    def _within(self, name: str) -> Reporter:
        """Reports the steps of a stage or a file, after its name."""
        return lambda step: self.report(f"{name}: {step}")

    def _report_stage(self, stage: str, tenant: TenantId) -> None:
        self.report(stage if tenant == DEFAULT_TENANT else f"{stage} ({tenant})")

    def _forget_old_trainings(self) -> None:
        """Drop the training sets and candidates of old runs, and of those that were killed.

        What a tenant was last trained by is kept, however old: its tests may be done again.
        """
        recorded = list(run_folders(self.home.runs))
        kept = {folder.name for folder in recorded[: KEPT_TRAININGS - 1]} | {self.run_id}
        last = Progress(self.home.progress).values("trained_by")
        for training in sorted(self.home.runs.glob("*/*/")):
            run, tenant = training.parent.name, TenantId(training.name)
            if run not in kept and last.get(tenant) != run:
                shutil.rmtree(training)


def _states(con: duckdb.DuckDBPyConnection) -> dict[TenantId, str]:
    """What each tenant's derived data is made from: its own rows of the log, and the SQL.

    A tenant's state does not move when another's events come in.
    """
    parts: dict[TenantId, list[object]] = {}
    for table in ("events", "items"):
        for tenant, *counts in con.execute(_STATES.format(table=table)).fetchall():
            parts.setdefault(TenantId(tenant), []).append([table, *counts])
    made_by = read_state(con)
    signature = made_by.signature if made_by else ""
    return {tenant: mark_of(part, signature) for tenant, part in sorted(parts.items())}
