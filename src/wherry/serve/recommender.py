"""The recommender: what answers for one tenant, from one release."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from wherry.domain import DEFAULT_TENANT, ItemId, Release, Rule, TenantId, Why
from wherry.errors import ModelError
from wherry.learn.answer import Answer, Answerer, Fallback, Query
from wherry.learn.bulk import together
from wherry.learn.model import Model
from wherry.learn.models import load_model
from wherry.learn.rulebook import rules_for
from wherry.learn.why import why
from wherry.serve.item_text import ItemTexts

logger = logging.getLogger("wherry.serve")

ModelLoader = Callable[[Path], Model]
"""Reads the folder of a saved model."""


_ENCODER = msgspec.json.Encoder()


class Source(StrEnum):
    """Where the model's ranking of an answer comes from."""

    MODEL = "model"
    """It was made for this request."""
    PRECOMPUTED = "precomputed"
    """It was made beforehand, for the visitor's latest session as it was published."""


class RecommendedItem(msgspec.Struct, frozen=True, gc=False):
    """One item, its name where the catalogue has one, the model's score for it, and, where that
    was asked for, why it is there."""

    item: ItemId
    name: str | None
    score: float
    why: Why | UnsetType = UNSET


class Provenance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where the items of an answer come from.

    The first ``from_model`` were ranked by the model; the others are popular now, ``fallback``
    says where, and their score is their popularity. ``model`` is the release that answered, and
    ``source`` says whether it did so now.
    """

    model: str
    tenant: TenantId
    from_model: int
    fallback: Fallback | None = None
    source: Source = Source.MODEL
    request_id: str = ""


class Recommendation(Provenance, frozen=True, kw_only=True, gc=False):
    """The items recommended, best first, and where they come from."""

    items: list[RecommendedItem]


class CarouselRecommendation(Recommendation, frozen=True, kw_only=True, gc=False):
    """The items of one carousel of a page."""

    name: str


class CarouselRecommendations(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The carousels of a page, in the order in which they were asked for; each has a request id
    of its own, by which it is logged."""

    carousels: list[CarouselRecommendation]
    request_id: str


class Recommender:
    """A release that is ready to answer; nothing about it changes, so threads may share it."""

    def __init__(
        self,
        answerer: Answerer,
        *,
        tenant: TenantId = DEFAULT_TENANT,
        name: str = "recommender",
        version: int = 0,
    ) -> None:
        self.answerer = answerer
        self.tenant = tenant
        self.name = name
        self.version = version
        self.label = f"{name}@{version}"
        """What the answers call the release, such as ``recommender@3``."""
        self._begins: dict[tuple[int, Fallback | None, Source], bytes] = {}
        self._items = ItemTexts(
            [
                _ENCODER.encode(RecommendedItem(item, name, 0))[: -len("0}")]
                for item, name in zip(
                    answerer.vocabulary.ids, answerer.catalogue.names, strict=True
                )
            ]
        )

    def with_answerer(self, answerer: Answerer) -> Recommender:
        """The same release with another answerer of the same items."""
        other = copy.copy(self)
        other.answerer = answerer
        return other

    def under(self, rules: Sequence[Rule]) -> Recommender:
        """The same release under a shop's standing rules, of which those of its tenant hold."""
        answerer = self.answerer.with_rules(rules_for(self.tenant, rules))
        for name, reason in answerer.rules.faults.items():
            logger.error("The rule %r of %s is left out: %s", name, self.tenant, reason)
        return self.with_answerer(answerer)

    def shows(self, item: str) -> bool | None:
        """Whether an item may be shown; None if the release doesn't know it."""
        code = self.answerer.vocabulary.code(item)
        return None if code is None else bool(self.answerer.catalogue.showable[code])

    def told_at(self, item: str) -> int:
        """When the release was told of an item's availability, in microseconds since 1970, UTC;
        0 if never."""
        code = self.answerer.vocabulary.code(item)
        return 0 if code is None else int(self.answerer.catalogue.told_at[code])

    def recommend(
        self, query: Query, *, request_id: str = "", now: int | None = None
    ) -> Recommendation:
        """Answer a query, asked at ``now``, milliseconds UTC; see :meth:`Answerer.answer`.

        Raises:
            UsageError: the filter or a rule asks for what no item has.
        """
        query = self._mine(query)
        return self._told(query, self.answerer.answer(query, now=now), request_id)

    def explain(
        self, query: Query, *, request_id: str = "", now: int | None = None
    ) -> Recommendation:
        """Answer a query, each item with why it is there: milliseconds, not microseconds.

        Raises:
            UsageError: the filter asks for what no item has.
        """
        query = self._mine(query)
        return self._explained(query, self.answerer.answer(query, now=now), request_id, now)

    def together(self, queries: Sequence[Query], *, now: int | None = None) -> list[Query]:
        """Queries with what the model ranks for each, asked in one call; see :func:`together`."""
        return together(self.answerer, queries, by=self.label, now=now)

    def explain_json(
        self, query: Query, *, request_id: str = "", now: int | None = None
    ) -> tuple[bytes, Answer]:
        """What :meth:`explain` says, as JSON, and the answer itself."""
        query = self._mine(query)
        answer = self.answerer.answer(query, now=now)
        return _ENCODER.encode(self._explained(query, answer, request_id, now)), answer

    def _mine(self, query: Query) -> Query:
        """The query, without what another release made beforehand."""
        if query.made is None or query.made.by == self.label:
            return query
        return msgspec.structs.replace(query, made=None)

    def _explained(
        self, query: Query, answer: Answer, request_id: str, now: int | None
    ) -> Recommendation:
        told = self._told(query, answer, request_id)
        reasons = why(self.answerer, query, answer, now=now)
        items = [
            msgspec.structs.replace(item, why=reason)
            for item, reason in zip(told.items, reasons, strict=True)
        ]
        return msgspec.structs.replace(told, items=items)

    def _told(self, query: Query, answer: Answer, request_id: str) -> Recommendation:
        ids, names = self.answerer.vocabulary.ids, self.answerer.catalogue.names
        return Recommendation(
            items=[
                RecommendedItem(ids[code], names[code], score)
                for code, score in zip(answer.items.tolist(), _scores(answer), strict=True)
            ],
            model=self.label,
            tenant=self.tenant,
            from_model=answer.from_model,
            fallback=answer.fallback,
            source=_source(query),
            request_id=request_id,
        )

    def recommend_json(
        self, query: Query, *, request_id: str = "", now: int | None = None
    ) -> tuple[bytes, Answer]:
        """What :meth:`recommend` says, as JSON, and the answer itself.

        All of an item but its score was encoded beforehand; see :class:`ItemTexts`.
        """
        query = self._mine(query)
        answer = self.answerer.answer(query, now=now)
        return self._json(query, answer, request_id), answer

    def _json(self, query: Query, answer: Answer, request_id: str) -> bytes:
        items = self._items.write(answer.items, answer.scores)
        if items is None:  # the scores are a user's own model's; JSON knows no infinity
            return _ENCODER.encode(self._told(query, answer, request_id))
        known = answer.from_model, answer.fallback, _source(query)
        begin = self._begins.get(known)
        if begin is None:
            begin = self._begins[known] = self._begin(*known)
        return b'%b%b,"items":[%b]}' % (begin, _ENCODER.encode(request_id), items)

    def _begin(self, from_model: int, fallback: Fallback | None, source: Source) -> bytes:
        """What an answer says of where its items come from, up to the request's id."""
        provenance = Provenance(
            model=self.label,
            tenant=self.tenant,
            from_model=from_model,
            fallback=fallback,
            source=source,
        )
        return _ENCODER.encode(provenance).removesuffix(b'""}')

    def warm_up(self) -> None:
        """Answer once on every path, so that whatever is compiled or read late is so by now."""
        ids = self.answerer.vocabulary.ids
        seen = [ids[code] for code in self.answerer.popular[:4].tolist()]
        category = next(iter(self.answerer.catalogue.facets.get("category", {})), None)
        for session in ([], seen[:1], seen):
            query = Query(session)
            self._json(query, self.answerer.answer(query), "")
            self.recommend(query)
            self.recommend(Query(session, exclude=seen))
            if category is not None:
                self.recommend(Query(session, filter={"category": category}))


def _source(query: Query) -> Source:
    return Source.MODEL if query.made is None or query.made.is_now else Source.PRECOMPUTED


def _scores(answer: Answer) -> list[float]:
    """Scores with six decimals: more would only show how float32 is written in tens."""
    return [round(score, 6) for score in answer.scores.tolist()]


def save_recommender(answerer: Answerer, folder: Path) -> None:
    """Write what a release is made of into a folder; see :meth:`Answerer.save`."""
    answerer.save(folder)


def load_recommender(
    folder: Path,
    read_model: ModelLoader = load_model,
    *,
    release: Release | None = None,
    rules: Sequence[Rule] = (),
) -> Recommender:
    """Read a release's folder; ``release``, unless given, is its ``release.json`` if it has one.

    ``read_model`` reads the model in it; the default knows the packaged models only. Of the
    standing ``rules`` those of the release's tenant hold.

    Raises:
        ModelError: a file is missing or can't be read.
    """
    release = release or _read_release(folder / "release.json")
    answerer = Answerer.load(folder, read_model)
    if release is None:
        return Recommender(answerer).under(rules)
    return Recommender(
        answerer, tenant=release.tenant, name=release.name, version=release.version
    ).under(rules)


def _read_release(path: Path) -> Release | None:
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Release)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path} can't be read ({error}). Release the model again.") from error
