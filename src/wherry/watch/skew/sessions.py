"""The session at a time: what the tables that models learn from say it was, by what had come.

``marts.events`` says which events belong together and ``marts.interactions`` what of them
counts, as the transform's SQL made them, so that what a server kept of a session is held against
the training side and not against its own code. Only what an event that comes later would change
is done here: the events that had come by then are parted at the gap again, since a later one may
have joined two sessions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import duckdb
import msgspec

from wherry.domain import TenantId

_PURCHASE = "purchase"

_EVENTS = """
WITH theirs AS (
    SELECT * FROM lake.marts.events
    WHERE tenant = $tenant AND occurred_at >= $since AND (
        visitor_id IN (SELECT unnest($visitors)) OR (session_given AND session_id IN (
            SELECT unnest($sessions) UNION
            SELECT session_id FROM lake.marts.events
            WHERE tenant = $tenant AND occurred_at >= $since AND session_given
              AND visitor_id IN (SELECT unnest($visitors)))))
), counted AS (
    SELECT event_id, list((position, item_id) ORDER BY position) AS counted
    FROM lake.marts.interactions
    WHERE tenant = $tenant AND occurred_at >= $since
      AND event_id IN (SELECT event_id FROM theirs)
    GROUP BY event_id
)
SELECT event_id, event_type, epoch_us(occurred_at), epoch_us(received_at), visitor_id, session_id,
       session_given, list_transform(items, lambda item: trim(item.id)), counted
FROM theirs LEFT JOIN counted USING (event_id)
ORDER BY occurred_at, event_id
"""


class Came(NamedTuple):
    """An event as the lake has it; times are microseconds since 1970, UTC. ``items`` are all that
    it names, ``counted`` those of interest to training, with their places."""

    event_id: str
    kind: str
    at: int
    came_at: int
    visitor_id: str
    session_id: str
    is_given: bool
    items: Sequence[str]
    counted: Sequence[tuple[int, str]]


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is: ``gap`` of idleness ends one without an id of the shop's own, one with
    an id is known for ``given`` after its last event came (both in microseconds); the ``most``
    newest interactions count.

    The other fields are how a server may have it wrong: by another gap than the lake's
    (``as_lake`` false), with events of a type that never came (``unheard``), whose items did
    not count (``uncounted``) or did, though they should not (``counted_too``), or unfolded.
    """

    gap: int
    given: int
    most: int
    as_lake: bool = True
    unheard: str = ""
    uncounted: str = ""
    counted_too: str = ""
    folds: bool = True


class Past(NamedTuple):
    """A session as it was: its items, what was bought, and its events in the order of time."""

    items: tuple[str, ...]
    purchased: tuple[str, ...]
    events: tuple[Came, ...]


class EventLog:
    """The events of some visitors and sessions, and what their sessions were at a time."""

    def __init__(self, events: Collection[Came]) -> None:
        self.by_visitor: dict[str, list[Came]] = defaultdict(list)
        self.by_session: dict[str, list[Came]] = defaultdict(list)
        for each in events:
            if each.is_given:
                self.by_session[each.session_id].append(each)
            self.by_visitor[each.visitor_id].append(each)

    def about(self, visitor: str | None, session: str | None) -> list[Came]:
        """All events that a session asked for in this way could hold, in the order of time."""
        own = _owner(session)
        names = {name for name in (visitor, own) if name}
        given = {session} if session else set()
        given |= {e.session_id for name in names for e in self._of(name) if e.is_given}
        found = {e.event_id: e for name in names for e in self._of(name)}
        found |= {e.event_id: e for name in given for e in self.by_session.get(name, ())}
        return sorted(found.values(), key=lambda e: (e.at, e.event_id))

    def session(
        self, visitor: str | None, session: str | None, at: int, come_by: int, how: Definition
    ) -> Past | None:
        """The session by its id, or else the one that the visitor was in, ``at`` a time, of the
        events that had come by another; None if there was none."""
        found = self._by_id(session, at, come_by, how) if session else None
        if found is None and visitor:
            found = self._of_visitor(visitor, at, come_by, how)
        return found

    def _by_id(self, session: str, at: int, come_by: int, how: Definition) -> Past | None:
        events = _heard(self.by_session.get(session, ()), come_by, how)
        if events:
            events = _since_silence(events, how.given)
            is_over = at > max(each.came_at for each in events) + how.given
            return None if is_over else _past(events, how)
        visitor = _owner(session)
        own = self._joined(visitor, at, come_by, how) if visitor else None
        if own is None or f"{visitor}~{own[0].at // 1000}" != session:
            return None
        return _past(own, how)

    def _of_visitor(self, visitor: str, at: int, come_by: int, how: Definition) -> Past | None:
        own = self._joined(visitor, at, come_by, how)
        given = [each for each in _heard(self._of(visitor), come_by, how) if each.is_given]
        if given:
            newest = max(given, key=lambda each: (each.at, each.came_at))
            if abs(at - newest.at) <= how.gap and (own is None or own[-1].at < newest.at):
                return self._by_id(newest.session_id, at, come_by, how)
        return None if own is None else _past(own, how)

    def _joined(self, visitor: str, at: int, come_by: int, how: Definition) -> list[Came] | None:
        """The newest session without an id that an event of this moment would join."""
        heard = _heard(self._of(visitor), come_by, how)
        for run in reversed(_runs([each for each in heard if not each.is_given], how)):
            if run[0].at - how.gap <= at <= run[-1].at + how.gap:
                return run
        return None

    def _of(self, visitor: str) -> Sequence[Came]:
        return self.by_visitor.get(visitor, ())


def read_events(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    visitors: Collection[str],
    sessions: Collection[str],
    since: datetime,
) -> EventLog:
    """Read the events of visitors, and of sessions by their ids, from the attached lake."""
    owners = {owner for session in sessions if (owner := _owner(session))}
    rows = con.execute(
        _EVENTS,
        {
            "tenant": tenant,
            "since": since,
            "visitors": sorted({*visitors, *owners}),
            "sessions": sorted(sessions),
        },
    ).fetchall()
    return EventLog([Came._make((*row[:7], row[7] or (), row[8] or ())) for row in rows])


def _owner(session: str | None) -> str:
    """Whose session it is, by the id that the transform gives one without an id."""
    return (session or "").rpartition("~")[0]


def _heard(events: Sequence[Came], come_by: int, how: Definition) -> list[Came]:
    """What had come by then; what came too late to matter is in no server's state."""
    too_late = max(2 * how.gap, how.given)
    return [
        each
        for each in events
        if each.came_at <= come_by
        and each.came_at - each.at <= too_late
        and each.kind != how.unheard
    ]


def _runs(events: Sequence[Came], how: Definition) -> list[list[Came]]:
    """Events in the order of time, parted where the lake parts them, and at the gap."""
    runs: list[list[Came]] = []
    for each in events:
        last = runs[-1][-1] if runs else None
        if last is None or each.at - last.at > how.gap or _is_parted(last, each, how):
            runs.append([])
        runs[-1].append(each)
    return runs


def _is_parted(last: Came, then: Came, how: Definition) -> bool:
    return how.as_lake and last.session_id != then.session_id


def _since_silence(events: list[Came], given: int) -> list[Came]:
    """The events since the last silence so long that what was before it is let go of."""
    came = sorted(each.came_at for each in events)
    begins = [then for before, then in pairwise(came) if then - before > given]
    return [each for each in events if not begins or each.came_at >= begins[-1]]


def _past(events: Sequence[Came], how: Definition) -> Past:
    shown = sorted(
        (each.at, each.event_id, position, each.kind, item)
        for each in events
        for position, item in _counted(each, how)
    )[-how.most :]
    items = [item for *_, item in shown]
    kinds = [kind for *_, kind, _ in shown]
    last = len(shown) - 1
    kept = tuple(
        item
        for n, item in enumerate(items)
        if not how.folds or n == last or item != items[n + 1] or kinds[n] == kinds[n + 1]
    )
    bought = tuple(i for i, kind in zip(items, kinds, strict=True) if kind == _PURCHASE)
    return Past(kept, bought, tuple(events))


def _counted(event: Came, how: Definition) -> Sequence[tuple[int, str]]:
    if event.kind == how.uncounted:
        return ()
    if event.kind == how.counted_too:
        return [(place, item) for place, item in enumerate(event.items, start=1) if item]
    return event.counted
