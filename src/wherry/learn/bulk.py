"""Answers in bulk: the model's rankings for many sessions, and what is shown of them.

They are what :meth:`wherry.learn.answer.Answerer.answer` says of one session after the other. Where
nothing but the model's head is shown, which is mostly so, many are told apart in one step.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from wherry.learn.answer import Answerer, Made, Query
from wherry.learn.filling import SPARE
from wherry.learn.questions import Questions, Rankings, rank_each


class Answers(NamedTuple):
    """Answers to many sessions: codes (Q, k), -1 where there is no more, scores, how many of each
    come from the model, and from where the others do."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    from_model: NDArray[np.int32]
    fallbacks: list[str | None]

    @classmethod
    def room(cls, count: int, k: int) -> Self:
        """Room for so many answers of k items, which hold none yet."""
        return cls(*Rankings.room(count, k), np.zeros(count, dtype=np.int32), [None] * count)

    def put(self, start: int, part: Answers) -> None:
        """Write others into the rows from ``start`` on."""
        rows = slice(start, start + len(part.items))
        self.items[rows], self.scores[rows] = part.items, part.scores
        self.from_model[rows], self.fallbacks[rows] = part.from_model, part.fallbacks


def heads(answerer: Answerer, questions: Questions, k: int, *, now: int | None = None) -> Rankings:
    """Rank beforehand what ``k`` places of each answer need, and some to spare for what may not
    be shown then, (Q, k + SPARE). Who fills a row has all that the model ranks."""
    known = questions.of_known(answerer.n_learned)
    is_asked = known.lengths > 0
    if is_asked.all():
        return rank_each(answerer.model, known, k + SPARE, now=now)
    found = Rankings.room(known.size, k + SPARE)
    asked = Questions(known.items, np.concatenate(([0], known.offsets[1:][is_asked])))
    ranked = rank_each(answerer.model, asked, k + SPARE, now=now)
    found.items[is_asked], found.scores[is_asked] = ranked
    return found


def answers(
    answerer: Answerer,
    questions: Questions,
    bought: NDArray[np.bool_],
    ranked: Rankings,
    k: int,
    *,
    now: int | None = None,
) -> Answers:
    """The answers that come of :func:`heads`; ``bought`` (N,) marks items that were purchased."""
    given = Answers.room(questions.size, k)
    is_plain = _show_heads(answerer, ranked, k, given)
    if answerer.hide_purchased:
        before = np.concatenate(([0], np.cumsum(bought)))
        is_plain &= np.diff(before[questions.offsets]) == 0
    ids = answerer.vocabulary.ids
    for row in np.flatnonzero(~is_plain).tolist():
        run = slice(int(questions.offsets[row]), int(questions.offsets[row + 1]))
        codes = questions.items[run]
        head = ranked.of(row)
        query = Query(
            session=[ids[code] for code in codes.tolist()],
            k=k,
            purchased=[ids[code] for code in codes[bought[run]].tolist()],
            made=Made(*head, is_all=len(head.items) < k + SPARE),
        )
        answer = answerer.answer(query, now=now)
        given.items[row], given.scores[row] = -1, 0
        given.items[row, : len(answer.items)] = answer.items
        given.scores[row, : len(answer.items)] = answer.scores
        given.from_model[row], given.fallbacks[row] = answer.from_model, answer.fallback
    return given


def _show_heads(answerer: Answerer, ranked: Rankings, k: int, given: Answers) -> NDArray[np.bool_]:
    """Fill the answers with the first k of each head that may be shown; returns which of them are
    whole and final by that."""
    if not answerer.is_plain:
        return np.zeros(len(given.items), dtype=np.bool_)
    is_shown = (ranked.items >= 0) & answerer.catalogue.showable[ranked.items]
    first = np.argsort(~is_shown, axis=1, kind="stable")[:, :k]
    given.items[:] = np.take_along_axis(ranked.items, first, axis=1)
    given.scores[:] = np.take_along_axis(ranked.scores, first, axis=1)
    given.from_model[:] = k
    return np.asarray(is_shown.sum(axis=1) >= k, dtype=np.bool_)
