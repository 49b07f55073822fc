"""A rollout: a release that is tried on live traffic beside the champion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

import msgspec

from wherry.domain.ids import SessionId, TenantId, VisitorId


class Mode(StrEnum):
    """How a challenger is tried: unseen, on a share of visitors until it is stopped or
    promoted, or on half of them to learn which is better."""

    SHADOW = "shadow"
    CANARY = "canary"
    AB = "ab"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The release ``version`` is tried beside the champion, on a ``share`` of the visitors.

    ``rollout_id`` seeds the draw of visitors, so that each stays with one release for as long
    as the rollout lasts, and another rollout draws others. A change of the share begins the
    next ``phase``, at ``phase_started_at``: who was compared before is not compared with who
    came in by it.
    """

    rollout_id: str
    tenant: TenantId
    mode: Mode
    version: int
    share: float
    started_at: datetime
    phase: int = 1
    phase_started_at: datetime | None = None

    @property
    def label(self) -> str:
        """What the answers of this phase are logged under, such as ``20261125-093000-5f3a.1``."""
        return f"{self.rollout_id}.{self.phase}"

    @property
    def is_shown(self) -> bool:
        """Whether visitors see the challenger's answers."""
        return self.mode is not Mode.SHADOW

    def draws(self, unit: str) -> bool:
        """Whether a unit (see :func:`unit_of`) falls to the challenger.

        Whoever does goes on doing so when the share grows.
        """
        return draw(self.rollout_id, unit) < self.share


def draw(rollout_id: str, unit: str) -> float:
    """Where a unit stands between 0 and 1 in the draw of a rollout: uniform, and always the same.

    >>> draw("r1", "v:anna") == draw("r1", "v:anna") != draw("r2", "v:anna")
    True
    """
    digest = blake2b(unit.encode(), digest_size=8, key=rollout_id.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64


def unit_of(
    visitor_id: VisitorId | str | None, session_id: SessionId | str | None, request_id: str
) -> str:
    """Who is drawn: the visitor; where none is named the session, or else the one request.

    >>> unit_of(None, "s1", "r1")
    's:s1'
    """
    if visitor_id:
        return f"v:{visitor_id}"
    return f"s:{session_id}" if session_id else f"r:{request_id}"
