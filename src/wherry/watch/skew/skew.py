"""Skew: whether what was served is what the lake and the releases say it had to be (invariant 5).

Logged answers are computed again offline. The session that a server knew of is held against the
one in the tables that models learn from, by what had come in until then. The answer is held
against what its release answers to the session that was served, so that a difference of the
state is not counted again as one of the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import duckdb
import msgspec

from wherry.domain import Role, TenantId
from wherry.watch.skew.answers import AnswerSkew, Releases
from wherry.watch.skew.explanation import Cause, Explanation, choose, gap_words
from wherry.watch.skew.items import read_tellings
from wherry.watch.skew.served import Served, draw
from wherry.watch.skew.sessions import Definition, read_events
from wherry.watch.skew.state import StateSkew

SAMPLES = 20
"""How many differences are told one by one."""

NO_VISITOR = "the request named no visitor and no session"
GIVEN = "the session came with the request"
NOT_NOTED = "logged before it was noted whether the session came with the request"
NOT_LIVE = "the session was the published one, or the one that a list was made for"

_LOOK_BACK = timedelta(days=7)
_MINUTE = 60_000_000

Part = Literal["session", "answer"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is not as it had to be, in its ``part``: what was served, what it had to
    be, and the fault that explains it. ``answer_id`` is its batch in ``raw.answers`` and its
    place in there."""

    part: Part
    answer_id: str
    request_id: str
    answered_at: datetime
    release: str
    role: Role
    visitor_id: str | None
    session_id: str | None
    cause: Cause
    words: str
    served: tuple[str, ...]
    expected: tuple[str, ...]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault and how many differences it explains."""

    cause: Cause
    words: str
    count: int


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a sample: ``answers`` were drawn, of ``sessions`` the state and of
    ``rankings`` the answer was computed again.

    ``same`` of the drawn show no difference. ``in_flight`` of those are the same only without
    what came in the last moment before the answer, which may not have counted yet. ``skipped``
    counts what could not be held against anything, by the reason. ``differences`` are the first
    of all that there are.
    """

    tenant: TenantId
    answers: int = 0
    since: datetime | None = None
    until: datetime | None = None
    sessions: int = 0
    rankings: int = 0
    same: int = 0
    in_flight: int = 0
    skipped: dict[str, int] = {}
    faults: tuple[Fault, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether no difference was found."""
        return not self.faults


class _Found(NamedTuple):
    """A difference before one of its explanations is chosen."""

    part: Part
    served: Served
    then: tuple[str, ...]
    now: tuple[str, ...]
    explanations: tuple[Explanation, ...]


def examine(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    releases: Releases,
    definition: Definition,
    *,
    count: int,
    days: int,
    seed: int,
    window: timedelta,
) -> Skew:
    """Compute a sample of logged answers again, from the attached lake.

    ``count`` answers of the newest ``days`` are drawn by ``seed``. ``definition`` is what the
    settings call a session. What came in the last ``window`` before an answer may or may not
    have counted for it.
    """
    drawn = draw(con, tenant, count=count, days=days, seed=seed, window=window)
    if not drawn:
        return Skew(tenant=tenant)
    work = _Examination(tenant, definition.gap / _MINUTE)
    work.states(drawn, _state_skew(con, tenant, drawn, definition, window))
    tellings = read_tellings(con, tenant, drawn[-1].asked_at + window)
    work.answers(drawn, AnswerSkew(releases, tellings, window))
    return work.report(drawn)


def _state_skew(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    drawn: Sequence[Served],
    definition: Definition,
    window: timedelta,
) -> StateSkew:
    asked = [each for each in drawn if not _why_no_state(each)]
    visitors = {each.visitor_id for each in asked if each.visitor_id}
    sessions = {each.session_id for each in asked if each.session_id}
    kept = timedelta(microseconds=max(2 * definition.gap, definition.given))
    since = min(each.asked_at for each in drawn) - max(2 * kept, _LOOK_BACK)
    return StateSkew(read_events(con, tenant, visitors, sessions, since), definition, window)


def _why_no_state(served: Served) -> str:
    """Why the session of an answer can't be held against the lake; empty where it can."""
    if served.is_given:
        return GIVEN
    if not (served.visitor_id or served.session_id):
        return NO_VISITOR
    return NOT_NOTED if served.is_given is None and not served.is_live else ""


class _Examination:
    """Counts what comes of the answers."""

    def __init__(self, tenant: TenantId, gap_minutes: float) -> None:
        self._tenant = tenant
        self._gap_minutes = gap_minutes
        self._found: list[_Found] = []
        self._in_flight: set[str] = set()
        self._skipped: Counter[str] = Counter()
        self._sessions = 0
        self._rankings = 0

    def states(self, drawn: Sequence[Served], skew: StateSkew) -> None:
        for each in drawn:
            reason = _why_no_state(each)
            if reason:
                self._skipped[f"session: {reason}"] += 1
                continue
            self._sessions += 1
            check = skew.check(each)
            if check.is_in_flight:
                self._in_flight.add(each.answer_id)
            if check.explanations:
                self._note("session", each, each.session, check.expected, check.explanations)
            elif each.session and not each.is_live:
                self._skipped[f"session: {NOT_LIVE}"] += 1

    def answers(self, drawn: Sequence[Served], skew: AnswerSkew) -> None:
        for each in drawn:
            check = skew.check(each)
            if check.skipped:
                self._skipped[f"answer: {check.skipped}"] += 1
                continue
            self._rankings += 1
            if check.is_in_flight:
                self._in_flight.add(each.answer_id)
            if check.explanations:
                self._note("answer", each, each.items, check.again.items, check.explanations)

    def _note(
        self,
        part: Part,
        served: Served,
        then: tuple[str, ...],
        now: tuple[str, ...],
        explanations: tuple[Explanation, ...],
    ) -> None:
        self._found.append(_Found(part, served, then, now, explanations))

    def report(self, drawn: Sequence[Served]) -> Skew:
        chosen = choose([each.explanations for each in self._found])
        differing = {each.served.answer_id for each in self._found}
        return Skew(
            tenant=self._tenant,
            answers=len(drawn),
            since=drawn[0].answered_at,
            until=drawn[-1].answered_at,
            sessions=self._sessions,
            rankings=self._rankings,
            same=len(drawn) - len(differing),
            in_flight=len(self._in_flight - differing),
            skipped=dict(self._skipped.most_common()),
            faults=_faults(chosen, self._gap_minutes),
            differences=tuple(
                _difference(found, why)
                for found, why in list(zip(self._found, chosen, strict=True))[:SAMPLES]
            ),
        )


def _faults(chosen: Sequence[Explanation], gap_minutes: float) -> tuple[Fault, ...]:
    """The faults, the one that explains most first, each told by one of its differences."""
    found = []
    for key, count in Counter(each.key for each in chosen).most_common():
        mine = [each for each in chosen if each.key == key]
        is_gap = mine[0].cause is Cause.GAP
        words = gap_words(mine, gap_minutes) if is_gap else mine[0].words
        found.append(Fault(cause=mine[0].cause, words=words, count=count))
    return tuple(found)


def _difference(found: _Found, why: Explanation) -> Difference:
    served = found.served
    return Difference(
        part=found.part,
        answer_id=served.answer_id,
        request_id=served.request_id,
        answered_at=served.answered_at,
        release=served.release,
        role=served.role,
        visitor_id=served.visitor_id,
        session_id=served.session_id,
        cause=why.cause,
        words=why.words,
        served=found.then,
        expected=found.now,
    )
