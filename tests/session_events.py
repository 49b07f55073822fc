"""Sessions from events that come one by one, for the tests that hold the definitions together."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta

from transform_shop import GAP_MINUTES, Told, first_tellings
from wherry.domain import Event, EventId, EventItem, ItemId, SessionId, TenantId, VisitorId
from wherry.domain.session import (
    NEVER,
    Session,
    gap_microseconds,
    interactions_of,
    microseconds,
    name_of,
    take_in,
    whose,
)

GAP = gap_microseconds(GAP_MINUTES)


def as_event(told: Told) -> Event:
    return Event(
        tenant=TenantId(told.tenant),
        event_id=EventId(told.event_id),
        event_type=told.event_type,
        occurred_at=told.at,
        received_at=told.at,
        visitor_id=VisitorId(told.visitor_id or ""),
        session_id=None if told.session_id is None else SessionId(told.session_id),
        items=tuple(EventItem(ItemId(item), price, count) for item, price, count in told.items),
    )


def sessions_of(events: list[Event], most: int = 10_000) -> dict[tuple[str, str], Session]:
    """Every session by tenant and id, from events that come one by one."""
    own: dict[tuple[str, str], list[Session]] = defaultdict(list)
    given: dict[tuple[str, str], list[Session]] = defaultdict(list)
    for each in events:
        visitor, session = whose(each)
        at = microseconds(each.occurred_at)
        interests = interactions_of(each, at)
        if session is not None:
            take_in(given[each.tenant, session], at, interests, gap=NEVER, most=most)
        elif visitor is not None:
            take_in(own[each.tenant, visitor], at, interests, gap=GAP, most=most)
    found = {key: one[0] for key, one in given.items()}
    for (tenant, visitor), several in own.items():
        found |= {(tenant, name_of(visitor, each)): each for each in several}
    return found


def shuffled(loads: list[list[Told]], seed: int) -> list[Event]:
    """Each event as it was told first, some of them twice, in any order."""
    chance = random.Random(seed)
    events = [as_event(told) for told in first_tellings(loads)]
    events += chance.sample(events, len(events) // 5)
    chance.shuffle(events)
    return events


def time_of(at: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=at)
