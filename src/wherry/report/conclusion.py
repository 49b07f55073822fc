"""How a run ended, in one glance: released, blocked, failed, or nothing new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from wherry.domain import Outcome, Release, RunRecord, Stage, TenantId, TenantRun


class Ending(StrEnum):
    """The kinds of ending, the gravest first; the card has one colour for each."""

    FAILED = "failed"
    BLOCKED = "blocked"
    RELEASED = "released"
    NOT_RELEASED = "not released"
    NOTHING_NEW = "nothing new"


SYMBOLS = {
    Ending.RELEASED: "✓",
    Ending.NOTHING_NEW: "○",
    Ending.NOT_RELEASED: "○",
    Ending.BLOCKED: "✗",
    Ending.FAILED: "✗",
}

OUTCOME_SYMBOLS = {
    Outcome.DONE: "✓",
    Outcome.NOTHING_NEW: "○",
    Outcome.BLOCKED: "✗",
    Outcome.FAILED: "✗",
    Outcome.SKIPPED: "–",
}

BY = {"audit": "by the audit", "behave": "by behaviour"}


class Conclusion(msgspec.Struct, frozen=True):
    """An ending with the words for it: ``title`` a few words, ``detail`` a sentence or two."""

    ending: Ending
    title: str
    detail: str

    @property
    def symbol(self) -> str:
        """The ending without colour."""
        return SYMBOLS[self.ending]


def conclude(record: RunRecord, champions: Mapping[TenantId, Release]) -> Conclusion:
    """How a run ended as a whole; with several tenants, how many ended how."""
    endings = [conclude_tenant(record, t, champions.get(t.tenant)) for t in record.tenants]
    if not endings:
        return _conclude(record.stages, None, None)
    if len(endings) == 1:
        return endings[0]
    tally = Counter(conclusion.ending for conclusion in endings)
    gravest_first = [ending for ending in Ending if tally[ending]]
    return Conclusion(
        gravest_first[0],
        ", ".join(f"{tally[ending]} {ending}" for ending in reversed(gravest_first)),
        f"{len(endings)} tenants, each with its own verdicts and champion.",
    )


def conclude_tenant(record: RunRecord, tenant: TenantRun, champion: Release | None) -> Conclusion:
    """How a run ended for one tenant; ``champion`` is who answers after it."""
    return _conclude((*record.stages, *tenant.stages), tenant, champion)


def _conclude(
    stages: tuple[Stage, ...], tenant: TenantRun | None, champion: Release | None
) -> Conclusion:
    still = _still(champion)
    failed = next((s for s in stages if s.outcome is Outcome.FAILED), None)
    if failed is not None:
        return Conclusion(Ending.FAILED, f"Failed in {failed.name}", _sentences(failed.note, still))
    blocked = next((s for s in stages if s.outcome is Outcome.BLOCKED), None)
    if blocked is not None:
        title = f"Blocked {BY.get(blocked.name, f'at {blocked.name}')}"
        reason = _failures(tenant, blocked) or blocked.note
        return Conclusion(Ending.BLOCKED, title, _sentences(reason, still))
    if tenant is not None and tenant.release is not None:
        version = tenant.release.version
        if tenant.trial:
            words = _sentences(f"{tenant.release.model} {tenant.trial}", still)
            if champion is not None and champion.version == version:
                words = f"{tenant.release.model} was tried first, and is the champion by now."
            return Conclusion(Ending.RELEASED, f"Registered v{version}", words)
        title = f"Released v{version}"
        return Conclusion(Ending.RELEASED, title, _released(tenant.release, tenant))
    if all(s.outcome in (Outcome.NOTHING_NEW, Outcome.SKIPPED) for s in stages):
        return Conclusion(Ending.NOTHING_NEW, "Nothing new", still)
    note = stages[-1].note if tenant is not None else ""
    return Conclusion(Ending.NOT_RELEASED, "Not released", _sentences(note, still))


def _failures(tenant: TenantRun | None, stage: Stage) -> str:
    verdicts = (tenant.audit, tenant.behave) if tenant is not None else ()
    verdict = next((v for v in verdicts if v is not None and v.subject == stage.name), None)
    if verdict is None or verdict.passed:
        return ""
    failures = verdict.failures
    names = list(dict.fromkeys(check.name for check in failures))
    named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{len(failures)} of {_checks(len(verdict.checks))} failed: {named}"


def _released(release: Release, tenant: TenantRun) -> str:
    checks = [c for v in (tenant.audit, tenant.behave) if v is not None for c in v.checks]
    passed = sum(check.passed for check in checks)
    share = "" if passed == len(checks) else f"{passed} of "
    told = f"{share}{_checks(len(checks))} passed" if checks else ""
    return _sentences(f"{release.model} answers now", told)


def _still(champion: Release | None) -> str:
    if champion is None:
        return "No model has been released yet."
    return f"The champion, {champion.model} v{champion.version}, goes on answering."


def _checks(number: int) -> str:
    return f"{number} check" if number == 1 else f"{number} checks"


def _sentences(*texts: str) -> str:
    return " ".join(text.strip().rstrip(".") + "." for text in texts if text.strip())
