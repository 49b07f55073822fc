"""Answers in bulk: the model's rankings for many sessions, and what is shown of them.

They are what :meth:`wherry.learn.answer.Answerer.answer` says of one session after the other. Where
nothing but the model's head is shown, which is mostly so, many are told apart in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec
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
    ranked = rank_each(answerer.model, known.filled(), k + SPARE, now=now)
    found.items[is_asked], found.scores[is_asked] = ranked
    return found


def together(
    answerer: Answerer, queries: Sequence[Query], *, by: str, now: int | None = None
) -> list[Query]:
    """Queries that are to be answered now, with what the model ranks for each.

    The model is asked once for all of them, if it can be. Those whose answer does not begin with
    its head or that have one already, and those that hold nothing that it knows, are left as they
    are. ``by`` names the release.
    """
    whole = list(queries)
    codes: list[int] = []
    offsets, asked = [0], []
    for row, query in enumerate(queries):
        if query.made is None and answerer.uses_head(query):
            codes += answerer.learned(query.session)
            if len(codes) > offsets[-1]:
                asked.append(row)
                offsets.append(len(codes))
    if not asked or answerer.ranks_many is None:
        return whole
    depth = max([query.k for query in queries]) + answerer.spare
    questions = Questions(np.array(codes, dtype=np.int32), np.array(offsets, dtype=np.int64))
    found = answerer.ranks_many.recommend_many(questions, depth, now=now)
    sizes = (found.items >= 0).sum(axis=1).tolist()
    for row, size, items, scores in zip(asked, sizes, found.items, found.scores, strict=True):
        head = Made(items[:size], scores[:size], size < depth, by, is_now=True)
        whole[row] = msgspec.structs.replace(queries[row], made=head)
    return whole


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
