"""The log of decisions in plain words: what became of releases, by whom, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from wherry.domain import Act, Decision

MOST = 12
"""Of each tenant so many are shown, the newest."""

_WORDS = {
    Act.REGISTERED: "was registered by {by} and had to wait",
    Act.RELEASED: "was released by {by} to answer all",
    Act.STARTED: "was put on trial by {by}",
    Act.RAMPED: "had its trial changed by {by}",
    Act.PROMOTED: "was promoted by {by} to answer all",
    Act.WITHDRAWN: "was withdrawn by {by}",
    Act.STOPPED: "was stopped by {by}",
    Act.FOUND_BETTER: "was found better by {by} and went on being tried",
    Act.ROLLED_BACK: "was brought back by {by} to answer all",
}
_TONES = {
    Act.RELEASED: "good",
    Act.PROMOTED: "good",
    Act.FOUND_BETTER: "good",
    Act.STOPPED: "bad",
    Act.WITHDRAWN: "so-so",
    Act.ROLLED_BACK: "so-so",
}


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: what became of a ``release`` by whom, in ``words``, and ``why``.

    ``tone`` is ``good``, ``bad``, ``so-so`` or empty.
    """

    decided_at: datetime
    release: str
    words: str
    why: str
    tone: str


class DecisionLines(msgspec.Struct, frozen=True):
    """The newest decisions about a tenant, the newest first; ``earlier`` are not shown."""

    lines: tuple[DecisionLine, ...]
    earlier: int


def decision_lines(decisions: Sequence[Decision]) -> DecisionLines:
    """The decisions about a tenant, given with the newest first, as lines for people."""
    shown = tuple(_line(decision) for decision in decisions[:MOST])
    return DecisionLines(shown, max(0, len(decisions) - MOST))


def _line(decision: Decision) -> DecisionLine:
    by = "the guard" if decision.by == "guard" else decision.by.removeprefix("by ")
    words = _WORDS[decision.act].format(by=by)
    if decision.act in (Act.WITHDRAWN, Act.STOPPED) and decision.champion:
        words += f"; {decision.champion} answered all again"
    return DecisionLine(
        decided_at=decision.decided_at,
        release=decision.release,
        words=words,
        why=decision.why,
        tone=_TONES.get(decision.act, ""),
    )
