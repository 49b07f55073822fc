"""The record of one run: its stages, what each took and gave, and the verdicts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wherry.domain.candidate import Candidate
from wherry.domain.ids import RunId, TenantId
from wherry.domain.release import Release
from wherry.domain.verdict import Verdict

STAGES = ("load", "transform", "audit", "publish", "learn", "behave", "release")
"""The stages of a run, in the order of an event's path."""


class Outcome(StrEnum):
    """How a stage ended."""

    DONE = "done"
    NOTHING_NEW = "nothing new"
    BLOCKED = "blocked"
    FAILED = "failed"
    SKIPPED = "skipped"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a run. ``rows`` is what it wrote or looked at, ``note`` one line of words."""

    name: str
    outcome: Outcome
    seconds: float
    rows: int | None = None
    note: str = ""
    parts: dict[str, float] = msgspec.field(default_factory=dict)


class TenantRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did for one tenant, after the stages that all tenants share.

    ``trial`` says why a ``release`` does not answer yet, such as ``is tried: canary, 10% of
    visitors``; empty where it took over.
    """

    tenant: TenantId
    stages: tuple[Stage, ...]
    snapshot: int | None = None
    facts: dict[str, int | float | str] = msgspec.field(default_factory=dict)
    audit: Verdict | None = None
    candidates: tuple[Candidate, ...] = ()
    winner: str = ""
    behave: Verdict | None = None
    release: Release | None = None
    trial: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a project, as it is kept in ``.wherry/runs/<run_id>/run.json``."""

    run_id: RunId
    shop: str
    started_at: datetime
    seconds: float
    code: str
    packages: dict[str, str]
    settings: dict[str, object]
    stages: tuple[Stage, ...]
    tenants: tuple[TenantRun, ...]

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """How the stages ended, those of all tenants together."""
        own = (stage for tenant in self.tenants for stage in tenant.stages)
        return frozenset(stage.outcome for stage in (*self.stages, *own))

    @property
    def passed(self) -> bool:
        """Whether no stage of any tenant was blocked or failed."""
        return not self.outcomes & {Outcome.BLOCKED, Outcome.FAILED}

    @property
    def found_nothing_new(self) -> bool:
        """Whether there was nothing to do."""
        return self.outcomes <= {Outcome.NOTHING_NEW, Outcome.SKIPPED}
