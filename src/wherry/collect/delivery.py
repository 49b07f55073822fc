"""What arrives in one request, as it came, and what a protocol's parser makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from wherry.domain import Event, TenantId


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One request that brings events, kept whole so that a better parser can read it again.

    ``protocol`` names the parser that understands it. ``received_at`` is UTC without a zone.
    ``body`` is the original, decompressed. ``context`` holds whatever else a parser needs:
    path, query string, content type, truncated address, family of the user agent.
    """

    tenant: TenantId
    protocol: str
    received_at: datetime
    body: bytes
    context: dict[str, str] = {}


class Refusal(msgspec.Struct, frozen=True):
    """An event that can't be taken: its place in the request (from 0), why, and its text."""

    position: int
    reason: str
    original: str


class Parsed(msgspec.Struct, frozen=True):
    """What a delivery holds: the events that can be taken, and those that can't."""

    events: list[Event]
    refusals: list[Refusal] = []


Parser = Callable[[Delivery], Parsed]
"""Reads a delivery: the same one gives the same events, whenever and wherever it is read."""
