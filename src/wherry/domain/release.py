"""A release: the model that answers, and everything it came from."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wherry.domain.candidate import Estimate, Params
from wherry.domain.ids import RunId, TenantId


class ContentRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """How items without a history are recommended by their texts.

    They are those of ``fewer_than`` interactions; ``places`` at the end of an answer are kept for
    them, and with a score of ``thresholds[r]`` or more one goes before the model's item ``r``,
    counted from 0.
    """

    fewer_than: int
    places: int
    thresholds: tuple[float, ...] = ()


class LearnedWith(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide which sessions a release learned from and was measured on.

    ``content`` is None where items without a history are not recommended.
    """

    history_days: int
    min_session_length: int
    test_share: float
    max_test_sessions: int
    hide_purchased: bool
    content: ContentRecipe | None = None


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a tenant's recommender, with all that is needed to make it again.

    ``snapshot`` numbers the lake's snapshot that it was trained on (0: it was put out by hand,
    and no run has made it), ``code`` the version of the code (a git commit, or the package
    version), ``packages`` the versions of what it was computed with, ``learned_with`` the
    settings that count (None: not recorded).
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
    learned_with: LearnedWith | None = None

    @property
    def has_recipe(self) -> bool:
        """Whether it can be fitted anew: its arrays are what its model, parameters and seed make
        of a snapshot."""
        return self.snapshot > 0
