"""A session: which events it holds, in which order, and what of them counts as interest.

This is the definition that the SQL of the transform (``stg_events``, ``visits``,
``interactions``) and the training set (``learn/dataset.py``) follow, written for events that come
one by one, early, late or twice. Tests hold the three together.

* Ids are trimmed as DuckDB's ``trim`` does; an empty one is none. Who has no visitor's id is
  known by the session's.
* An event with a session id of the shop's own belongs to that session, however far apart.
  The others of a visitor belong together as long as no two neighbours in time lie more than
  ``gap`` apart, and the session is named by the visitor and its first event's millisecond.
* Every event keeps a session going; of those in ``INTERACTION_TYPES`` the items count, in the
  order of time, event id and place in the event.
* An event id counts once, as it was told first.
* An event on the same item as the one before it, but of another type (a view, then its add), is
  one interest: the earlier one is folded into the later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from wherry.domain.event import INTERACTION_TYPES, Event
from wherry.domain.ids import ItemId, SessionId, VisitorId

NEVER = 1 << 62
"""A gap that no two events lie apart, in microseconds."""


class Span(Protocol):
    """From when to when something lasted, in microseconds since 1970."""

    started_at: int
    ended_at: int


S = TypeVar("S", bound=Span)
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1)
_SPACES = " \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
_KINDS = {name: kind for kind, name in enumerate(INTERACTION_TYPES)}
_PURCHASE = _KINDS["purchase"]


class SessionItems(msgspec.Struct, frozen=True):
    """What is known of a session: its items, the latest last, and what was bought in it.

    ``is_live`` says that it was read from the live state, and not from what is published.
    """

    items: tuple[ItemId, ...]
    purchased: tuple[ItemId, ...] = ()
    is_live: bool = False
    session_id: SessionId | None = None


class Interaction(NamedTuple):
    """One item that a visitor showed interest in; they are ordered by the first three fields.

    ``at`` counts microseconds since 1970, UTC; ``position`` is the item's place in its event,
    from 1; ``kind`` is an index into ``INTERACTION_TYPES``.
    """

    at: int
    event_id: str
    position: int
    kind: int
    item: ItemId


class Session(msgspec.Struct, array_like=True):
    """A session as far as its events have come: from when to when, and its interactions.

    The interactions stand in columns, so that a reader need not look at more than the first
    two. Times count microseconds since 1970, UTC.
    """

    items: list[ItemId]
    kinds: list[int]
    started_at: int
    ended_at: int
    times: list[int]
    event_ids: list[str]
    positions: list[int]

    @classmethod
    def begun(cls, at: int) -> Session:
        """A session whose first event happened at a time, without any interaction yet."""
        return cls([], [], at, at, [], [], [])

    def add(self, at: int, interactions: Sequence[Interaction], most: int) -> None:
        """Take in an event that happened ``at`` a time; the newest ``most`` interactions stay."""
        self.started_at = min(self.started_at, at)
        self.ended_at = max(self.ended_at, at)
        if not interactions:
            return
        if self.times and interactions[0] < (self.times[-1], self.event_ids[-1]):
            self._set(sorted([*self.interactions(), *interactions])[-most:])
            return
        for at, event_id, position, kind, item in interactions:
            self.items.append(item)
            self.kinds.append(kind)
            self.times.append(at)
            self.event_ids.append(event_id)
            self.positions.append(position)
        if len(self.items) > most:
            for column in (self.items, self.kinds, self.times, self.event_ids, self.positions):
                del column[:-most]

    def join(self, other: Session, most: int) -> None:
        """Take in another session that turned out to be the same one."""
        self.started_at = min(self.started_at, other.started_at)
        self.ended_at = max(self.ended_at, other.ended_at)
        self._set(sorted({*self.interactions(), *other.interactions()})[-most:])

    def interactions(self) -> list[Interaction]:
        """The interactions, in order."""
        columns = (self.times, self.event_ids, self.positions, self.kinds, self.items)
        return list(map(Interaction, *columns))

    def _set(self, interactions: Sequence[Interaction]) -> None:
        self.times = [each.at for each in interactions]
        self.event_ids = [each.event_id for each in interactions]
        self.positions = [each.position for each in interactions]
        self.kinds = [each.kind for each in interactions]
        self.items = [each.item for each in interactions]


def take_in(
    sessions: list[Session],
    at: int,
    interactions: Sequence[Interaction],
    *,
    gap: int,
    most: int,
) -> None:
    """Take an event into a visitor's sessions, which are in the order of time.

    It joins what it lies within ``gap`` microseconds of: one session, two that it bridges, or
    none, and then it begins one. A session with an id of the shop's own is the only one of its
    list, and its gap is ``NEVER``. An event whose interactions are there already adds nothing.
    """
    if interactions:
        event_id = interactions[0].event_id
        for each in sessions:
            if event_id in each.event_ids:
                return
    near = [each for each in sessions if each.started_at - gap <= at <= each.ended_at + gap]
    if not near:
        near = [Session.begun(at)]
        sessions.append(near[0])
    near[0].add(at, interactions, most)
    for other in near[1:]:
        near[0].join(other, most)
        sessions.remove(other)
    if len(sessions) > 1:
        sessions.sort(key=_start)


def joined_by(sessions: Sequence[S], at: int, gap: int) -> S | None:
    """The session that an event at a time would join: the live one, if that time is now.

    Of several the newest. None: the event would begin a new one.
    """
    for each in reversed(sessions):
        if each.started_at - gap <= at <= each.ended_at + gap:
            return each
    return None


def name_of(visitor: str, session: Span) -> SessionId:
    """The id of a session that has none of its own, as ``visits.sql`` makes it."""
    return SessionId(f"{visitor}~{session.started_at // 1000}")


def fold(items: Sequence[T], kinds: Sequence[int]) -> list[T]:
    """Leave out each item that the next one repeats as another type.

    >>> fold(["tent", "tent", "boat", "boat"], [0, 2, 0, 0])
    ['tent', 'boat', 'boat']
    """
    if not items or kinds.count(kinds[0]) == len(kinds):  # such as views alone, as most are
        return list(items)
    pairs = zip(items, items[1:], kinds, kinds[1:], strict=False)
    kept = [item for item, then, kind, kind_then in pairs if item != then or kind == kind_then]
    kept.append(items[-1])
    return kept


def bought(items: Sequence[T], kinds: Sequence[int]) -> list[T]:
    """The items that were purchased."""
    if _PURCHASE not in kinds:
        return []
    return [item for item, kind in zip(items, kinds, strict=True) if kind == _PURCHASE]


def whose(event: Event) -> tuple[VisitorId | None, SessionId | None]:
    """The visitor of an event, and the shop's own session id; cleaned."""
    visitor, session = trimmed(event.visitor_id), trimmed(event.session_id or "")
    return VisitorId(visitor or session) or None, SessionId(session) or None


def interactions_of(event: Event, at: int) -> list[Interaction]:
    """The items of an event that count, ``at`` the microsecond when it happened."""
    kind = _KINDS.get(event.event_type)
    if kind is None:
        kind = _KINDS.get(trimmed(event.event_type).lower())
    if kind is None:
        return []
    event_id = trimmed(event.event_id)
    return [
        Interaction(at, event_id, position, kind, ItemId(item))
        for position, each in enumerate(event.items, 1)
        if (item := trimmed(each.id))
    ]


def kind_of(event_type: str) -> int:
    """The index of an interaction's type in ``INTERACTION_TYPES``."""
    return _KINDS[event_type]


def trimmed(text: str) -> str:
    """A text without the blanks around it, as it comes out of the lake.

    A zero character can't be written there; the load puts U+FFFD in its place.
    """
    text = text.strip(" ") if text.isascii() else text.strip(_SPACES)
    return text.replace("\0", "\ufffd") if "\0" in text else text


def gap_microseconds(minutes: float) -> int:
    """The gap that ends a session, as the transform rounds it."""
    return max(round(minutes * 60_000_000), 1)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of a time that is UTC, without a zone."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _start(session: Session) -> int:
    return session.started_at
