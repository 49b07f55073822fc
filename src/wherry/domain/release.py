"""A release: the model that answers, and everything it came from."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wherry.domain.candidate import Estimate, Params
from wherry.domain.ids import RunId, TenantId


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a tenant's recommender, with all that is needed to make it again.

    ``snapshot`` numbers the lake's snapshot that it was trained on, ``code`` the version of
    the code (a git commit, or the package version), ``packages`` the versions of what it
    was computed with.
    """

    tenant: TenantId
    name: str
    version: int
    model: str
    params: Params
    seed: int
    snapshot: int
    run_id: RunId
    code: str
    packages: dict[str, str]
    metrics: dict[str, Estimate]
    released_at: datetime
