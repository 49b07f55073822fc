"""Forgetting a person: out of the log, of every table, file and old snapshot, in steps that can
be killed and done again.

What is asked for is written down first (``forgetting.json``) and struck out last. In between
every step finds what is left to do by itself, so whoever comes next finishes: the same command
again, or the next run.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb
import msgspec

from wherry.collect.drain import drain
from wherry.collect.inbox import find_set_aside, read_set_aside, store_paths
from wherry.collect.person import (
    Person,
    Traces,
    find_events,
    find_visitors,
    given_sessions,
    other_names,
    remove,
)
from wherry.config import Settings
from wherry.domain import Outcome, Release, RunRecord, TenantId, Verdict
from wherry.errors import LakeError, ProjectError, TransformError, WherryError
from wherry.lake import (
    Lake,
    create_raw_tables,
    has_raw_tables,
    read_published,
    write_whole,
)
from wherry.lake.erasure import (
    clean_catalog,
    expire_snapshots,
    oldest_snapshot,
    rewrite_deleted,
    vacuum,
)
from wherry.lake.published import withdraw
from wherry.lake.serving import remove_recommendations
from wherry.live.sessions import LiveSessions
from wherry.project.home import Home
from wherry.project.list_files import forget_lists
from wherry.project.records import CARD, RECORD, read_record
from wherry.registry import Registry
from wherry.serve.precomputed import Kind
from wherry.watch import drop_evidence

T = TypeVar("T", bound=list)  # type: ignore[type-arg]

Rebuild = Callable[[], RunRecord]
"""Builds every derived table anew from the log, audits and publishes it."""

_IN_RELEASE = """
SELECT count(*) FROM lake.marts.interactions WHERE tenant = $tenant AND event_id IN $ids
AND occurred_at >= (
    SELECT CASE WHEN $days = 0 THEN TIMESTAMP '0001-01-01'
                ELSE max(occurred_at) - to_days($days) END
    FROM lake.marts.interactions WHERE tenant = $tenant)
"""


_FIRST_LOAD = "SELECT min(loaded_at) FROM lake.raw.loads WHERE load_id IN $loads"


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an erasure, in ``.wherry/forgotten.json``: not who.

    ``traces`` counts what the log held. ``releases`` were trained on it, as ``NAME@VERSION``.
    Older snapshots, which still hold it, are gone by ``gone_by`` (None: at once). Where
    ``withdrawn`` names tenants, nothing of theirs is published until a run passes its audit.
    ``left`` names files that a broken disk left of the inbox, and that mention the person.
    ``also_known_as`` lists ids that the person's events give for the same person; it is told
    and not kept.
    """

    id: str
    tenant: TenantId
    at: datetime
    visitors: int
    traces: Traces
    releases: tuple[str, ...] = ()
    also_known_as: tuple[str, ...] = ()
    withdrawn: tuple[TenantId, ...] = ()
    gone_by: datetime | None = None
    left: tuple[str, ...] = ()


class _Learned(msgspec.Struct):
    """Of the settings of a run, how far back it looked."""

    history_days: int = 0


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure that has been asked for and is not done yet; it has to name the person.

    ``listed`` are the visitors of the events that go: some name the person under another id.
    """

    id: str
    tenant: TenantId
    visitors: tuple[str, ...]
    traces: Traces = Traces()
    releases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()


def _listed(pending: Pending) -> set[str]:
    """Whose precomputed lists may have been made of what is removed."""
    return {*pending.visitors, *pending.listed}


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """One erasure at a time. The caller holds the project lock and has recovered the lake."""

    home: Home
    settings: Settings
    lake: Lake
    registry: Registry
    live: LiveSessions
    now: datetime
    rebuild: Rebuild
    report: Callable[[str], None]

    def ask(self, tenant: TenantId, visitors: Iterable[str]) -> Pending:
        """Write down what is to be done; the same asked again goes on with it."""
        person = Person(tenant, tuple(visitors))
        for pending in read_pending(self.home):
            if (pending.tenant, pending.visitors) == (tenant, person.visitors):
                return pending
        asked = Pending(id=secrets.token_hex(8), tenant=tenant, visitors=person.visitors)
        self._keep(asked)
        return asked

    def finish(self, pending: Pending) -> Forgotten:
        """Do all of it, or what is left.

        Raises:
            WherryError: If a step fails; asked again, it goes on from there.
        """
        person = Person(pending.tenant, pending.visitors)
        withdrawn: tuple[TenantId, ...] = ()
        gone_by = None
        self._empty_inbox()
        self._forget_sessions(person)
        if self.lake.exists():
            pending = self._remove(person, pending)
        self.report("forget: precomputed lists")
        forget_lists(self.home.precomputed, person.tenant, _listed(pending), self.now)
        drop_evidence(self.home.rollouts)
        self.report("forget: runs")
        for folder in self._run_folders():
            _clean_run(folder, person)
        if self.lake.exists():
            withdrawn = self._rebuild()
            gone_by = self._expire()
        done = Forgotten(
            id=pending.id,
            tenant=pending.tenant,
            at=self.now,
            visitors=len(pending.visitors),
            traces=pending.traces,
            releases=pending.releases,
            also_known_as=pending.names,
            withdrawn=withdrawn,
            gone_by=gone_by,
            left=tuple(self._set_aside(person)),
        )
        self._strike_out(pending, msgspec.structs.replace(done, also_known_as=()))
        return done

    def _remove(self, person: Person, pending: Pending) -> Pending:
        """Delete the rows, once it is written down what they were."""
        self.report("forget: log")
        pending = self._describe(person, pending)
        with self.lake.writer() as con:
            create_raw_tables(con)
            con.execute("BEGIN")
            try:
                found = remove(con, person)
                remove_recommendations(con, person.tenant, Kind.VISITORS, _listed(pending))
                pending = msgspec.structs.replace(pending, traces=found or pending.traces)
                self._keep(pending)
                con.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    con.execute("ROLLBACK")
                raise
            self.report("forget: files")
            rewrite_deleted(con)
        return pending

    def _empty_inbox(self) -> None:
        """Bring what waits into the log, and let the inbox's files go of it."""
        if not store_paths(self.home.inbox):
            return
        self.report("forget: inbox")
        with self.lake.writer() as con:
            excluded = self.settings.transform.exclude_loads
            drain(con, self.home.inbox, now=self.now, excluded=excluded)
        for path in store_paths(self.home.inbox):
            vacuum(path)

    def _forget_sessions(self, person: Person) -> None:
        """Let go of their live sessions; which those are only the log still says."""
        if not self.home.live.exists():
            return
        self.report("forget: live sessions")
        given: list[str] = []
        if self.lake.exists():
            with self.lake.reader() as con:
                given = given_sessions(con, person) if has_raw_tables(con) else []
        self.live.forget(person.tenant, person.visitors, given)

    def _set_aside(self, person: Person) -> Iterator[str]:
        for path in find_set_aside(self.home.inbox):
            if any(person.is_in(part) for part in read_set_aside(path)):
                yield str(path)

    def _describe(self, person: Person, pending: Pending) -> Pending:
        """Add what can only be said while the rows are there."""
        with self.lake.reader() as con:
            if not has_raw_tables(con):
                return pending
            events = find_events(con, person)
            names = tuple(other_names(con, person))
            listed = tuple(find_visitors(con, person))
            loads = sorted({load for _, load in events})
            first = con.execute(_FIRST_LOAD, {"loads": loads}).fetchall()[0][0]
        if not events:
            return pending
        ids = [event_id for event_id, _ in events]
        return msgspec.structs.replace(
            pending,
            names=names,
            listed=listed,
            releases=tuple(self._trained_on(person.tenant, ids, first)),
        )

    def _rebuild(self) -> tuple[TenantId, ...]:
        """Derived tables, audit, and the published snapshots, which have to leave the old ones.

        What a tenant had published before goes in any case; one whose audit does not pass now
        has nothing published for a while. Its champion answers all the same.
        """
        before = set(read_published(self.home.published))
        record = self.rebuild()
        for stage in record.stages:
            if stage.outcome is Outcome.FAILED:
                raise TransformError(
                    f"The person is out of the log, but not yet out of the derived tables: "
                    f"{stage.note} Put that right, then run the same again."
                )
        published = {tenant.tenant for tenant in record.tenants if tenant.snapshot is not None}
        withdrawn = tuple(sorted(before - published))
        withdraw(self.home.published, withdrawn)
        return withdrawn

    def _expire(self) -> datetime | None:
        self.report("forget: snapshots")
        days = self.settings.lake.retention_days
        since = self.now - timedelta(days=days) if days else None
        self._let_go(since)
        shutil.rmtree(self.lake.folder / "temp", ignore_errors=True)
        return self.now + timedelta(days=days) if days else None

    def expire_old(self) -> None:
        """Let go of the snapshots that are older than the setting, where there is one."""
        days = self.settings.lake.retention_days
        if not days or not self.lake.exists():
            return
        since = self.now - timedelta(days=days)
        with self.lake.reader() as con:
            oldest = oldest_snapshot(con, but=self._published())
        if oldest is not None and oldest < since:
            self._let_go(since)

    def _let_go(self, since: datetime | None) -> None:
        with self.lake.writer() as con:
            expire_snapshots(con, keep=self._published(), before=since)
        clean_catalog(self.lake)

    def _published(self) -> set[int]:
        return {each.snapshot for each in read_published(self.home.published).values()}

    def _run_folders(self) -> list[Path]:
        return [path for path in sorted(self.home.runs.glob("*/")) if path.is_dir()]

    def _trained_on(
        self, tenant: TenantId, ids: list[str], first: datetime | None
    ) -> Iterator[str]:
        """The releases that were trained on some of these events, the newest first."""
        if self.registry.exists():
            for release, _ in self.registry.releases(tenant):
                if self._saw(release, ids, first):
                    yield f"{release.name}@{release.version}"

    def _saw(self, release: Release, ids: list[str], first: datetime | None) -> bool:
        """Whether a release's snapshot held some of the events, as far back as it looked.

        Of a snapshot that is gone only the time is known: it saw what had been loaded by then.
        """
        facts = {"tenant": release.tenant, "ids": ids, "days": self._history_days(release)}
        try:
            with self.lake.reader(release.snapshot) as con:
                row = con.execute(_IN_RELEASE, facts).fetchone()
            return bool(row and row[0])
        except (LakeError, duckdb.Error):
            return first is None or first <= release.released_at

    def _history_days(self, release: Release) -> int:
        try:
            learned = read_record(self.home.run(release.run_id)).settings["learn"]
            return msgspec.convert(learned, _Learned).history_days
        except (ProjectError, KeyError, msgspec.ValidationError):
            return 0

    def _keep(self, pending: Pending) -> None:
        others = [each for each in read_pending(self.home) if each.id != pending.id]
        _write(self.home.forgetting, [*others, pending])

    def _strike_out(self, pending: Pending, done: Forgotten) -> None:
        log = read_forgotten(self.home)
        if all(each.id != done.id for each in log):
            _write(self.home.forgotten, [*log, done])
        others = [each for each in read_pending(self.home) if each.id != pending.id]
        if others:
            _write(self.home.forgetting, others)
        else:
            self.home.forgetting.unlink(missing_ok=True)


def read_pending(home: Home) -> list[Pending]:
    """The erasures that were begun and have not ended."""
    return _read(home.forgetting, list[Pending])


def read_forgotten(home: Home) -> list[Forgotten]:
    """Every erasure that was done, the oldest first."""
    return _read(home.forgotten, list[Forgotten])


def _clean_run(folder: Path, person: Person) -> None:
    """Take from a run what it was trained on and what it showed of it; its record stays."""
    shutil.rmtree(folder / person.tenant, ignore_errors=True)
    try:
        record = read_record(folder)
    except ProjectError:
        return
    if any(tenant.tenant == person.tenant for tenant in record.tenants):
        # A card shows some sessions as examples. It is made anew, without, when it is asked for.
        (folder / CARD).unlink(missing_ok=True)
    text = (folder / RECORD).read_bytes()
    if person.is_in(text):
        write_whole(folder / RECORD, person.without(_without_samples(record, person)))


def _without_samples(record: RunRecord, person: Person) -> bytes:
    """A record as JSON, without the sampled rows that mention the person."""

    def clean(verdict: Verdict | None) -> Verdict | None:
        if verdict is None:
            return None
        checks = tuple(
            msgspec.structs.replace(
                check,
                sample=tuple(
                    row for row in check.sample if not person.is_in(msgspec.json.encode(row))
                ),
            )
            for check in verdict.checks
        )
        return msgspec.structs.replace(verdict, checks=checks)

    tenants = tuple(
        msgspec.structs.replace(run, audit=clean(run.audit), behave=clean(run.behave))
        for run in record.tenants
    )
    kept = msgspec.structs.replace(record, tenants=tenants)
    return msgspec.json.format(msgspec.json.encode(kept))


def _read(path: Path, kind: type[T]) -> T:
    """Read a list from a file; an absent file is an empty one."""
    try:
        found: T = msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except msgspec.MsgspecError as error:
        raise WherryError(
            f"{path} can't be read: {error}. Look at it, correct or remove it, then go on."
        ) from error
    return found


def _write(path: Path, content: object) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(content)))
