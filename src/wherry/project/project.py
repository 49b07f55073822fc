"""The façade: a project, opened by its folder, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

import msgspec
from starlette.types import ASGIApp

from wherry.collect import Loaded, find_files, find_mapping, load_file
from wherry.collect.inbox import After
from wherry.collect.keys import Keys
from wherry.collect.plan import Plan
from wherry.collect.replay import Replayed, replay_collected
from wherry.config import Settings, read_settings
from wherry.domain import (
    DEFAULT_TENANT,
    STAGES,
    ItemId,
    Release,
    Rollout,
    RunRecord,
    SessionId,
    TenantId,
    tenant_id,
)
from wherry.errors import ProjectError, RegistryError, UsageError, did_you_mean
from wherry.lake import (
    Holder,
    Lake,
    Published,
    has_raw_tables,
    project_lock,
    read_holder,
    read_published,
    recover,
)
from wherry.learn.answer import Query
from wherry.live.availability import LiveAvailability
from wherry.live.pages import ShownOnPages
from wherry.live.sessions import LiveSessions
from wherry.live.store import LiveStore
from wherry.project.availability import AvailabilityCare
from wherry.project.cards import write_run_card
from wherry.project.collecting import collect_routes, utc_microseconds
from wherry.project.decisions import DecisionLog
from wherry.project.forget import Forgetting, Forgotten, read_pending
from wherry.project.guarding import Guard, guarding
from wherry.project.home import Home, find_home
from wherry.project.intake import InboxStatus, Loader, has_waiting, load_inbox, read_inbox
from wherry.project.live import Tending, live_sessions, live_store
from wherry.project.precompute import Done, Precomputation
from wherry.project.records import CARD, new_run_id, read_record, run_folders, write_record
from wherry.project.releasing import GUARD, Releasing, person
from wherry.project.reproduce import Reproduction, reproduce
from wherry.project.run import Reporter, Run
from wherry.project.scaffold import scaffold
from wherry.project.serving import SiblingsOf, load_champion, serving_app
from wherry.project.sessions import read_newest_sessions
from wherry.project.skew import prove
from wherry.project.versions import code_version
from wherry.project.workers import run_workers, worker_count
from wherry.registry import Registry, Rollouts
from wherry.serve import (
    CollectRoutes,
    Metrics,
    Recommendation,
    Recommender,
    create_collect_app,
    listen,
    require_loopback,
    serve,
)
from wherry.serve.precomputed import Kind
from wherry.watch import (
    By,
    Intake,
    Outcomes,
    Volumes,
    read_intake,
    read_outcomes,
    read_volumes,
)
from wherry.watch.skew import Skew

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, UTC, without a zone: the way that all times are kept."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _say_nothing(words: str) -> None:
    pass


def _tell(report: Reporter, name: str, step: str) -> None:
    report(f"{name}: {step}")


class TenantState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one tenant stands: what is published, what answers, and what is tried beside it."""

    tenant: TenantId
    published: Published
    volumes: Volumes
    champion: Release | None
    rollout: Rollout | None = None


class ProjectStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a project stands; ``last_run`` is the newest run that left a record."""

    shop: str
    folder: str
    holder: Holder | None
    intake: Intake | None
    inbox: InboxStatus
    tenants: tuple[TenantState, ...]
    last_run: RunRecord | None


class Project:
    """A shop's project: one folder, one settings file, one lake, one registry."""

    def __init__(self, home: Home, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.home = home
        self.settings = settings
        self._clock = clock

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

    @property
    def lake(self) -> Lake:
        """The project's lake."""
        settings = self.settings.lake
        return Lake(self.home.lake, settings.memory_limit, settings.threads)

    @cached_property
    def live_store(self) -> LiveStore:
        """What counts at once, shared with the other processes of the project."""
        return live_store(self.home, self.settings)

    @property
    def live_sessions(self) -> LiveSessions:
        """The sessions of now."""
        return live_sessions(self.live_store, self.settings)

    @cached_property
    def live_availability(self) -> LiveAvailability:
        """What was told of items, as the live store has it."""
        return LiveAvailability(self.live_store)

    @property
    def keys(self) -> Keys:
        """The keys of the project's server."""
        return Keys.open(self.home.keys)

    @property
    def registry(self) -> Registry:
        """The project's registry of releases."""
        settings = self.settings.registry
        return Registry(self.home.registry, settings.name, settings.tracking_uri)

    @contextmanager
    def _writing(
        self, command: str, wait_seconds: float, report: Reporter, *, is_brief: bool = False
    ) -> Iterator[None]:
        """Hold the project lock, and first put right what a killed run left behind."""
        with project_lock(
            self.home.lock,
            command,
            wait_seconds=wait_seconds,
            on_wait=lambda holder: report(f"waiting for {holder}"),
            is_brief=is_brief,
        ):
            if recover(self.lake):
                report("putting back what an interrupted run left half done")
            yield

    def import_files(
        self,
        source: str,
        pattern: str,
        *,
        tenant: str = DEFAULT_TENANT,
        wait_seconds: float = 0.0,
        report: Reporter = _say_nothing,
    ) -> list[Loaded]:
        """Import the files that a path or a pattern names, by a preset or a mapping's name."""
        mapping = find_mapping(source, self.settings.imports)
        files = find_files(pattern, Path.cwd())
        with (
            self._writing(f"wherry import {source}", wait_seconds, report),
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
        report: Reporter = _say_nothing,
    ) -> RunRecord:
        """Go from the loads to a release; ``start`` and ``only`` name stages to do again.

        The record says what happened to each tenant; a run that found nothing new leaves no
        record behind.
        """
        stages = _chosen_stages(start, only)
        with self._writing("wherry run", wait_seconds, report):
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
        report: Reporter = _say_nothing,
    ) -> Forgotten:
        """Remove some visitors of a tenant: from the log, every table, file and old snapshot.

        Killed at any moment, it is finished by the same call or by the next run.
        """
        with self._writing("wherry forget", wait_seconds, report):
            forgetting = self._forgetting(report)
            return forgetting.finish(forgetting.ask(tenant_id(tenant), visitors))

    def replay_rejected(
        self, *, reason: str = "", wait_seconds: float = 0.0, report: Reporter = _say_nothing
    ) -> Replayed:
        """Read again the events that came over HTTP and were rejected; what now passes is taken.

        ``reason`` picks those whose reason holds it. Today's tracking plan is the judge.
        """
        plan = Plan.open(self.home.plan)
        with (
            self._writing("wherry replay rejected", wait_seconds, report),
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
        lake = self.lake
        intake = None
        if lake.exists():
            with lake.reader() as con:
                intake = read_intake(con) if has_raw_tables(con) else None
        folder = next(run_folders(self.home.runs), None)
        return ProjectStatus(
            shop=self.settings.shop,
            folder=str(self.home.root),
            holder=read_holder(self.home.lock),
            intake=intake,
            inbox=read_inbox(self.home.inbox),
            tenants=tuple(self._tenant_states()),
            last_run=read_record(folder) if folder else None,
        )

    def _tenant_states(self) -> Iterator[TenantState]:
        tried = self.releasing().rollouts.read()
        for tenant, published in sorted(read_published(self.home.published).items()):
            with self.lake.reader(published.snapshot) as con:
                volumes = read_volumes(con, tenant)
            yield TenantState(
                tenant=tenant,
                published=published,
                volumes=volumes,
                champion=self.registry.champion(tenant),
                rollout=tried[tenant].rollout if tenant in tried else None,
            )

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

    def releasing(self, by: str = "") -> Releasing:
        """The ways by which what answers changes; ``by`` decides, by default the account."""
        return Releasing(
            registry=self.registry,
            rollouts=Rollouts(self.home.rollouts, self.home.registry),
            log=DecisionLog(self.home.decisions),
            load=load_champion,
            clock=self._clock,
            by=by or person(),
        )

    def reproduce(self, name: str) -> Reproduction:
        """Build a release, such as ``recommender@3``, anew and compare it; see :mod:`.reproduce`.

        Raises:
            UsageError: there is no such release.
        """
        release = self._find_release(name)
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
        query, recommender = Query(session=tuple(items), k=k), self.recommender(tenant)
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
        report: Reporter = _say_nothing,
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
            writing=lambda: self._writing("wherry precompute", wait_seconds, report),
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

    def serve(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Answer over HTTP until told to stop, and take events in; new champions are taken up
        as they come. ``workers`` processes do so, one for each core if it is 0.

        Raises:
            UsageError: If no key is set and others than this machine could reach the host.
            WherryError: If the workers can't be started.
        """
        count = worker_count(self.settings.serve.workers if workers is None else workers)
        with (
            self._loading("wherry serve"),
            self._tending(self.live_sessions),
            guarding(self.guard(), self.settings.release.guard_seconds),
        ):
            if count == 1:
                self._listen(self.serving(), host, port, on_ready)
            else:
                with listen(*self._address(host, port)) as listener:
                    run_workers(self.home.root, listener, count, on_ready)

    def serving(self, siblings: SiblingsOf | None = None) -> ASGIApp:
        """The application that answers; ``siblings`` are a worker's, see :mod:`.worker`."""
        return serving_app(
            self.home,
            self.settings,
            lake=self.lake,
            registry=self.registry,
            keys=self.keys,
            live=self.live_sessions,
            availability=self.live_availability,
            pages=ShownOnPages(self.live_store, keep_seconds=self.settings.serve.page_seconds),
            siblings=siblings,
        )

    def collect(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Take events in over HTTP until told to stop, and answer nothing else.

        Raises:
            UsageError: If no key is set and others than this machine could reach the host.
        """
        live = self.live_sessions
        app = create_collect_app(partial(self._collect_routes, name="collect", after=live.take))
        with self._loading("wherry collect"), self._tending(live):
            self._listen(app, host, port, on_ready)

    def load(self, *, wait_seconds: float = 0.0, report: Reporter = _say_nothing) -> list[Loaded]:
        """Load what waits in the inbox into the log, as every run does first."""
        with self._writing("wherry load", wait_seconds, report, is_brief=True):
            return load_inbox(self.home, self.settings, self.lake, self._clock(), report)

    def _loading(self, command: str) -> AbstractContextManager[object]:
        """Load what comes in every few seconds while the body runs, if the settings say so."""
        every = self.settings.collect.load_every
        if not every:
            return nullcontext()
        return Loader(
            lambda: self._writing(f"{command} (loading)", 0.0, _say_nothing, is_brief=True),
            lambda: load_inbox(self.home, self.settings, self.lake, self._clock(), _say_nothing),
            lambda: has_waiting(self.home.inbox),
            every_seconds=every,
        )

    def guard(self) -> Guard:
        """What judges the releases that are tried, and stops those that are worse."""
        releasing = self.releasing(by=GUARD)
        window = timedelta(minutes=self.settings.outcomes.attribution_minutes)
        rules = self.settings.release
        return Guard(self.home, rules, self.lake, releasing, self._clock, window=window)

    def _listen(
        self,
        app: ASGIApp,
        host: str | None,
        port: int | None,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        host, port = self._address(host, port)
        serve(app, host=host, port=port, on_ready=on_ready)

    def _address(self, host: str | None, port: int | None) -> tuple[str, int]:
        settings = self.settings.serve
        host = settings.host if host is None else host
        if self.keys.is_open:
            require_loopback(host)
        return host, settings.port if port is None else port

    def _tending(self, live: LiveSessions) -> Tending:
        """Look after the live sessions while the body runs."""
        care = AvailabilityCare(
            self.live_availability,
            self.home,
            self.settings,
            self.lake,
            self.registry,
            utc_microseconds,
        )
        return Tending(live, self.home, self.settings, self.lake, utc_microseconds, also=care.tend)

    def _collect_routes(self, metrics: Metrics, *, name: str, after: After) -> CollectRoutes:
        """The routes by which events come in; ``name`` is that of this server's inbox, and
        ``after`` is told of what came."""
        settings = self.settings.collect
        return collect_routes(self.home, settings, self.keys, metrics, name=name, after=after)

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
