"""Where a project stands: what waits, what is published, what answers and what is tried."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from wherry.domain import Release, Rollout, RunRecord, TenantId
from wherry.lake import Holder, Published, has_raw_tables, read_holder, read_published
from wherry.project.intake import InboxStatus, read_inbox
from wherry.project.parts import Parts
from wherry.project.records import read_record, run_folders
from wherry.watch import Intake, Volumes, read_intake, read_volumes


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


def read_status(parts: Parts) -> ProjectStatus:
    """Where a project stands now; reads only, and never waits for a writer."""
    lake = parts.lake
    intake = None
    if lake.exists():
        with lake.reader() as con:
            intake = read_intake(con) if has_raw_tables(con) else None
    folder = next(run_folders(parts.home.runs), None)
    return ProjectStatus(
        shop=parts.settings.shop,
        folder=str(parts.home.root),
        holder=read_holder(parts.home.lock),
        intake=intake,
        inbox=read_inbox(parts.home.inbox),
        tenants=tuple(_tenant_states(parts)),
        last_run=read_record(folder) if folder else None,
    )


def _tenant_states(parts: Parts) -> Iterator[TenantState]:
    tried = parts.releasing().rollouts.read()
    for tenant, published in sorted(read_published(parts.home.published).items()):
        with parts.lake.reader(published.snapshot) as con:
            volumes = read_volumes(con, tenant)
        yield TenantState(
            tenant=tenant,
            published=published,
            volumes=volumes,
            champion=parts.registry.champion(tenant),
            rollout=tried[tenant].rollout if tenant in tried else None,
        )
