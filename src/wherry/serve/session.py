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
        found = self.at_hand(request, tenant)
        if found is None and request.session_id and self._published is not None:
            session = SessionId(request.session_id)
            published = await asyncio.to_thread(self._published, tenant, session)
            found = _with_bought(published, request)
        return found or SessionItems((), _items(request.purchased))

    def at_hand(self, request: RecommendRequest, tenant: TenantId) -> SessionItems | None:
        """The session of a request as far as that is known without a wait; None if it isn't."""
        if request.session_items:
            return SessionItems(_items(request.session_items), _items(request.purchased))
        session = SessionId(request.session_id) if request.session_id else None
        visitor = VisitorId(request.visitor_id) if request.visitor_id else None
        if self._live is None or not (session or visitor):
            return None
        return _with_bought(self._live(tenant, visitor, session), request)


def _with_bought(found: SessionItems | None, request: RecommendRequest) -> SessionItems | None:
    if found is None or not request.purchased:
        return found
    bought = (*_items(request.purchased), *found.purchased)
    return msgspec.structs.replace(found, purchased=bought)


def _items(ids: Sequence[str]) -> tuple[ItemId, ...]:
    return cast("tuple[ItemId, ...]", tuple(ids))  # a call for each would cost a microsecond
