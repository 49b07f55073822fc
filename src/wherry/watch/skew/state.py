"""Live state held against the lake: is the session that was served the one that it has?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec

from wherry.domain import INTERACTION_TYPES
from wherry.domain.session import microseconds
from wherry.watch.skew.explanation import Cause, Explanation, gap_words
from wherry.watch.skew.served import Served
from wherry.watch.skew.sessions import Came, Definition, EventLog, Past

_MINUTE = 60_000_000
_LATER = 1_000
"""Requests tell the millisecond that they came in: their state is looked up within it."""

_MOST_TRIED = 100
_NAMED = 5


class StateCheck(NamedTuple):
    """What came of one: the session by the lake; whether it is that one only without some events
    of the last moment; and what would explain the difference, best first, if there is one."""

    expected: tuple[str, ...]
    is_in_flight: bool = False
    explanations: tuple[Explanation, ...] = ()


class StateSkew:
    """Compares sessions as served with those that the lake has of the same time.

    An event is acknowledged a moment after it came, and is in the state about then: those of the
    last ``window`` before the answer may be in it or not, in the order in which they came.
    """

    def __init__(self, log: EventLog, how: Definition, window: timedelta) -> None:
        self._log = log
        self._how = how
        self._window = window // timedelta(microseconds=1)

    def check(self, served: Served) -> StateCheck:
        """Compare one."""
        one = _Case(self._log, self._how, served)
        expected = one.past(one.until)
        shown = expected.items if expected else ()
        if one.is_like(expected):
            return StateCheck(shown)
        if any(one.is_like(one.past(cut)) for cut in one.cuts(one.until - self._window)):
            return StateCheck(shown, is_in_flight=True)
        found = tuple(one.explanations(expected))
        nothing = Explanation(cause=Cause.UNEXPLAINED, words="no single fault gives this session")
        return StateCheck(shown, explanations=found or (nothing,))


class _Case:
    """One answer, and the sessions that it could have been about under one fault or another."""

    def __init__(self, log: EventLog, how: Definition, served: Served) -> None:
        self.log, self.how, self.served = log, how, served
        self.at = microseconds(served.asked_at)
        self.until = self.at + _LATER
        self.events = [
            each
            for each in log.about(served.visitor_id, served.session_id)
            if each.came_at <= self.until
        ]

    def past(self, come_by: int, how: Definition | None = None) -> Past | None:
        who = self.served
        return self.log.session(who.visitor_id, who.session_id, self.at, come_by, how or self.how)

    def under(self, **fault: object) -> Past | None:
        return self.past(self.until, msgspec.structs.replace(self.how, **fault))

    def is_like(self, past: Past | None) -> bool:
        """Whether this is what was served."""
        served = self.served
        if past is None:
            return not served.is_live
        bought = len(past.purchased)
        ends = served.purchased[len(served.purchased) - bought :]
        return served.is_live and (past.items, past.purchased) == (served.session, ends)

    def cuts(self, since: int) -> Iterator[int]:
        """Times before which less had come, the latest first, down to ``since``."""
        came = sorted({each.came_at for each in self.events if each.came_at > since}, reverse=True)
        yield from (at - 1 for at in came[:_MOST_TRIED])

    def explanations(self, expected: Past | None) -> Iterator[Explanation]:
        yield from self._gap()
        yield from self._event_types()
        if self.is_like(self.under(folds=False)):
            yield Explanation(cause=Cause.UNFOLDED, words="items were not folded into the next")
        yield from self._behind()
        if expected is not None and self.served.is_live:
            yield from self._items(expected)

    def _gap(self) -> Iterator[Explanation]:
        """Between which bounds a gap lies that gives what was served."""
        times = [each.at for each in self.events if not each.is_given]
        apart = {b - a for a, b in pairwise(times)}
        apart |= {abs(self.at - each.at) for each in self.events}
        bounds = sorted({0, *apart})[: 2 * _MOST_TRIED]
        fits = [self.is_like(self.under(gap=max(low, 1), as_lake=False)) for low in bounds]
        if True not in fits:
            return
        first = fits.index(True)
        beyond = [*fits, False].index(False, first)
        found = Explanation(
            cause=Cause.GAP,
            words="",
            detail="shorter" if bounds[first] < self.how.gap else "longer",
            low=bounds[first] / _MINUTE,
            high=bounds[beyond] / _MINUTE if beyond < len(bounds) else float("inf"),
        )
        yield msgspec.structs.replace(found, words=gap_words([found], self.how.gap / _MINUTE))

    def _event_types(self) -> Iterator[Explanation]:
        for kind in sorted({each.kind for each in self.events}):
            if kind not in INTERACTION_TYPES:
                if self.is_like(self.under(counted_too=kind)):
                    words = f"items of {kind!r} events counted, which they don't in training"
                    yield Explanation(cause=Cause.EVENT_TYPE, detail=kind, words=words)
            elif self.is_like(self.under(uncounted=kind)):
                words = f"the items of {kind!r} events did not count"
                yield Explanation(cause=Cause.EVENT_TYPE, detail=kind, words=words)
            if self.is_like(self.under(unheard=kind)):
                words = f"no {kind!r} event came to the state"
                yield Explanation(cause=Cause.EVENT_TYPE, detail=kind, words=words)

    def _behind(self) -> Iterator[Explanation]:
        for cut in self.cuts(0):
            if self.is_like(self.past(cut)):
                missing = [each for each in self.events if each.came_at > cut]
                words = f"the state lacked what came last: {_named(missing)}"
                yield Explanation(cause=Cause.BEHIND, words=words)
                return

    def _items(self, expected: Past) -> Iterator[Explanation]:
        """How two lists of items differ, where no fault was found that makes one the other."""
        then, now = self.served.session, expected.items
        if then == now:
            yield Explanation(cause=Cause.PURCHASES, words="the purchases differ")
        elif sorted(then) == sorted(now):
            yield Explanation(cause=Cause.ORDER, words="the same items in another order")
        elif then and then == now[-len(then) :]:
            words = f"only the newest {len(then)} items of {len(now)} were kept"
            yield Explanation(cause=Cause.LENGTH, detail="fewer", words=words)
        elif now and now == then[len(then) - len(now) :]:
            words = f"{len(then)} items were kept where {len(now)} are"
            yield Explanation(cause=Cause.LENGTH, detail="more", words=words)
        elif _is_within(then, now):
            lost = [each for each in expected.events if not {i for _, i in each.counted} <= {*then}]
            yield Explanation(cause=Cause.MISSING, words=f"lacking in the state: {_named(lost)}")
        elif _is_within(now, then):
            more = sorted({*then} - {*now})[:_NAMED]
            words = f"the lake has no event of {', '.join(more) or 'some of them'} in this session"
            yield Explanation(cause=Cause.UNHEARD_OF, words=words)


def _is_within(some: tuple[str, ...], all_: tuple[str, ...]) -> bool:
    """Whether the first come in this order among the others."""
    rest = iter(all_)
    return all(item in rest for item in some)


def _named(events: list[Came]) -> str:
    """Events by type and id, a few of them."""
    names = [f"{each.kind} {each.event_id}" for each in events[:_NAMED]]
    more = len(events) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
