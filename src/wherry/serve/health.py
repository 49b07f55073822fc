"""What ``/healthz`` and ``/readyz`` say."""

from __future__ import annotations

import msgspec

from wherry.domain import TenantId
from wherry.serve.champions import TenantStatus


class Health(msgspec.Struct, frozen=True):
    """The process is up and its loop turns."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Whether at least one tenant's release answers; and what answers for each tenant."""

    is_ready: bool
    tenants: dict[TenantId, TenantStatus]
