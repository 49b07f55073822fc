"""Perturbation: how much of an answer stays where its session changes a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from wherry.behave.answers import K
from wherry.behave.character import bounded
from wherry.behave.subject import Subject
from wherry.domain import Check
from wherry.learn.answer import Query

SESSIONS = 200

Prefix = tuple[str, ...]
Change = Callable[[Subject, Prefix, np.random.Generator], Prefix | None]
"""A session changed a little; None where it can't be."""


def stays_itself(subject: Subject) -> Iterator[Check]:
    """An answer keeps the share that is set where its session changes a little."""
    rules = subject.rules
    for name, change, least in (
        ("overlap, last item swapped for its like", swapped, rules.min_overlap_swapped),
        ("overlap, one event dropped", dropped, rules.min_overlap_dropped),
        ("overlap, order shuffled", shuffled, rules.min_overlap_shuffled),
    ):
        yield bounded(name, overlap(subject, change), least=least)


def overlap(subject: Subject, change: Change) -> float:
    """Mean |A ∩ B| / |A ∪ B| of the 20 items shown before and after; NaN if none can change.

    The answers are those that would be given over HTTP, on a seeded sample of test sessions.
    """
    rng = np.random.default_rng(subject.seed)
    shares = []
    for prefix in subject.prefixes(SESSIONS):
        other = change(subject, prefix, rng)
        if other is not None:
            before, after = _shown(subject, prefix), _shown(subject, other)
            shares.append(len(before & after) / max(len(before | after), 1))
    return float(np.mean(shares)) if shares else np.nan


def swapped(subject: Subject, prefix: Prefix, rng: np.random.Generator) -> Prefix | None:
    """The last item gives way to the item that is closest to it, in its category if it has one."""
    if subject.vectors is None:
        return None
    code = subject.answerer.vocabulary.code(prefix[-1])
    if code is None or not subject.vectors[code].any():
        return None
    close = subject.vectors @ subject.vectors[code]
    categories = subject.answerer.catalogue.categories[: len(close)]
    if categories[code] >= 0:
        close = np.where(categories == categories[code], close, -np.inf)
    close[code] = -np.inf
    like = int(np.argmax(close))
    return (*prefix[:-1], subject.answerer.vocabulary.ids[like]) if close[like] > 0 else None


def dropped(subject: Subject, prefix: Prefix, rng: np.random.Generator) -> Prefix | None:
    """Any one event is left out of a session of two or more."""
    if len(prefix) < 2:
        return None
    place = int(rng.integers(len(prefix)))
    return prefix[:place] + prefix[place + 1 :]


def shuffled(subject: Subject, prefix: Prefix, rng: np.random.Generator) -> Prefix | None:
    """The events of a session with two items or more, in an order that is another."""
    if len(set(prefix)) < 2:
        return None
    while (other := tuple(prefix[i] for i in rng.permutation(len(prefix)))) == prefix:
        pass
    return other


def _shown(subject: Subject, prefix: Prefix) -> set[int]:
    return set(subject.answerer.answer(Query(session=prefix, k=K)).items.tolist())
