"""A rollout: a release that is tried on live traffic beside the champion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from wherry.domain.ids import TenantId


class Mode(StrEnum):
    """How a challenger is tried: unseen, on a share of visitors until it is stopped or
    promoted, or on half of them to learn which is better."""

    SHADOW = "shadow"
    CANARY = "canary"
    AB = "ab"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The release ``version`` is tried beside the champion, on a ``share`` of the visitors.

    ``rollout_id`` seeds the draw of visitors, so that each stays with one release for as long
    as the rollout lasts, and another rollout draws others.
    """

    rollout_id: str
    tenant: TenantId
    mode: Mode
    version: int
    share: float
    started_at: datetime
