"""Live sessions: what every visitor did lately, so that the next answer knows of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from wherry.domain import Event, SessionId, TenantId, VisitorId
from wherry.domain.session import (
    NEVER,
    SessionItems,
    bought,
    fold,
    gap_microseconds,
    joined_by,
    microseconds,
    name_of,
    take_in,
    trimmed,
)
from wherry.live.records import (
    GIVEN,
    KINDS,
    VISITOR,
    Arrival,
    Glance,
    Looked,
    Record,
    arrivals_of,
    drop,
    given_key,
    look,
    read_record,
    remove_record,
    silent,
    visitor_key,
    write_record,
)
from wherry.live.store import Changes, LiveStore, Noun

_SWEPT_AT_ONCE = 64
_MOST_SESSIONS = 8
"""Of one visitor at once: only clocks that are wrong make so many within two gaps."""

_HOUR = 3_600_000_000
_MARK = b"sessions"
_FORM = 2
"""Of the records; counts up when what is kept in them changes."""


class LiveRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is, and how much of it is kept.

    ``gap`` microseconds of idleness end a session without an id of the shop's own, and let go
    of what is known of it one gap later. One with an id is kept for ``given_hours`` after its
    last event. Of each the newest ``max_items`` interactions are kept. All together may take
    ``max_bytes``; beyond that those go first that were silent the longest.
    """

    gap: int = gap_microseconds(30.0)
    given_hours: float = 24.0
    max_items: int = 200
    max_bytes: int = 256_000_000


class LiveSessions:
    """The sessions of all tenants' visitors, in the live store; processes and threads share it.

    Taking in the same event again changes nothing, and late events find their place, so it may
    be filled from the log while events come in. It never raises for what is wrong with the
    store: a session is then not known.
    """

    def __init__(self, store: LiveStore, rules: LiveRules | None = None) -> None:
        self._store = store
        self._rules = rules or LiveRules()
        self._kept_for = {
            VISITOR: 2 * self._rules.gap,
            GIVEN: round(self._rules.given_hours * _HOUR),
        }
        self._too_late = timedelta(microseconds=max(self._kept_for.values()))

    def take(self, events: Sequence[Event]) -> None:
        """Take in events that were acknowledged, in the order in which they came.

        One that came later after it happened than a session is kept is left out.
        """
        by_key: dict[bytes, list[Arrival]] = {}
        for event in events:
            if event.received_at - event.occurred_at > self._too_late:
                continue
            for key, arrival in arrivals_of(event):
                by_key.setdefault(key, []).append(arrival)
        if by_key:
            self._store.update(lambda changes: self._write(changes, by_key))

    def find(
        self, tenant: TenantId, visitor: VisitorId | None, session: SessionId | None, at: int
    ) -> SessionItems | None:
        """A session by its id, or else the one that a visitor is in, ``at`` a microsecond since
        1970, UTC; None if there is none."""
        found = self._of_session(tenant, session, at) if session else None
        return self._of_visitor(tenant, visitor, at) if found is None and visitor else found

    def of_visitor(
        self, tenant: TenantId, visitor: VisitorId, now: datetime
    ) -> SessionItems | None:
        """The session that a visitor is in ``now``; None if there is none.

        It is the one that an event of this moment would join. Of a session with an id of the
        shop's own that is known only once the event comes: it counts until it has been idle
        for the gap.
        """
        return self._of_visitor(tenant, visitor, microseconds(now))

    def _of_visitor(self, tenant: TenantId, visitor: VisitorId, at: int) -> SessionItems | None:
        name, gap = trimmed(visitor), self._rules.gap
        found = self._look(visitor_key(tenant, name))
        if found is None:
            return None
        own = joined_by(found.sessions, at, gap)
        if abs(at - found.given_at) <= gap and (own is None or own.ended_at < found.given_at):
            return self._of_session(tenant, SessionId(found.given), at)
        return None if own is None else _told(own, name_of(name, own))

    def of_session(
        self, tenant: TenantId, session: SessionId, now: datetime
    ) -> SessionItems | None:
        """A session by its id: the shop's own, or the one that the transform gives; None if it
        is not known, or over."""
        return self._of_session(tenant, session, microseconds(now))

    def _of_session(self, tenant: TenantId, session: SessionId, at: int) -> SessionItems | None:
        name = SessionId(trimmed(session))
        found = self._look(given_key(tenant, name))
        if found is not None:
            is_over = at > found.seen_at + self._kept_for[GIVEN]
            return None if is_over else _told(found.sessions[0], name)
        visitor, tilde, _ = name.rpartition("~")
        found = self._look(visitor_key(tenant, visitor)) if tilde else None
        own = None if found is None else joined_by(found.sessions, at, self._rules.gap)
        return None if own is None or name_of(visitor, own) != name else _told(own, name)

    def sweep(self, now: datetime) -> int:
        """Let go of some records that are over; returns how many. 0: there is nothing to do."""
        at = microseconds(now)
        return self._store.update(lambda changes: self._sweep(changes, at)) or 0

    def forget(
        self, tenant: TenantId, visitors: Iterable[str], sessions: Iterable[str] = ()
    ) -> None:
        """Let go of visitors, and of sessions with an id of the shop's own."""
        keys = [visitor_key(tenant, trimmed(visitor)) for visitor in visitors]
        keys += [given_key(tenant, trimmed(session)) for session in sessions]
        self._store.update(lambda changes: self._forget(changes, keys))
        self._store.compact()

    @property
    def is_complete(self) -> bool:
        """Whether the state holds all that it should: it is so once it was marked, until the
        store is replaced or the rules are changed."""
        return self._store.get(Noun.MARKS, _MARK) == self._mark()

    def begin_anew(self) -> None:
        """Let go of everything that was kept under other rules."""

        def step(changes: Changes) -> None:
            if changes.get(Noun.MARKS, _MARK) not in (None, self._mark()):
                changes.clear(Noun.SESSIONS)
                changes.clear(Noun.SEEN)
            changes.delete(Noun.MARKS, _MARK)

        self._store.update(step)

    def mark_complete(self) -> None:
        """Say that everything the log holds has been taken in."""
        self._store.update(lambda changes: changes.put(Noun.MARKS, _MARK, self._mark()))

    def _mark(self) -> bytes:
        return b"%d %d %d" % (_FORM, self._rules.gap, self._rules.max_items)

    def _look(self, key: bytes) -> Looked | None:
        content = self._store.get(Noun.SESSIONS, key)
        return None if content is None else look(content)

    def _write(self, changes: Changes, by_key: dict[bytes, list[Arrival]]) -> None:
        has_grown = False
        for key, arrivals in by_key.items():
            record = read_record(changes, key)
            if record is None:
                record, has_grown = Record([], 0), True
            for arrival in arrivals:
                self._take(record, arrival)
            if record.sessions or record.given:
                write_record(changes, key, record)
            elif record.place:
                remove_record(changes, key, record)
        if has_grown:
            self._bound(changes)

    def _take(self, record: Record, arrival: Arrival) -> None:
        rules, at = self._rules, arrival.at
        record.seen_at = max(record.seen_at, arrival.came_at)
        if not arrival.given:
            gap = NEVER if arrival.kind == GIVEN else rules.gap
            take_in(record.sessions, at, arrival.interactions, gap=gap, most=rules.max_items)
        elif at >= max(record.given_at, arrival.came_at - rules.gap):
            record.given, record.given_at = arrival.given, at
        if arrival.kind == VISITOR:
            over = arrival.came_at - self._kept_for[VISITOR]
            if record.sessions and record.sessions[0].ended_at < over:
                record.sessions = [each for each in record.sessions if each.ended_at >= over]
            del record.sessions[:-_MOST_SESSIONS]

    def _bound(self, changes: Changes) -> None:
        """Let go of some that were silent the longest, while all take too much room."""
        if changes.size(Noun.SESSIONS) + changes.size(Noun.SEEN) > self._rules.max_bytes:
            both = [each for kind in KINDS for each in silent(changes, kind, _SWEPT_AT_ONCE)]
            for each in sorted(both)[:_SWEPT_AT_ONCE]:
                drop(changes, each)

    def _sweep(self, changes: Changes, at: int) -> int:
        over = [
            each
            for kind in KINDS
            for each in silent(changes, kind, _SWEPT_AT_ONCE)
            if each.seen_at < at - self._kept_for[kind]
        ]
        for each in over:
            drop(changes, each)
        return len(over)

    def _forget(self, changes: Changes, keys: Sequence[bytes]) -> None:
        for key in keys:
            record = read_record(changes, key)
            if record is not None:
                remove_record(changes, key, record)


def _told(session: Glance, name: SessionId) -> SessionItems:
    return SessionItems(
        items=tuple(fold(session.items, session.kinds)),
        purchased=tuple(bought(session.items, session.kinds)),
        is_live=True,
        session_id=name,
    )
