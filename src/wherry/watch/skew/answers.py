"""Answers computed again: by the release that gave them, about the session that they were given
for, with what had been told of the items by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import isclose
from typing import NamedTuple, Protocol

from wherry.domain.session import microseconds
from wherry.errors import UsageError
from wherry.learn.answer import Answerer
from wherry.watch.skew.explanation import Cause, Explanation
from wherry.watch.skew.items import Telling, Tellings
from wherry.watch.skew.served import Served

TOLERANCE = 1e-5
"""How far a score may be from the one that was served, relatively: sums of float32 depend on the
machine that adds them up."""

_LATER = 1_000
_EPOCH = datetime(1970, 1, 1)
_MOST_TRIED = 50
_NAMED = 5

MADE_BEFORE = "its list may have been made before the request, at another time"


class Releases(Protocol):
    """The releases of a tenant, ready to answer."""

    def answerer(self, version: int) -> Answerer | str:
        """A release under today's standing rules, or the reason why it can't answer any more."""

    def without_rules(self, version: int) -> Answerer | str:
        """The same without any standing rule."""

    def others(self, version: int) -> Sequence[int]:
        """Releases that a server might have held instead, the likeliest first."""

    def rule_names(self) -> frozenset[str]:
        """The names of today's standing rules."""


class Again(NamedTuple):
    """What an answer is now, or why it can't be given (``reason``)."""

    items: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    reason: str = ""


class AnswerCheck(NamedTuple):
    """What came of one: the answer as computed again; whether it is the one served only without
    what was told in the last moment; ``skipped`` says why it can't be compared."""

    again: Again = Again()
    is_in_flight: bool = False
    skipped: str = ""
    explanations: tuple[Explanation, ...] = ()


class AnswerSkew:
    """Compares answers as served with those that their releases give again.

    Of what was told of items in the last ``window`` before an answer some may not have counted.
    """

    def __init__(self, releases: Releases, tellings: Tellings, window: timedelta) -> None:
        self._releases = releases
        self._tellings = tellings
        self._window = window // timedelta(microseconds=1)

    def check(self, served: Served) -> AnswerCheck:
        """Compare one."""
        answerer = self._releases.answerer(served.version)
        if isinstance(answerer, str):
            return AnswerCheck(skipped=answerer)
        until = microseconds(served.asked_at) + _LATER
        again = self._again(served, answerer, until)
        if is_same(served, again):
            return AnswerCheck(again)
        moments = self._tellings.times(until - self._window, until)[:_MOST_TRIED]
        if any(is_same(served, self._again(served, answerer, at - 1)) for at in moments):
            return AnswerCheck(again, is_in_flight=True)
        found = tuple(self._explanations(served, answerer, again, until))
        if not found and _may_be_made_before(served):
            return AnswerCheck(again, skipped=MADE_BEFORE)
        return AnswerCheck(again, explanations=found or (_otherwise(served, again),))

    def _again(self, served: Served, answerer: Answerer, told_by: int) -> Again:
        told = self._tellings.by(told_by, answerer)
        return answer_again(served, answerer, {code: each.available for code, each in told.items()})

    def _explanations(
        self, served: Served, answerer: Answerer, again: Again, until: int
    ) -> Iterator[Explanation]:
        yield from self._stale(served, answerer, again, until)
        yield from self._rules(served, until)
        yield from self._other_release(served, answerer, until)
        if sorted(again.items) == sorted(served.items) and _are_near(again.scores, served.scores):
            words = "the same items and scores; items of equal scores stand in another order"
            yield Explanation(cause=Cause.TIES, words=words)

    def _stale(
        self, served: Served, answerer: Answerer, again: Again, until: int
    ) -> Iterator[Explanation]:
        told = self._tellings.by(until, answerer)
        for at in [*self._tellings.times(0, until)[:_MOST_TRIED], 0]:
            if is_same(served, self._again(served, answerer, max(at - 1, 0))):
                seen = {*served.items} ^ {*again.items}
                late = [each for code, each in told.items() if each.told_at >= at]
                known = [each for each in late if each.item in seen]
                words = f"the server did not know that {_told(known or late)}"
                yield Explanation(cause=Cause.STALE_ITEMS, words=words)
                return

    def _rules(self, served: Served, until: int) -> Iterator[Explanation]:
        gone = sorted(served.rules - self._releases.rule_names() - _own_names(served))
        if gone:
            words = f"standing rules that counted then are not in the settings: {', '.join(gone)}"
            yield Explanation(cause=Cause.RULES, detail=", ".join(gone), words=words)
        plain = self._releases.without_rules(served.version)
        if not isinstance(plain, str) and is_same(served, self._again(served, plain, until)):
            words = "no standing rule counted; there are some in the settings"
            yield Explanation(cause=Cause.RULES, detail="none", words=words)

    def _other_release(
        self, served: Served, answerer: Answerer, until: int
    ) -> Iterator[Explanation]:
        told = {code: each.available for code, each in self._tellings.by(until, answerer).items()}
        for version in self._releases.others(served.version):
            other = self._releases.answerer(version)
            if isinstance(other, str):
                continue
            name = f"{served.model}@{version}"
            if is_same(served, self._again(served, other, until)):
                words = f"it is what {name} answers"
                yield Explanation(cause=Cause.RELEASE, detail=name, words=words)
                continue
            theirs = {**_catalogue_of(other, answerer), **told}
            if is_same(served, answer_again(served, answerer, theirs)):
                words = f"the server went by the items of {name}"
                yield Explanation(cause=Cause.STALE_ITEMS, detail=name, words=words)


def answer_again(served: Served, answerer: Answerer, told: dict[int, bool]) -> Again:
    """What a release answers to what was asked, at the time when it was asked."""
    if told:
        answerer = answerer.with_availability(told)
    now = (served.asked_at - _EPOCH) // timedelta(milliseconds=1)
    try:
        answer = answerer.answer(served.query, now=now)
    except UsageError as error:
        return Again(reason=str(error))
    ids = answerer.vocabulary.ids
    return Again(tuple(ids[code] for code in answer.items.tolist()), tuple(answer.scores.tolist()))


def is_same(served: Served, again: Again) -> bool:
    """Whether both show the same items in the same order, with the same scores."""
    same = not again.reason and served.items == again.items
    return same and _are_near(served.scores, again.scores)


def _are_near(some: Sequence[float], others: Sequence[float]) -> bool:
    return len(some) == len(others) and all(
        isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9)
        for one, other in zip(some, others, strict=True)
    )


def _may_be_made_before(served: Served) -> bool:
    """Whether it is about a session that neither the request nor the live state told."""
    return bool(served.session) and not served.is_live and served.is_given is False


def _catalogue_of(other: Answerer, answerer: Answerer) -> dict[int, bool]:
    """What another release may show, for the items of a release that it knows, by its numbers."""
    told = {}
    for code, item in enumerate(answerer.vocabulary.ids):
        theirs = other.vocabulary.code(item)
        if theirs is not None:
            may_show = bool(other.catalogue.showable[theirs])
            if may_show != answerer.catalogue.showable[code]:
                told[code] = may_show
    return told


def _own_names(served: Served) -> frozenset[str]:
    return frozenset({"request"} | {rule.name for rule in served.query.rules})


def _otherwise(served: Served, again: Again) -> Explanation:
    """The first place that differs, where nothing explains why."""
    if again.reason:
        words = f"it can't be answered now: {again.reason}"
        return Explanation(cause=Cause.RULES, detail="refused", words=words)
    for place, (then, now) in enumerate(zip(served.items, again.items, strict=False), start=1):
        if then != now:
            words = f"place {place} shows {then}; it is {now}"
            return Explanation(cause=Cause.MODEL, words=words)
    if len(served.items) != len(again.items):
        words = f"{len(served.items)} items were shown; there are {len(again.items)}"
    else:
        words = "the same items with other scores"
    return Explanation(cause=Cause.MODEL, words=words)


def _told(tellings: Sequence[Telling]) -> str:
    """What was told of items, a few of them."""
    parts = [
        f"{each.item} was told {'available' if each.available else 'unavailable'} at "
        f"{_EPOCH + timedelta(microseconds=each.told_at):%Y-%m-%d %H:%M:%S}"
        for each in tellings[:_NAMED]
    ]
    more = len(tellings) - len(parts)
    return ", ".join(parts) + (f" and of {more} items more" if more > 0 else "")
