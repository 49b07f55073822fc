"""Checks on the answers themselves, asked of the very recommender that would be released."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from wherry.behave.subject import Subject
from wherry.domain import Check
from wherry.learn.answer import Query

K = 20
"""Items asked for in each answer."""

_SESSIONS = 200
_UNKNOWN = "\N{REPLACEMENT CHARACTER}an item that nobody has ever heard of"


def covers_catalogue(subject: Subject) -> Iterator[Check]:
    """The answers to the test window show at least a share of the catalogue."""
    figure = subject.winner.estimate("coverage@20", seed=subject.seed).value
    bound = subject.rules.min_coverage
    yield Check(
        name="covers the catalogue",
        passed=figure >= bound,
        figure=figure,
        bound=f"≥ {bound:g} of all items",
        message=""
        if figure >= bound
        else f"Only {figure:.2%} of the items were shown to the test window's sessions.",
    )


def shows_only_what_can_be_bought(subject: Subject) -> Iterator[Check]:
    """No answer holds an item that is unavailable or not in the catalogue."""
    catalogue, ids = subject.answerer.catalogue, subject.answerer.vocabulary.ids
    wrong: list[dict[str, object]] = []
    for prefix in subject.prefixes(_SESSIONS):
        shown = subject.answerer.answer(Query(session=prefix, k=K)).items
        hidden = shown[~catalogue.showable[shown]]
        wrong += [{"item": ids[code], "session": " ".join(prefix)} for code in hidden]
    yield _none(wrong, "shows only what can be bought", "An item that can't be bought was shown.")


def hides_what_was_bought(subject: Subject) -> Iterator[Check]:
    """Where it is so set, an item that was just bought is not shown again."""
    if not subject.rules.hide_purchased:
        return
    wrong: list[dict[str, object]] = []
    for prefix in subject.prefixes(_SESSIONS):
        query = Query(session=prefix, k=K, purchased=prefix[-1:])
        shown = subject.answerer.vocabulary
        codes = subject.answerer.answer(query).items.tolist()
        if shown.code(prefix[-1]) in codes:
            wrong.append({"item": prefix[-1], "session": " ".join(prefix)})
    yield _none(wrong, "hides what was just bought", "An item just bought was shown again.")


def ignores_unknown_items(subject: Subject) -> Iterator[Check]:
    """An item that nobody knows, anywhere in the session, changes nothing."""
    wrong: list[dict[str, object]] = []
    for prefix in subject.prefixes(_SESSIONS):
        middle = len(prefix) // 2
        strange = (*prefix[:middle], _UNKNOWN, *prefix[middle:], _UNKNOWN)
        if not _same(subject, Query(session=prefix, k=K), Query(session=strange, k=K)):
            wrong.append({"session": " ".join(prefix)})
    yield _none(wrong, "ignores unknown items", "An unknown item changed the answer.")


def repeats_itself(subject: Subject) -> Iterator[Check]:
    """The same question gets the same answer, whatever was asked in between."""
    queries = [Query(session=prefix, k=K) for prefix in subject.prefixes(_SESSIONS)]
    first = [subject.answerer.answer(query) for query in queries]
    second = [subject.answerer.answer(query) for query in reversed(queries)][::-1]
    wrong: list[dict[str, object]] = [
        {"session": " ".join(query.session)}
        for query, a, b in zip(queries, first, second, strict=True)
        if not (np.array_equal(a.items, b.items) and np.array_equal(a.scores, b.scores))
    ]
    yield _none(wrong, "repeats itself", "The same question got another answer.")


def answers_in_time(subject: Subject) -> Iterator[Check]:
    """The 99th percentile of one answer, without the network, stays within its bound."""
    milliseconds = []
    for prefix in subject.prefixes(_SESSIONS):
        started = time.perf_counter()
        subject.answerer.answer(Query(session=prefix, k=K))
        milliseconds.append((time.perf_counter() - started) * 1e3)
    figure = float(np.percentile(milliseconds, 99)) if milliseconds else 0.0
    bound = subject.rules.max_answer_ms
    yield Check(
        name="answers in time",
        passed=figure <= bound,
        figure=figure,
        bound=f"p99 ≤ {bound:g} ms",
        message="" if figure <= bound else f"One answer in a hundred takes over {figure:.1f} ms.",
    )


def _same(subject: Subject, one: Query, other: Query) -> bool:
    a, b = subject.answerer.answer(one), subject.answerer.answer(other)
    return np.array_equal(a.items, b.items) and np.array_equal(a.scores, b.scores)


def _none(wrong: list[dict[str, object]], name: str, message: str) -> Check:
    return Check(
        name=name,
        passed=not wrong,
        figure=float(len(wrong)),
        bound="= 0",
        message=message if wrong else "",
        sample=tuple(wrong[:5]),
    )
