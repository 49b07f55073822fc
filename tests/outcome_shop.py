"""Answers for the tests of outcomes, in the small shop of the transform, and plain references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from transform_shop import START, Shop, Told, first_tellings
from wherry.collect.answers import Answers
from wherry.collect.inbox import AnswerBatch
from wherry.collect.inbox.page import decode_entry, encode_answers
from wherry.domain import ItemId, LoggedAnswer, Role, SessionId, TenantId, VisitorId
from wherry.lake import next_load_id

WINDOW = 30.0
INTERACTIONS = ("view", "click", "add", "purchase")


@dataclass(frozen=True)
class Shown:
    """One answer as it is given at a minute; ``place`` makes its id, as a batch's name does."""

    name: str
    minute: float
    items: tuple[str, ...] = ()
    visitor_id: str | None = "ann"
    session_id: str | None = None
    request_id: str = ""
    session: tuple[str, ...] = ()
    version: int = 1
    role: Role = Role.CHAMPION
    fallback: str = ""
    from_model: int | None = None
    error: str = ""
    tenant: str = "default"

    @property
    def at(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    @property
    def logged(self) -> LoggedAnswer:
        return LoggedAnswer(
            tenant=TenantId(self.tenant),
            request_id=self.request_id or self.name,
            answered_at=self.at,
            model="recommender",
            version=self.version,
            role=self.role,
            visitor_id=VisitorId(self.visitor_id) if self.visitor_id else None,
            session_id=SessionId(self.session_id) if self.session_id else None,
            session=tuple(map(ItemId, self.session)),
            k=len(self.items),
            items=tuple(map(ItemId, self.items)),
            scores=tuple(1.0 / n for n in range(1, len(self.items) + 1)),
            from_model=len(self.items) if self.from_model is None else self.from_model,
            fallback=self.fallback,
            error=self.error,
        )


def load_answers(shop: Shop, shown: Iterable[Shown]) -> int:
    """Append one load of answers to the log, each in a batch of its own name."""
    answers = Answers()
    for each in shown:
        batch = decode_entry(encode_answers(each.name, START, [each.logged]))
        assert isinstance(batch, AnswerBatch)
        answers.take(batch)
    with shop.lake.writer() as con:
        load_id = next_load_id(con)
        answers.append(con, load_id)
        con.execute(
            "INSERT INTO lake.raw.loads VALUES (?, 'events', 'test', NULL, ?, 0, 0, 0, NULL, NULL)",
            [load_id, START],
        )
    return load_id


@dataclass
class Outcome:
    """What came of one item shown."""

    impressed: datetime | None = None
    clicked: datetime | None = None
    added: datetime | None = None
    purchased: datetime | None = None
    revenue: Decimal = Decimal(0)

    @property
    def row(self) -> tuple[Any, ...]:
        return (self.impressed, self.clicked, self.added, self.purchased, self.revenue)


def outcomes(
    loads: list[list[Told]], shown: Sequence[Shown]
) -> dict[tuple[str, str, int], tuple[Any, ...]]:
    """What came of each item shown, as one would write it down without any thought of speed."""
    answers = {(each.tenant, each.name): each for each in shown}
    found: dict[tuple[str, str, int], Outcome] = {
        (each.tenant, each.name, position): Outcome()
        for each in shown
        for position in range(1, len(each.items) + 1)
    }
    for event in first_tellings(loads):
        following = _answers_before(event, answers.values())
        if event.event_type == "impression" and not event.items:
            for answer, names_it in following:
                if names_it and _is_shown(answer):
                    for position in range(1, len(answer.items) + 1):
                        _note(found[answer.tenant, answer.name, position], event, None)
        for item, price, quantity in event.items:
            rivals = [
                (names_it, answer.at, answer.name, answer)
                for answer, names_it in following
                if item in answer.items and _is_shown(answer)
            ]
            if rivals and event.event_type in (*INTERACTIONS, "impression"):
                best = max(rivals, key=lambda rival: rival[:3])[3]
                position = best.items.index(item) + 1
                paid = None if price is None else Decimal(str(price)) * Decimal(str(quantity or 1))
                _note(found[best.tenant, best.name, position], event, paid)
    return {key: outcome.row for key, outcome in found.items()}


def next_positions(
    loads: list[list[Told]], shown: Sequence[Shown]
) -> dict[tuple[str, str], tuple[str | None, int | None]]:
    """For each answer what its visitor went on to, and where the answer showed it."""
    after: dict[tuple[str, str], list[tuple[datetime, str, int, str]]] = defaultdict(list)
    for event in first_tellings(loads):
        if event.event_type in INTERACTIONS:
            for answer, _ in _answers_before(event, shown):
                for place, (item, _, _) in enumerate(event.items, start=1):
                    if not answer.session or item != answer.session[-1]:
                        key = answer.tenant, answer.name
                        after[key].append((event.at, event.event_id, place, item))
    found: dict[tuple[str, str], tuple[str | None, int | None]] = {}
    for answer in shown:
        key = answer.tenant, answer.name
        item = min(after[key])[3] if after[key] else None
        found[key] = (item, answer.items.index(item) + 1 if item in answer.items else None)
    return found


def _is_shown(answer: Shown) -> bool:
    return answer.role is not Role.SHADOW and not answer.error


def _answers_before(event: Told, answers: Iterable[Shown]) -> list[tuple[Shown, bool]]:
    """The answers that an event follows, and whether it names their request."""
    window = timedelta(minutes=WINDOW)
    visitor = event.visitor_id or event.session_id
    named = (event.properties or {}).get("request_id")
    found = []
    for answer in answers:
        if answer.tenant != event.tenant:
            continue
        passed = event.at - answer.at
        names_it = named == (answer.request_id or answer.name) and abs(passed) < window
        is_theirs = (answer.visitor_id is not None and answer.visitor_id == visitor) or (
            answer.session_id is not None and answer.session_id == event.session_id
        )
        if names_it or (is_theirs and timedelta(0) <= passed < window):
            found.append((answer, names_it))
    return found


def _note(outcome: Outcome, event: Told, paid: Decimal | None) -> None:
    kind = {"impression": "impressed", "view": "clicked", "click": "clicked", "add": "added"}
    name = kind.get(event.event_type, "purchased")
    before = getattr(outcome, name)
    setattr(outcome, name, event.at if before is None else min(before, event.at))
    if event.event_type == "purchase" and paid is not None:
        outcome.revenue += paid


__all__ = ["Shown", "load_answers", "next_positions", "outcomes"]
