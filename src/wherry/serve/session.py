"""The session that a request is about: as it says itself, as it is live, or as published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from wherry.domain import ItemId, SessionId, TenantId, VisitorId
from wherry.domain.session import SessionItems
from wherry.serve.request import RecommendRequest

SessionLookup = Callable[[TenantId, SessionId], SessionItems | None]
"""Finds a session by its id, None if it isn't known. It is called in a thread."""

LiveLookup = Callable[[TenantId, VisitorId | None, SessionId | None], SessionItems | None]
"""Finds the session that a visitor is in, or one by its id, as it is now; None if there is
none. It takes microseconds and is called on the event loop."""


class SessionFinder:
    """Finds what is known of a request's session, in this order:

    1. the items that the request gives;
    2. the live session of its ``session_id``, or else the one that its ``visitor_id`` is in;
    3. the session of its ``session_id`` as it was published.
    """

    def __init__(self, live: LiveLookup | None, published: SessionLookup | None) -> None:
        self._live = live
        self._published = published

    async def find(self, request: RecommendRequest, tenant: TenantId) -> SessionItems:
        """The session of a request; without items where nothing is known of it."""
        purchased = _items(request.purchased)
        if request.session_items:
            return SessionItems(_items(request.session_items), purchased)
        session = SessionId(request.session_id) if request.session_id else None
        visitor = VisitorId(request.visitor_id) if request.visitor_id else None
        found = None
        if self._live is not None and (session or visitor):
            found = self._live(tenant, visitor, session)
        if found is None and session and self._published is not None:
            found = await asyncio.to_thread(self._published, tenant, session)
        if found is None:
            return SessionItems((), purchased)
        if purchased:
            return msgspec.structs.replace(found, purchased=(*purchased, *found.purchased))
        return found


def _items(ids: Sequence[str]) -> tuple[ItemId, ...]:
    return cast("tuple[ItemId, ...]", tuple(ids))  # a call for each would cost a microsecond
