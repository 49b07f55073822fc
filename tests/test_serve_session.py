"""Which session a request is about: its own items, the live one, the published one."""

from __future__ import annotations

import asyncio
from typing import Any

from wherry.domain import ItemId, SessionId, TenantId, VisitorId
from wherry.domain.session import SessionItems
from wherry.serve.request import RecommendRequest
from wherry.serve.session import SessionFinder

SHOP = TenantId("default")
LIVE = SessionItems((ItemId("live"),), (ItemId("paid"),), is_live=True)
PUBLISHED = SessionItems((ItemId("published"),))


def live(
    tenant: TenantId, visitor: VisitorId | None, session: SessionId | None
) -> SessionItems | None:
    return LIVE if "ann" in (visitor, session) and tenant == SHOP else None


def published(tenant: TenantId, session: SessionId) -> SessionItems | None:
    return PUBLISHED if session in ("old", "ann") else None


def find(**fields: Any) -> SessionItems:
    finder = SessionFinder(live, published)
    return asyncio.run(finder.find(RecommendRequest(**fields), SHOP))


def test_the_items_of_the_request_win() -> None:
    found = find(session_items=["tent"], visitor_id="ann", session_id="ann", purchased=["oar"])

    assert found == SessionItems((ItemId("tent"),), (ItemId("oar"),))


def test_a_live_session_is_found_by_its_visitor_or_its_id() -> None:
    assert find(visitor_id="ann") == LIVE
    assert find(session_id="ann") == LIVE


def test_what_the_request_says_was_bought_comes_on_top() -> None:
    assert find(visitor_id="ann", purchased=["oar"]).purchased == ("oar", "paid")


def test_a_session_that_is_not_live_is_looked_for_in_what_is_published() -> None:
    assert find(session_id="old", visitor_id="bob") == PUBLISHED


def test_who_is_unknown_has_no_items() -> None:
    assert find(visitor_id="bob", session_id="new") == SessionItems(())
    assert find(visitor_id="", session_id="") == SessionItems(())
    alone = SessionFinder(None, None)
    request = RecommendRequest(visitor_id="ann", session_id="ann")
    assert asyncio.run(alone.find(request, SHOP)) == SessionItems(())
