"""A logged answer: what was shown to whom, by which release, computed from what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wherry.domain.ids import ItemId, SessionId, TenantId, VisitorId


class Role(StrEnum):
    """In which part a release answered: alone, beside a challenger, as one, or unseen."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"


class LoggedAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One answer as it was given. Times are UTC.

    ``session`` holds the items that it was computed from, the latest last, whether they came
    with the request or from the live state (``is_live``); ``filter``, ``exclude`` and
    ``purchased`` are the request's own, ``filter`` a JSON object as text. ``items`` were shown
    in this order with these ``scores``, each with the probability of being shown there
    (``propensities``; empty: 1). The first ``from_model`` were ranked by the model. ``rules``
    counts how many places each rule changed; ``own_rules``, a JSON list as text, and
    ``without_rules`` are the request's own. ``asked_at`` is the time that the rules and the model
    went by; ``is_given`` says that the session came with the request. ``rollout`` names the
    rollout under which a ``role`` was drawn, empty where there was none. ``error`` says why an
    answer failed; it then shows nothing.
    """

    tenant: TenantId
    request_id: str
    answered_at: datetime
    asked_at: datetime | None = None
    model: str
    version: int
    role: Role = Role.CHAMPION
    rollout: str = ""
    visitor_id: VisitorId | None = None
    session_id: SessionId | None = None
    session: tuple[ItemId, ...] = ()
    is_live: bool = False
    is_given: bool = False
    k: int = 0
    filter: str = ""
    own_rules: str = ""
    without_rules: tuple[str, ...] = ()
    exclude: tuple[ItemId, ...] = ()
    purchased: tuple[ItemId, ...] = ()
    items: tuple[ItemId, ...] = ()
    scores: tuple[float, ...] = ()
    propensities: tuple[float, ...] = ()
    from_model: int = 0
    fallback: str = ""
    rules: dict[str, int] = {}
    latency_us: int = 0
    error: str = ""
