"""The answer: what is shown to a session, from a model's ranking and the catalogue's facts.

This is the one path for HTTP, for the command line and for the tests of behaviour: what is
tested before a release is what answers after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.catalogue import Catalogue, Filter, Range, Word, category_rows
from wherry.learn.content import Content
from wherry.learn.model import Model
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.sessions import Vocabulary

SPARE = 16
"""How many more than k are asked of a model at first, where some items may not be shown."""


CONTENT = "content"
"""The folder of what is known of items by their texts."""


class Fallback(StrEnum):
    """The list that fills the places which the model leaves empty."""

    SIMILAR = "similar"
    POPULAR = "popular"
    POPULAR_IN_CATEGORY = "popular_in_category"


class Query(msgspec.Struct, frozen=True):
    """What is asked: k items for a session, the latest of ``session`` last.

    Ids that nobody knows change nothing. ``exclude`` is never shown; nor is ``purchased``,
    what was just bought, where the answerer hides that.
    """

    session: Sequence[str] = ()
    k: int = 10
    filter: Filter = {}
    exclude: Sequence[str] = ()
    purchased: Sequence[str] = ()


class Answer(NamedTuple):
    """Items by number, int32 (up to k,), best first, with their scores, float32.

    The first ``from_model`` come from the model, with items without a history put among them by
    their texts. The others, if any, fill places that were left, from the list that ``fallback``
    names: items that are like the session's by their texts, whose score is how like they are, or
    items that are popular now, whose score is their popularity.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    from_model: int
    fallback: Fallback | None


class _Rules(msgspec.Struct, frozen=True):
    """The file ``answer.json``."""

    hide_purchased: bool = False


class Answerer:
    """A model, and the rules on what of its ranking may be shown.

    The model knows the first items of the vocabulary: all of them, unless there is ``content``,
    which says how many. ``popularity`` float32, of each item that the model knows, ranks the
    fallback, ``-inf`` where an item has none. Nothing changes after construction, so threads may
    share one.

    Raises:
        ModelError: the parts are of different numbers of items.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        catalogue: Catalogue,
        popularity: NDArray[np.float32],
        *,
        hide_purchased: bool = False,
        content: Content | None = None,
    ) -> None:
        n_learned = len(vocabulary) if content is None else content.n_learned
        sizes = {len(vocabulary), len(catalogue), len(vocabulary if content is None else content)}
        if len(sizes) > 1 or len(popularity) != n_learned:
            raise ModelError(
                f"The vocabulary has {len(vocabulary)} items, the catalogue {len(catalogue)} and "
                f"popularity {len(popularity)}. Build them from the same vocabulary."
            )
        self.model = model
        self.vocabulary = vocabulary
        self.catalogue = catalogue
        self.content = content
        self.n_learned = n_learned
        """The model knows items of lower numbers than this."""
        unheard = np.full(len(vocabulary) - n_learned, UNSCORED)
        self.popularity = frozen(np.concatenate((popularity, unheard)), np.float32)
        self.hide_purchased = hide_purchased
        showable = np.where(catalogue.showable, self.popularity, UNSCORED)
        self.popular = frozen(top(showable, len(showable)).items, np.int32)
        """Items that may be shown and are popular at all, the most popular first."""
        self._popular_in = _by_category(self.popular, catalogue.categories)
        self._spare = 0 if catalogue.showable.all() else SPARE

    def answer(self, query: Query, *, now: int | None = None) -> Answer:
        """Rank k items for a session; fewer only if no more may be shown.

        ``now`` is handed to the model, in milliseconds UTC.

        Raises:
            UsageError: the filter asks for what no item has.
        """
        session = self.vocabulary.codes(query.session)
        allowed = self.catalogue.matching(query.filter) if query.filter else None
        hidden = self._hidden(query)
        known = session[session < self.n_learned]
        found = self._ranked(known, query.k, allowed, hidden, now)
        if self.content is not None and len(found.items):
            found = self._with_fresh(self.content, found, session, query.k, allowed, hidden)
        if len(found.items) >= query.k:
            return Answer(found.items, found.scores, len(found.items), None)
        return self._filled(found, query, session, allowed, hidden)

    def _hidden(self, query: Query) -> set[int]:
        if not query.exclude and not query.purchased:
            return set()
        bought = query.purchased if self.hide_purchased else ()
        return set(self.vocabulary.codes([*query.exclude, *bought]).tolist())

    def _ranked(
        self,
        session: NDArray[np.int32],
        k: int,
        allowed: NDArray[np.bool_] | None,
        hidden: set[int],
        now: int | None,
    ) -> Ranking:
        """The k best by the model: its head if that is enough, else all scores under a mask."""
        if len(session) == 0:
            return Ranking(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
        if allowed is None:
            asked = k + len(hidden) + self._spare
            head = self.model.recommend(session, asked, now=now)
            kept = self._without(head, hidden)
            if len(kept.items) >= k or len(head.items) < asked:
                return Ranking(kept.items[:k], kept.scores[:k])
            allowed = self.catalogue.showable
        known = allowed[: self.n_learned]
        scores = np.where(known, self.model.score(session, now=now), UNSCORED)
        scores[[code for code in hidden if code < self.n_learned]] = UNSCORED
        return top(scores, k)

    def _with_fresh(
        self,
        content: Content,
        found: Ranking,
        session: NDArray[np.int32],
        k: int,
        allowed: NDArray[np.bool_] | None,
        hidden: set[int],
    ) -> Ranking:
        """The model's ranking with items without a history among it, which it may lack."""
        suggested = content.suggest(session)
        if len(suggested.items) == 0:
            return found
        taken = hidden | set(found.items.tolist())
        return content.merge(found, _kept(suggested, allowed, taken), k)

    def _without(self, head: Ranking, hidden: set[int]) -> Ranking:
        if not hidden and not self._spare:
            return head
        keep = self.catalogue.showable[head.items]
        if hidden:
            keep = keep & [code not in hidden for code in head.items.tolist()]
        return Ranking(head.items[keep], head.scores[keep])

    def _filled(
        self,
        found: Ranking,
        query: Query,
        session: NDArray[np.int32],
        allowed: NDArray[np.bool_] | None,
        hidden: set[int],
    ) -> Answer:
        """Fill the places that the model left: with what is like the session's items by text,
        then with what is popular in the category, then with what is popular at all."""
        taken = hidden | set(found.items.tolist())
        if self.content is None:
            similar = Ranking(found.items[:0], found.scores[:0])
        else:
            similar = _kept(self.content.neighbours(session), allowed, taken)
        need = query.k - len(found.items)
        items, scores = [found.items, similar.items[:need]], [found.scores, similar.scores[:need]]
        need -= len(items[-1])
        taken |= set(items[-1].tolist())
        near = self._popular_in.get(self._category(query, session), self.popular[:0])
        extra = _head(near, need, allowed, taken)
        is_near = bool(extra)
        if len(extra) < need:
            others = _head(self.popular, need - len(extra), allowed, taken | set(extra))
            is_near = is_near and not others
            extra += others
        codes = np.array(extra, dtype=np.int32)
        fallback = Fallback.POPULAR_IN_CATEGORY if is_near else Fallback.POPULAR
        if not extra and len(items[-1]):
            fallback = Fallback.SIMILAR
        is_filled = extra or len(items[-1]) or not len(found.items)
        return Answer(
            np.concatenate((*items, codes)),
            np.concatenate((*scores, self.popularity[codes])),
            len(found.items),
            fallback if is_filled else None,
        )

    def _category(self, query: Query, session: NDArray[np.int32]) -> int:
        """The category asked for, else of the session's latest item that has one, else -1.

        Items that the model knows go before those that only the catalogue knows.
        """
        wanted = query.filter.get("category")
        if wanted is not None and not isinstance(wanted, Range):
            rows = category_rows(self.catalogue, _listed(wanted))
            return rows[0] if len(rows) == 1 else -1
        known = self.catalogue.categories[session[::-1]]
        if (known >= 0).any():
            return int(known[known >= 0][0])
        rest = (self.catalogue.category_of(item) for item in reversed(query.session))
        return next((row for row in rest if row >= 0), -1)

    def save(self, folder: Path) -> None:
        """Write ``model/``, ``catalogue/``, ``vocabulary.json``, ``popularity.npy``,
        ``answer.json`` and, where there is any, ``content/`` into a folder, which is made where
        it is missing."""
        self.vocabulary.save(folder)
        self.model.save(folder / "model")
        self.catalogue.save(folder / "catalogue")
        save_arrays(folder, popularity=self.popularity[: self.n_learned])
        if self.content is not None:
            self.content.save(folder / CONTENT)
        (folder / "answer.json").write_bytes(msgspec.json.encode(_Rules(self.hide_purchased)))

    @classmethod
    def load(cls, folder: Path, read_model: Callable[[Path], Model]) -> Self:
        """Read back what :meth:`save` wrote; ``read_model`` reads the model's own folder.

        Raises:
            ModelError: a file is missing or can't be read.
        """
        path = folder / "answer.json"
        try:
            rules = msgspec.json.decode(path.read_bytes(), type=_Rules)
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} can't be read ({error}). Release the model again.") from error
        return cls(
            read_model(folder / "model"),
            Vocabulary.load(folder),
            Catalogue.load(folder / "catalogue"),
            load_array(folder, "popularity"),
            hide_purchased=rules.hide_purchased,
            content=Content.load(folder / CONTENT) if (folder / CONTENT).is_dir() else None,
        )


def _kept(ranking: Ranking, allowed: NDArray[np.bool_] | None, taken: set[int]) -> Ranking:
    """A ranking without what is not allowed or is taken."""
    keep = np.array([code not in taken for code in ranking.items.tolist()], dtype=np.bool_)
    if allowed is not None:
        keep &= allowed[ranking.items]
    return Ranking(ranking.items[keep], ranking.scores[keep])


def _listed(value: Word | Sequence[Word]) -> Iterable[Word]:
    return value if isinstance(value, (list, tuple)) else [value]  # type: ignore[list-item]


def _by_category(
    popular: NDArray[np.int32], categories: NDArray[np.int32]
) -> dict[int, NDArray[np.int32]]:
    """Part a list of items by their category, keeping its order."""
    of = categories[popular]
    order = np.argsort(of, kind="stable")
    rows, starts = np.unique(of[order], return_index=True)
    parts = np.split(popular[order], starts[1:])
    return {int(row): part for row, part in zip(rows, parts, strict=False) if row >= 0}


def _head(
    ranked: NDArray[np.int32], need: int, allowed: NDArray[np.bool_] | None, taken: set[int]
) -> list[int]:
    """The first ``need`` of a list that are allowed and not taken."""
    if allowed is not None:
        ranked = ranked[allowed[ranked]]
    head = ranked[: need + len(taken)].tolist()
    return [code for code in head if code not in taken][:need]
