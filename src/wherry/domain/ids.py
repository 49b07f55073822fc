"""Identifiers: distinct types, so that an item is never passed where a visitor is meant."""

from __future__ import annotations

import re
from typing import NewType

from wherry.errors import UsageError

TenantId = NewType("TenantId", str)
EventId = NewType("EventId", str)
VisitorId = NewType("VisitorId", str)
SessionId = NewType("SessionId", str)
ItemId = NewType("ItemId", str)
RunId = NewType("RunId", str)

DEFAULT_TENANT = TenantId("default")

TENANT_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""What a tenant may be called: it names folders and registered models, so no separators."""


def tenant_id(word: str) -> TenantId:
    """Check a word and return it as a tenant's id.

    >>> tenant_id("north-shop")
    'north-shop'
    """
    if not re.fullmatch(TENANT_PATTERN, word):
        raise UsageError(
            f"{word!r} can't name a tenant: use 1 to 64 letters, digits, '-' or '_', "
            "and start with a letter or a digit."
        )
    return TenantId(word)
