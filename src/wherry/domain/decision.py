"""A decision about what answers: who took it, when, on which figures and why."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wherry.domain.ids import TenantId
from wherry.domain.rollout import Mode


class Act(StrEnum):
    """What was decided of a release.

    It was registered and answers nobody yet (``registered``), took over at once (``released``),
    began to be tried (``started``) or was given another share (``ramped``), became the champion
    (``promoted``), was withdrawn by a person (``withdrawn``) or by the guard (``stopped``), was
    found better by the test (``found_better``: nothing changes), or an earlier release came back
    as the champion (``rolled_back``).
    """

    REGISTERED = "registered"
    RELEASED = "released"
    STARTED = "started"
    RAMPED = "ramped"
    PROMOTED = "promoted"
    WITHDRAWN = "withdrawn"
    STOPPED = "stopped"
    FOUND_BETTER = "found_better"
    ROLLED_BACK = "rolled_back"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision. Times are UTC.

    ``by`` is ``guard``, a run, or the name of a person's account. ``release`` is what it was
    about and ``champion`` what answers after it, such as ``recommender@4``; ``rollout``,
    ``mode`` and ``share`` are empty where nothing was being tried. ``figures`` are those that
    the decision rests on.
    """

    decided_at: datetime
    tenant: TenantId
    act: Act
    by: str
    release: str
    champion: str
    rollout: str = ""
    mode: Mode | None = None
    share: float | None = None
    why: str = ""
    figures: dict[str, float] = {}
