"""The answer: what is shown to a session, from a model's ranking and the catalogue's facts.

This is the one path for HTTP, for the command line and for the tests of behaviour: what is
tested before a release is what answers after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain.rule import Filter, Range, Rule, Word
from wherry.errors import ModelError
from wherry.learn.arrangement import Arrangement, Tally, chosen, with_pins
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.catalogue import Catalogue, category_rows
from wherry.learn.content import Content
from wherry.learn.filling import SPARE, by_category, head_of, kept
from wherry.learn.model import Model
from wherry.learn.questions import RanksMany
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.rulebook import RuleBook
from wherry.learn.sessions import Vocabulary

CONTENT = "content"
"""The folder of what is known of items by their texts."""


NO_RULES: Mapping[str, int] = MappingProxyType({})
"""What the rules changed where there are none."""


class Fallback(StrEnum):
    """The list that fills the places which the model leaves empty."""

    SIMILAR = "similar"
    POPULAR = "popular"
    POPULAR_IN_CATEGORY = "popular_in_category"


class Made(NamedTuple):
    """The head of what a model ranks for a session, made before its answer. ``is_all`` says that
    it ranks no more; ``by`` names the release, since no other has the same numbers for items.
    ``is_now``: it was made for this very request, together with those of others."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    is_all: bool
    by: str = ""
    is_now: bool = False


class Query(msgspec.Struct, frozen=True):
    """What is asked: k items for a session, the latest of ``session`` last.

    Ids that nobody knows change nothing. ``exclude`` is never shown; nor is ``purchased``,
    what was just bought, where the answerer hides that. ``rules`` hold beside the shop's
    standing ones, or in place of those with their name; standing ones ``without`` do not hold.
    ``made`` is what the model ranks for this very session, if that was computed before; it is
    asked only where that doesn't reach.
    """

    session: Sequence[str] = ()
    k: int = 10
    filter: Filter = {}
    exclude: Sequence[str] = ()
    purchased: Sequence[str] = ()
    rules: Sequence[Rule] = ()
    without: Sequence[str] = ()
    made: Made | None = None


class Answer(NamedTuple):
    """Items by number, int32 (up to k,), best first, with their scores, float32.

    The first ``from_model`` come from the model, with items without a history put among them by
    their texts. The others, if any, fill places that were left, from the list that ``fallback``
    names: items that are like the session's by their texts, whose score is how like they are, or
    items that are popular now, whose score is their popularity. That is also the score of an
    item pinned among the ones or the others. ``rules`` counts how many places each rule changed.
    """

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    from_model: int
    fallback: Fallback | None
    rules: Mapping[str, int] = NO_RULES


class _Settings(msgspec.Struct, frozen=True):
    """The file ``answer.json``."""

    hide_purchased: bool = False


class _Filling(NamedTuple):
    """What fills the places that a model leaves, int32 and float32: the first ``n_similar`` are
    like the session's items, the next ``n_near`` popular in a category, the others at all."""

    items: NDArray[np.int32]
    scores: NDArray[np.float32]
    n_similar: int
    n_near: int


class Answerer:
    """A model, and the rules on what of its ranking may be shown.

    The model knows the first items of the vocabulary: all of them, unless there is ``content``,
    which says how many. ``popularity`` float32, of each item that the model knows, ranks the
    fallback, ``-inf`` where an item has none. ``rules`` are the shop's standing rules; those that
    don't fit these items are the ``faults`` of :attr:`rules`. Nothing changes after
    construction, so threads may share one.

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
        rules: Sequence[Rule] = (),
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
        self.ranks_many = model if isinstance(model, RanksMany) else None
        """The model, if it ranks for many sessions in one call."""
        self.rules = RuleBook(rules, vocabulary, catalogue)
        self._has_rules = bool(rules)
        self.popular = frozen(top(self.popularity, len(self.popularity)).items, np.int32)
        """Items that are popular at all, the most popular first; not all may be shown."""
        self._popular_in = by_category(self.popular, catalogue.categories)
        self.spare = 0 if catalogue.showable.all() else SPARE
        """How many more than k are asked of the model, since some may not be shown."""

    def with_availability(self, told: Mapping[int, bool]) -> Self:
        """The same answerer where some items, by their numbers, may be shown or not."""
        other = copy.copy(self)
        other.catalogue = self.catalogue.with_availability(told)
        other.spare = 0 if other.catalogue.showable.all() else SPARE
        return other

    def with_rules(self, rules: Sequence[Rule]) -> Self:
        """The same answerer under other standing rules."""
        other = copy.copy(self)
        other.rules = RuleBook(rules, self.vocabulary, self.catalogue)
        other._has_rules = bool(rules)
        return other

    @property
    def is_plain(self) -> bool:
        """Whether an answer is the model's head, but for what may not be shown: there are neither
        rules nor items without a history to be put among it."""
        return not self._has_rules and self.content is None

    def answer(self, query: Query, *, now: int | None = None) -> Answer:
        """Rank k items for a session; fewer only if no more may be shown.

        ``now``, in milliseconds UTC, is handed to the model. Standing rules with dates are in
        force by it, and without it not at all.

        Raises:
            UsageError: the filter or a rule asks for what no item has.
        """
        made = query.made
        if made is not None and len(made.items) >= query.k and self._shows_head(query):
            return Answer(made.items[: query.k], made.scores[: query.k], query.k, None)
        session = self.vocabulary.codes(query.session)
        allowed = self.catalogue.matching(query.filter) if query.filter else None
        hidden = self._hidden(query)
        if self._has_rules or query.rules or query.without:
            arrangement = self.rules.in_force(
                query.rules, query.without, category=lambda: self._near(query, session), now=now
            )
            if arrangement is not None:
                return self._arranged(query, session, allowed, hidden, arrangement, now)
        # Each array that is not made is a microsecond: without content the model knows them all.
        known = session if self.content is None else session[session < self.n_learned]
        found = self._ranked(known, query.k, allowed, hidden, now, query.made)
        if self.content is not None and len(found.items):
            found = self._with_fresh(self.content, found, session, query.k, allowed, hidden)
        if len(found.items) >= query.k:
            return Answer(found.items, found.scores, len(found.items), None)
        return self._filled(found, query, session, allowed, hidden)

    def learned(self, session: Sequence[str]) -> list[int]:
        """The numbers of a session's items that the model knows."""
        codes = self.vocabulary.numbers(session)
        return codes if self.content is None else [c for c in codes if c < self.n_learned]

    def uses_head(self, query: Query) -> bool:
        """Whether the answer begins with the model's head, which may then be made before it."""
        return not (self._has_rules or query.rules or query.without or query.filter)

    def _shows_head(self, query: Query) -> bool:
        """Whether the answer is the model's head and nothing else, if that is long enough."""
        is_hidden = query.exclude or (query.purchased and self.hide_purchased)
        is_whole = self.content is None and not self.spare
        return is_whole and not is_hidden and self.uses_head(query)

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
        made: Made | None = None,
    ) -> Ranking:
        """The k best by the model: its head if that is enough, else all scores under a mask."""
        if made is not None and allowed is None:
            kept = self._without(Ranking(made.items, made.scores), hidden)
            if len(kept.items) >= k or made.is_all:
                return Ranking(kept.items[:k], kept.scores[:k])
        found, is_whole = self._look(session, k, allowed, hidden, now)
        if len(found.items) < k and not is_whole:
            found, _ = self._look(session, k, self.catalogue.showable, hidden, now)
        if len(found.items) <= k:
            return found
        return Ranking(found.items[:k], found.scores[:k])

    def _look(
        self,
        session: NDArray[np.int32],
        depth: int,
        allowed: NDArray[np.bool_] | None,
        hidden: set[int],
        now: int | None,
    ) -> tuple[Ranking, bool]:
        """About the ``depth`` best by the model, and whether there are no more than those.

        Without a mask only the model's head is asked for, of which some may not be shown.
        """
        if len(session) == 0:
            return Ranking(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)), True
        if allowed is None:
            asked = depth + len(hidden) + self.spare
            head = self.model.recommend(session, asked, now=now)
            return self._without(head, hidden), len(head.items) < asked
        known = allowed[: self.n_learned]
        scores = np.where(known, self.model.score(session, now=now), UNSCORED)
        scores[[code for code in hidden if code < self.n_learned]] = UNSCORED
        best = top(scores, depth)
        return best, len(best.items) < depth

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
        most = k + SPARE if allowed is None else len(content)
        allowed = self.catalogue.showable if allowed is None else allowed
        suggested = content.suggest(session, most)
        if len(suggested.items) == 0:
            return found
        taken = hidden | set(found.items.tolist())
        return content.merge(found, kept(suggested, allowed, taken), k)

    def _without(self, head: Ranking, hidden: set[int]) -> Ranking:
        if not hidden and not self.spare:
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
        row = self._category(query, session)
        rest = self._filling(session, row, query.k - len(found.items), allowed, taken)
        is_filled = len(rest.items) or not len(found.items)
        return Answer(
            np.concatenate((found.items, rest.items)),
            np.concatenate((found.scores, rest.scores)),
            len(found.items),
            _source(len(rest.items), rest.n_similar, rest.n_near) if is_filled else None,
        )

    def _filling(
        self,
        session: NDArray[np.int32],
        row: int,
        need: int,
        allowed: NDArray[np.bool_] | None,
        taken: set[int],
    ) -> _Filling:
        """The first ``need`` of what is like the session's items, what is popular in a category,
        and what is popular at all."""
        allowed = self.catalogue.showable if allowed is None else allowed
        similar = Ranking(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
        if self.content is not None:
            similar = kept(self.content.neighbours(session, len(self.content)), allowed, taken)
            similar = Ranking(similar.items[:need], similar.scores[:need])
            taken = taken | set(similar.items.tolist())
            need -= len(similar.items)
        near = head_of(self._popular_in.get(row, self.popular[:0]), need, allowed, taken)
        others: list[int] = []
        if len(near) < need:
            others = head_of(self.popular, need - len(near), allowed, taken | set(near))
        codes = np.array(near + others, dtype=np.int32)
        return _Filling(
            np.concatenate((similar.items, codes)),
            np.concatenate((similar.scores, self.popularity[codes])),
            len(similar.items),
            len(near),
        )

    def _arranged(
        self,
        query: Query,
        session: NDArray[np.int32],
        allowed: NDArray[np.bool_] | None,
        hidden: set[int],
        arrangement: Arrangement,
        now: int | None,
    ) -> Answer:
        """The answer under rules: what is pinned, the model's ranking, and what fills up."""
        tally: Tally = Tally()
        may_show = self.catalogue.showable if allowed is None else allowed
        pinned = arrangement.seated(query.k, may_show, hidden, tally)
        taken = hidden | set(pinned.values())
        known = session[session < self.n_learned]

        def ranked(depth: int, within: NDArray[np.bool_] | None) -> tuple[Ranking, bool]:
            mask = allowed if within is None else within
            found, is_whole = self._look(known, depth, mask, taken, now)
            if self.content is not None and len(found.items):
                found = self._with_fresh(self.content, found, session, depth, mask, taken)
            return found, is_whole

        need = query.k - len(pinned)
        found = chosen(arrangement, ranked, need, [*pinned.values()], may_show, tally)
        if not pinned and len(found.items) == query.k:
            return Answer(found.items, found.scores, query.k, None, +tally)
        placed = [*pinned.values(), *found.items.tolist()]
        row = self._category(query, session)
        looked: list[_Filling] = []

        def filling(depth: int, within: NDArray[np.bool_] | None) -> tuple[Ranking, bool]:
            mask = may_show if within is None else within
            looked.append(self._filling(session, row, depth, mask, taken | set(placed)))
            return Ranking(looked[-1].items, looked[-1].scores), len(looked[-1].items) < depth

        rest = chosen(arrangement, filling, need - len(found.items), placed, may_show, tally)
        items, from_model = with_pins(found.items.tolist(), rest.items.tolist(), pinned)
        scores = dict(zip(pinned.values(), self._pinned_scores(pinned), strict=True))
        scores |= zip(found.items.tolist(), found.scores.tolist(), strict=True)
        scores |= zip(rest.items.tolist(), rest.scores.tolist(), strict=True)
        return Answer(
            np.array(items, dtype=np.int32),
            np.array([scores[code] for code in items], dtype=np.float32),
            from_model,
            _source_of(rest, looked[-1]) if len(rest.items) else _NOTHING if not placed else None,
            +tally,  # without those that changed nothing
        )

    def _pinned_scores(self, pinned: Mapping[int, int]) -> list[float]:
        scores = self.popularity[[*pinned.values()]].tolist()
        return [score if isfinite(score) else 0.0 for score in scores]

    def _category(self, query: Query, session: NDArray[np.int32]) -> int:
        """The category asked for, else of the session's latest item that has one, else -1.

        Items that the model knows go before those that only the catalogue knows.
        """
        wanted = query.filter.get("category")
        if wanted is not None and not isinstance(wanted, Range):
            rows = category_rows(self.catalogue, _listed(wanted))
            return rows[0] if len(rows) == 1 else -1
        return self._near(query, session)

    def _near(self, query: Query, session: NDArray[np.int32]) -> int:
        """The category of the session's latest item that has one, else -1."""
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
        (folder / "answer.json").write_bytes(msgspec.json.encode(_Settings(self.hide_purchased)))

    @classmethod
    def load(
        cls, folder: Path, read_model: Callable[[Path], Model], *, rules: Sequence[Rule] = ()
    ) -> Self:
        """Read back what :meth:`save` wrote; ``read_model`` reads the model's own folder.

        Standing rules are no part of a release: they are told each time.

        Raises:
            ModelError: a file is missing or can't be read.
        """
        path = folder / "answer.json"
        try:
            settings = msgspec.json.decode(path.read_bytes(), type=_Settings)
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} can't be read ({error}). Release the model again.") from error
        return cls(
            read_model(folder / "model"),
            Vocabulary.load(folder),
            Catalogue.load(folder / "catalogue"),
            load_array(folder, "popularity"),
            hide_purchased=settings.hide_purchased,
            content=Content.load(folder / CONTENT) if (folder / CONTENT).is_dir() else None,
            rules=rules,
        )


def _listed(value: Word | Sequence[Word]) -> Iterable[Word]:
    return value if isinstance(value, (list, tuple)) else [value]  # type: ignore[list-item]


_NOTHING = Fallback.POPULAR
"""Where an empty answer comes from: the last place that was looked at."""


def _source(count: int, n_similar: int, n_near: int) -> Fallback:
    """The list that so many items come from, of which these are similar or of a category."""
    if count == n_similar > 0:
        return Fallback.SIMILAR
    is_near = n_near > 0 and count == n_similar + n_near
    return Fallback.POPULAR_IN_CATEGORY if is_near else _NOTHING


def _source_of(chosen: Ranking, filling: _Filling) -> Fallback:
    """The list that those items of a filling come from which were chosen."""
    n_similar, n_near = filling.n_similar, filling.n_near
    similar = np.isin(chosen.items, filling.items[:n_similar]).sum()
    near = np.isin(chosen.items, filling.items[n_similar : n_similar + n_near]).sum()
    return _source(len(chosen.items), int(similar), int(near))
