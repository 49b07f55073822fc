"""Availability: whether an item can be bought, as a shop tells it between two catalogues."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from wherry.domain.ids import TenantId


class ItemAvailability(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One item, and whether it can be bought now."""

    id: Annotated[str, Meta(min_length=1, max_length=500, description="The item's id.")]
    available: Annotated[bool, Meta(description="Whether it can be bought now.")]


class Telling(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was told of an item at ``told_at`` (UTC, without a zone); the newest telling counts."""

    tenant: TenantId
    item_id: str
    available: bool
    told_at: datetime
