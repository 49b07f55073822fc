"""Why each item of an answer stands there: explanations, told in ids, names and words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Why, WhyNeighbour, WhyPart, WhyThrough
from wherry.learn.answer import Answer, Answerer, Fallback, Query
from wherry.learn.content import Content
from wherry.learn.explanation import Carrier, Explanation, Part, explain
from wherry.learn.ranking import UNSCORED

_NAMED = 2
"""Items, and features, that the words name."""

_WORTH_NAMING = 0.05
"""The share from which the words name an item."""

FEATURE_WORDS = {
    "knn": "its place in sessions like this one",
    "knn_of_best": "its place in sessions like this one, against the best",
    "further": "what sessions like this one lead on to",
    "near": "what stands near the session's items",
    "near_last": "what stands near the latest item",
    "near_before": "what stands near the item before",
    "follows_last": "how often it comes just after the latest item",
    "lists": "how many of the session's items it stands near",
    "place": "its place in the first order",
    "first": "its score in the first order",
    "back": "how recently it was met here",
    "since": "how many events ago it was met here",
    "times": "how often it was met here",
    "chance": "the chance of a repeat",
    "followed": "that it followed the latest item here before",
    "seen": "how often it is seen",
    "seen_lately": "how often it was seen of late",
    "age": "how long it has been seen",
    "repeated": "how often it is come back to",
    "bought": "how often it is bought",
    "length": "the session's length",
    "distinct": "how many items the session holds",
    "alike": "whether the latest two events are of one item",
    "again": "the chance of any repeat",
    "neighbours": "how many sessions are like this one",
    "best": "how sure the first order is",
    "last_seen": "how often the latest item is seen",
    "neural": "what a neural model expects",
    "neural_of_best": "what a neural model expects, against its best",
    "neural_share": "how sure a neural model is of it",
}
"""The features of the two-stage model in words."""


def why(answerer: Answerer, query: Query, answer: Answer, *, now: int | None = None) -> list[Why]:
    """Say why each item of an answer to a query stands there, in the answer's order."""
    told = _explained(answerer, query, answer, now)
    return [
        _told(answerer, each, answer.fallback if place >= answer.from_model else None)
        for place, each in enumerate(told)
    ]


def _explained(
    answerer: Answerer, query: Query, answer: Answer, now: int | None
) -> list[Explanation]:
    """What the model says of the items that it scores, and of each other why it is there."""
    whole = answerer.vocabulary.codes(query.session)
    session = whole[whole < answerer.n_learned]
    ranked = answer.items[: answer.from_model]
    own: dict[int, float] = {}
    by_model: dict[int, Explanation] = {}
    if len(session) and len(ranked):
        scores = answerer.model.score(session, now=now)
        learned = ranked[ranked < answerer.n_learned]
        own = {item: float(scores[item]) for item in learned.tolist() if scores[item] > UNSCORED}
        found = explain(answerer.model, session, list(own), now=now)
        by_model = {each.item: each for each in found}
    told = []
    for place, item in enumerate(answer.items.tolist()):
        score = float(answer.scores[place])
        alike = _alike(answerer.content, whole, item)
        if item in by_model and (alike is None or score <= own[item]):
            told.append(by_model[item])
        elif alike is not None:
            told.append(alike)
        else:
            carrier = _other(answerer, item, score, is_ranked=place < answer.from_model)
            told.append(Explanation(item=item, score=score, parts=(Part(carrier, score),)))
    return told


def _other(answerer: Answerer, item: int, score: float, *, is_ranked: bool) -> Carrier:
    """Why an item stands there that neither the model nor the texts say anything of."""
    if is_ranked or item >= answerer.n_learned:
        return Carrier.RULE
    return Carrier.POPULARITY if score == answerer.popularity[item] else Carrier.CONTENT


def _alike(content: Content | None, session: NDArray[np.int32], item: int) -> Explanation | None:
    """The explanation of an item that is there for its texts, None of another.

    Its score is how like the session they are; in the answer it has that of its place.
    """
    carriers = [] if content is None else content.carriers(session, item)
    backs = session[::-1].tolist()
    parts = tuple(
        Part(Carrier.CONTENT, weight, item=code, back=backs.index(code))
        for code, weight in carriers
    )
    score = sum(part.weight for part in parts)
    return Explanation(item=item, score=score, parts=parts) if parts else None


def _told(answerer: Answerer, each: Explanation, fallback: Fallback | None) -> Why:
    ids, names = answerer.vocabulary.ids, answerer.catalogue.names
    whole = sum(abs(part.weight) for part in each.parts) or 1.0
    return Why(
        words=_words(answerer, each, fallback),
        score=each.score,
        parts=[
            WhyPart(
                carrier=part.carrier,
                weight=part.weight,
                share=round(part.weight / whole, 4),
                item=ids[part.item] if part.item >= 0 else None,
                name=names[part.item] if part.item >= 0 else None,
                back=part.back if part.back >= 0 else None,
                feature=part.feature,
                value=part.value if part.feature else None,
            )
            for part in each.parts
        ],
        neighbours=[
            WhyNeighbour(
                items=[ids[item] for item in near.items],
                age_days=near.age_days,
                weight=near.weight,
            )
            for near in each.neighbours
        ],
        n_neighbours=each.n_neighbours,
        by_neighbours=each.by_neighbours,
        through=[
            WhyThrough(item=ids[item], name=names[item], weight=weight)
            for item, weight in each.through
        ],
        retrieved=_told(answerer, each.retrieved, None) if each.retrieved else None,
    )


def _words(answerer: Answerer, each: Explanation, fallback: Fallback | None) -> str:
    """The explanation as a sentence, without its full stop."""
    base = each.retrieved or each
    whole = sum(abs(part.weight) for part in base.parts) or 1.0
    clauses = [
        *_history(answerer, base, whole),
        *_texts(answerer, base),
        *_sessions(answerer, base),
        *(_carried(answerer, base.item, part, fallback) for part in base.parts),
        *_order(each),
    ]
    return "; ".join(filter(None, clauses)) or "nothing in particular speaks for it"


def _history(answerer: Answerer, each: Explanation, whole: float) -> list[str]:
    named = [
        f"{_name(answerer, part.item) if part.item != each.item else 'it'} "
        f"({part.weight / whole:.0%})"
        for part in each.parts
        if part.carrier is Carrier.HISTORY and part.weight / whole >= _WORTH_NAMING
    ]
    return [f"because you looked at {' and '.join(named[:_NAMED])}"] if named else []


def _texts(answerer: Answerer, each: Explanation) -> list[str]:
    """Which items of the session it is like."""
    alike = [part for part in each.parts if part.carrier is Carrier.CONTENT and part.item >= 0]
    names = " and ".join(_name(answerer, part.item) for part in alike[:_NAMED])
    return [f"it is like {names}, by its description"] if alike else []


def _sessions(answerer: Answerer, each: Explanation) -> list[str]:
    if each.n_neighbours:
        count = each.n_neighbours
        return [f"{count:,} session{'s' * (count > 1)} like this one went on to it"]
    if each.through:
        names = " and ".join(_name(answerer, item) for item, _ in each.through[:_NAMED])
        return [f"it is near {names}, which sessions like this one went on to"]
    return []


def _carried(answerer: Answerer, item: int, part: Part, fallback: Fallback | None) -> str:
    """What one part says that comes neither from the session's items nor from neighbours."""
    if part.carrier is Carrier.REPEAT:
        if part.back == 0:
            return "it is what was just looked at"
        steps = f"{part.back} step{'s' * (part.back > 1)}"
        return f"seen before in this session, {steps} back"
    if part.carrier is Carrier.POPULARITY:
        category = _category(answerer, item)
        is_near = fallback is Fallback.POPULAR_IN_CATEGORY and category
        return f"popular in {category} now" if is_near else "popular now"
    if part.carrier is Carrier.CONTENT and part.item >= 0:
        return ""  # told by name
    if part.carrier is Carrier.TOGETHER and part.weight > 0:
        return "the items of this session together speak for it"
    return _PLAIN.get(part.carrier, "")


_PLAIN = {
    Carrier.NEURAL: "a neural model expects it",
    Carrier.CONTENT: "it is like what you looked at, by its description",
    Carrier.RULE: "a rule of the shop puts it here",
}


def _order(each: Explanation) -> list[str]:
    """The features by which trees moved it up most."""
    up = [part for part in each.parts if part.carrier is Carrier.FEATURE and part.weight > 0]
    named = [f"{FEATURE_WORDS.get(p.feature, p.feature)} (+{p.weight:.2f})" for p in up[:_NAMED]]
    return [f"moved up by {' and '.join(named)}"] if named else []


def _name(answerer: Answerer, item: int) -> str:
    return answerer.catalogue.names[item] or answerer.vocabulary.ids[item]


def _category(answerer: Answerer, item: int) -> str:
    row = int(answerer.catalogue.categories[item])
    rows = answerer.catalogue.facets.get("category", {})
    return next((name for name, each in rows.items() if each == row), "")
