"""The façade: a project, opened by its folder, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from functools import partial
from pathlib import Path

from wherry.collect import Loaded, find_files, find_mapping, load_file
from wherry.collect.plan import Plan
from wherry.collect.replay import Replayed, replay_collected
from wherry.config import read_settings
from wherry.domain import (
    DEFAULT_TENANT,
    STAGES,
    ItemId,
    Release,
    RunRecord,
    SessionId,
    tenant_id,
)
from wherry.errors import ProjectError, RegistryError, UsageError, did_you_mean
from wherry.lake import (
    read_published,
)
from wherry.learn.answer import Query
from wherry.project.cards import write_run_card
from wherry.project.forget import Forgetting, Forgotten, read_pending
from wherry.project.home import find_home
from wherry.project.parts import Clock, say_nothing, utc_now
from wherry.project.precompute import Done, Precomputation
from wherry.project.records import CARD, new_run_id, read_record, run_folders, write_record
from wherry.project.reproduce import Reproduction, reproduce
from wherry.project.run import Reporter, Run
from wherry.project.scaffold import scaffold
from wherry.project.servers import Servers
from wherry.project.serving import load_champion
from wherry.project.sessions import read_newest_sessions
from wherry.project.skew import prove
from wherry.project.status import ProjectStatus, TenantState, read_status
from wherry.project.versions import code_version
from wherry.serve import (
    AvailableNow,
    Recommendation,
    Recommender,
)
from wherry.serve.precomputed import Kind
from wherry.watch import (
    By,
    Outcomes,
    read_outcomes,
)
from wherry.watch.skew import Skew


def _tell(report: Reporter, name: str, step: str) -> None:
    report(f"{name}: {step}")


class Project(Servers):
    """A shop's project: one folder, one settings file, one lake, one registry."""

    @classmethod
    def open(cls, folder: Path | str = ".", *, clock: Clock = utc_now) -> Project:
        """Open the project that a folder lies in.

        Raises:
            ProjectError: If there is none.
            SettingsError: If its ``wherry.toml`` makes no sense.
        """
        home = find_home(Path(folder))
        return cls(home, read_settings(home.settings), clock=clock)

    @classmethod
    def create(cls, folder: Path | str, *, shop: str = "", clock: Clock = utc_now) -> Project:
        """Make a new project in a folder, and open it."""
        home = scaffold(Path(folder), shop=shop)
        return cls(home, read_settings(home.settings), clock=clock)

    def import_files(
        self,
        source: str,
        pattern: str,
        *,
        tenant: str = DEFAULT_TENANT,
        wait_seconds: float = 0.0,
        report: Reporter = say_nothing,
    ) -> list[Loaded]:
        """Import the files that a path or a pattern names, by a preset or a mapping's name."""
        mapping = find_mapping(source, self.settings.imports)
        files = find_files(pattern, Path.cwd())
        with (
            self.writing(f"wherry import {source}", wait_seconds, report),
            self.lake.writer() as con,
        ):
            return [
                load_file(
                    con,
                    path,
                    mapping,
                    now=self._clock(),
                    default_tenant=tenant_id(tenant),
                    excluded=self.settings.transform.exclude_loads,
                    on_progress=partial(_tell, report, path.name),
                )
                for path in files
            ]

    def run(
        self,
        *,
        start: str = "",
        only: str = "",
        full_refresh: bool = False,
        wait_seconds: float = 0.0,
        report: Reporter = say_nothing,
    ) -> RunRecord:
        """Go from the loads to a release; ``start`` and ``only`` name stages to do again.

        The record says what happened to each tenant; a run that found nothing new leaves no
        record behind.
        """
        stages = _chosen_stages(start, only)
        with self.writing("wherry run", wait_seconds, report):
            forgetting = self._forgetting(report)
            for pending in read_pending(self.home):
                forgetting.finish(pending)
            record = self._run(stages, bool(start or only), full_refresh, report)
            forgetting.expire_old()
        return record

    def _run(
        self, stages: Sequence[str], forced: bool, full_refresh: bool, report: Reporter
    ) -> RunRecord:
        now = self._clock()
        run_id = new_run_id(now)
        run = Run(
            home=self.home,
            settings=self.settings,
            lake=self.lake,
            registry=self.registry,
            releasing=self.releasing(by=f"run {run_id}"),
            run_id=run_id,
            now=now,
            report=report,
            stages=stages,
            forced=forced,
            full_refresh=full_refresh,
        )
        record = run.run()
        if not record.found_nothing_new:
            self._keep(record)
        return record

    def forget(
        self,
        visitors: Sequence[str],
        *,
        tenant: str = DEFAULT_TENANT,
        wait_seconds: float = 0.0,
        report: Reporter = say_nothing,
    ) -> Forgotten:
        """Remove some visitors of a tenant: from the log, every table, file and old snapshot.

        Killed at any moment, it is finished by the same call or by the next run.
        """
        with self.writing("wherry forget", wait_seconds, report):
            forgetting = self._forgetting(report)
            return forgetting.finish(forgetting.ask(tenant_id(tenant), visitors))

    def replay_rejected(
        self, *, reason: str = "", wait_seconds: float = 0.0, report: Reporter = say_nothing
    ) -> Replayed:
        """Read again the events that came over HTTP and were rejected; what now passes is taken.

        ``reason`` picks those whose reason holds it. Today's tracking plan is the judge.
        """
        plan = Plan.open(self.home.plan)
        with (
            self.writing("wherry replay rejected", wait_seconds, report),
            self.lake.writer() as con,
        ):
            excluded = self.settings.transform.exclude_loads
            return replay_collected(con, plan, now=self._clock(), reason=reason, excluded=excluded)

    def _forgetting(self, report: Reporter) -> Forgetting:
        return Forgetting(
            home=self.home,
            settings=self.settings,
            lake=self.lake,
            registry=self.registry,
            now=self._clock(),
            live=self.live_sessions,
            rebuild=lambda: self._run(("transform", "audit", "publish"), True, True, report),
            report=report,
        )

    def _keep(self, record: RunRecord) -> None:
        folder = self.home.run(record.run_id)
        write_record(folder, record)
        write_run_card(folder / CARD, record, self.home, self.settings, self.registry)

    def status(self) -> ProjectStatus:
        """Where the project stands now; reads only, and never waits for a writer."""
        return read_status(self)

    def outcomes(
        self, *, by: By = "model", days: int = 28, tenant: str = DEFAULT_TENANT
    ) -> tuple[Outcomes, ...]:
        """What came of a tenant's answers, as published; see :mod:`wherry.watch.outcomes`."""
        published = read_published(self.home.published).get(tenant_id(tenant))
        if published is None:
            return ()
        with self.lake.reader(published.snapshot) as con:
            return read_outcomes(con, tenant_id(tenant), by=by, days=days)

    def skew(
        self, *, sample: int = 1_000, days: int = 1, seed: int = 1, tenant: str = DEFAULT_TENANT
    ) -> Skew:
        """Compute logged answers again and say what differs; see :mod:`wherry.watch.skew`."""
        return prove(
            self.lake,
            self.registry,
            self.settings,
            tenant_id(tenant),
            count=sample,
            days=days,
            seed=seed,
        )

    def releases(self, tenant: str = DEFAULT_TENANT) -> list[Release]:
        """A tenant's releases, the newest first."""
        return [release for release, _ in self.registry.releases(tenant_id(tenant))]

    def champion(self, tenant: str = DEFAULT_TENANT) -> Release | None:
        """The release that answers for a tenant."""
        return self.registry.champion(tenant_id(tenant))

    def rollback(self, tenant: str = DEFAULT_TENANT, *, to: int | None = None) -> Release:
        """End what is being tried; where nothing is, make an earlier release the champion.

        A running server follows by itself. It touches the registry and the rollouts alone, so it
        need not wait for a run to end. Returns what answers now.
        """
        return self.releasing().rollback(tenant_id(tenant), to)

    def reproduce(self, name: str) -> Reproduction:
        """Build a release, such as ``recommender@3``, anew and compare it; see :mod:`.reproduce`.

        Raises:
            UsageError: there is no such release, or no run has made it.
        """
        release = self._find_release(name)
        if not release.has_recipe:
            raise UsageError(
                f"{release.name}@{release.version} was put out by hand: no run has made it, "
                "so there is no snapshot and no recipe to build it from."
            )
        code = code_version(self.home.root)
        return reproduce(release, self.registry.folder(release), self.lake, code=code)

    def _find_release(self, name: str) -> Release:
        """A release by ``NAME@VERSION``, or the champion by its name alone."""
        champions = [release for release, _ in self.registry.champions().values()]
        known = {release.name: release for release in champions}
        for champion in champions:
            earlier = self.releases(champion.tenant)
            known |= {f"{release.name}@{release.version}": release for release in earlier}
        if name not in known:
            some = ", ".join(list(known)[:8]) or "none yet; run: wherry run"
            raise UsageError(f"There is no release {name!r}. There are: {some}.")
        return known[name]

    def recommender(self, tenant: str = DEFAULT_TENANT) -> Recommender:
        """The champion of a tenant, ready to answer.

        Raises:
            RegistryError: If nothing has been released for it yet.
        """
        found = self.registry.champions().get(tenant_id(tenant))
        if found is None:
            raise RegistryError(f"Nothing has been released for {tenant!r} yet. Run: wherry run")
        return load_champion(*found, rules=self.settings.serve.rules)

    def recommend(
        self,
        items: Sequence[str],
        *,
        k: int | None = None,
        tenant: str = DEFAULT_TENANT,
        why: bool = False,
    ) -> Recommendation:
        """Answer for a session of items, as the server does; with ``why``, each item explained."""
        k = self.settings.serve.k if k is None else k
        if not 1 <= k <= self.settings.serve.max_k:
            raise UsageError(f"k is {k}; it must lie between 1 and {self.settings.serve.max_k}.")
        query = Query(session=tuple(items), k=k)
        recommender = AvailableNow(self.live_availability).see(self.recommender(tenant))
        now = int(self._clock().replace(tzinfo=UTC).timestamp() * 1000)
        if why:
            return recommender.explain(query, now=now)
        return recommender.recommend(query, now=now)

    def precompute(
        self,
        kinds: Sequence[str] = (),
        *,
        k: int = 20,
        tenant: str = DEFAULT_TENANT,
        wait_seconds: float = 0.0,
        report: Reporter = say_nothing,
    ) -> list[Done]:
        """Make the champion's list of ``k`` items for every visitor, for every item, or both.

        Raises:
            RegistryError: If nothing has been released or published for the tenant yet.
        """
        if not 1 <= k <= self.settings.serve.max_k:
            raise UsageError(f"k is {k}; it must lie between 1 and {self.settings.serve.max_k}.")
        for kind in kinds:
            if kind not in list(Kind):
                raise UsageError(f"There are lists of {' and '.join(Kind)}, not of {kind!r}.")
        recommender = self.recommender(tenant)
        published = read_published(self.home.published).get(recommender.tenant)
        if published is None:
            raise RegistryError(f"Nothing is published for {tenant!r}. Run: wherry run")
        work = Precomputation(
            home=self.home,
            settings=self.settings,
            lake=self.lake,
            recommender=recommender,
            snapshot=published.snapshot,
            k=k,
            now=self._clock(),
            writing=lambda: self.writing("wherry precompute", wait_seconds, report),
            report=report,
        )
        return [work.make(Kind(kind)) for kind in (kinds or list(Kind))]

    def newest_sessions(
        self, *, at_most: int, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[ItemId, ...]]:
        """The items of the newest sessions that have any, as published, the newest first."""
        published = read_published(self.home.published).get(tenant_id(tenant))
        if published is None:
            return []
        with self.lake.reader(published.snapshot) as con:
            return read_newest_sessions(con, tenant_id(tenant), at_most)

    def card(self, run_id: str = "") -> Path:
        """The card of a run, by default of the newest.

        Raises:
            ProjectError: If there is none.
        """
        folders = {folder.name: folder for folder in run_folders(self.home.runs)}
        if not folders:
            raise ProjectError("There is no run yet. Make one: wherry run")
        if run_id and run_id not in folders:
            raise ProjectError(f"There is no run {run_id!r}.{did_you_mean(run_id, folders)}")
        folder = folders[run_id] if run_id else next(iter(folders.values()))
        if not (folder / CARD).exists():
            write_run_card(
                folder / CARD, read_record(folder), self.home, self.settings, self.registry
            )
        return folder / CARD


def _chosen_stages(start: str, only: str) -> tuple[str, ...]:
    if start and only:
        raise UsageError("--from and --only can't be combined; give one of them.")
    for word in filter(None, (start, only)):
        if word not in STAGES:
            raise UsageError(
                f"There is no stage {word!r}.{did_you_mean(word, STAGES)} "
                f"The stages are {', '.join(STAGES)}."
            )
    if only:
        return (only,)
    return STAGES[STAGES.index(start) :] if start else STAGES


__all__ = ["Project", "ProjectStatus", "SessionId", "TenantState", "utc_now"]
