"""Rules on answers: laws over many questions, each held against the plainest words for it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_shop import IDS, N, answerer
from wherry.domain import Rule
from wherry.domain.rule import LARGEST_FACTOR, LEAST_FACTOR, Block, Boost, Cap, Only, Pin, Range
from wherry.learn.answer import Fallback, Query

SHOP = answerer()
CATEGORY = [f"c{code % 4}" for code in range(N)]
BRAND = [f"b{code % 3}" for code in range(N)]
AVAILABLE = [code % 10 != 0 for code in range(N)]

ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True).map(tuple)
rules = st.lists(
    st.one_of(
        st.builds(Block, name=st.just("block"), items=ids),
        st.builds(Only, name=st.just("only"), where=st.just({"brand": ["b0", "b1"]})),
        st.builds(
            Boost,
            name=st.just("boost"),
            where=st.sampled_from([{"category": "c1"}, {"brand": ["b2"]}]),
            factor=st.floats(LEAST_FACTOR, LARGEST_FACTOR),
        ),
        st.builds(
            Cap,
            name=st.just("cap"),
            attribute=st.sampled_from(["category", "brand", "tags"]),
            at_most=st.integers(1, 3),
        ),
        st.builds(Pin, name=st.just("pin"), items=ids, position=st.integers(1, 12)),
    ),
    min_size=1,
    max_size=4,
)
questions = st.builds(
    Query,
    session=st.lists(st.sampled_from([*IDS, "new", "unheard of"]), max_size=3),
    k=st.integers(1, 25),
    filter=st.sampled_from([{}, {}, {"category": ["c1", "c2"]}]),
    exclude=st.lists(st.sampled_from(IDS), max_size=3),
    rules=rules,
)


def passes(rule: Rule, code: int) -> bool:
    if isinstance(rule, Block):
        return IDS[code] not in rule.items
    return not isinstance(rule, Only) or BRAND[code] in ("b0", "b1")


def selects(rule: Boost, code: int) -> bool:
    return CATEGORY[code] == "c1" if "category" in rule.where else BRAND[code] == "b2"


def values(attribute: str, code: int) -> list[str]:
    if attribute == "tags":
        return ["all", str(code % 2)]
    return [CATEGORY[code] if attribute == "category" else BRAND[code]]


def boosted(order: list[int], query: Query) -> list[int]:
    worth = {}
    for place, code in enumerate(order, start=1):
        factor = 1.0
        for rule in query.rules:
            if isinstance(rule, Boost) and selects(rule, code):
                factor *= rule.factor
        worth[code] = place / min(max(factor, LEAST_FACTOR), LARGEST_FACTOR)
    return sorted(order, key=lambda code: worth[code])


def naive(query: Query) -> list[int]:
    """The answer by the words of the documentation: sort all, leave out, seat, fill."""
    allowed = [
        code
        for code in np.flatnonzero(SHOP.catalogue.matching(query.filter)).tolist()
        if IDS[code] not in query.exclude and all(passes(rule, code) for rule in query.rules)
    ]
    pinned: dict[int, int] = {}
    for rule in query.rules:
        if isinstance(rule, Pin):
            for offset, item in enumerate(rule.items):
                place, code = rule.position - 1 + offset, IDS.index(item)
                while place in pinned:
                    place += 1
                if place < query.k and code in allowed and code not in pinned.values():
                    pinned[place] = code
    everything = [code for code in SHOP.answer(bare(query)).items.tolist() if code in allowed]
    n_ranked = SHOP.answer(bare(query)).from_model
    ranked_all = SHOP.answer(bare(query)).items.tolist()[:n_ranked]
    free = [code for code in everything if code not in pinned.values()]
    ranked = boosted([code for code in free if code in ranked_all], query)
    popular = boosted([code for code in free if code not in ranked_all], query)
    placed: list[int] = [*pinned.values()]
    chosen: list[int] = []
    for code in [*ranked, *popular]:
        full = any(
            isinstance(rule, Cap)
            and any(
                sum(value in values(rule.attribute, other) for other in placed) >= rule.at_most
                for value in values(rule.attribute, code)
            )
            for rule in query.rules
        )
        if not full and len(placed) < query.k:
            placed.append(code)
            chosen.append(code)
    for place in sorted(pinned):
        chosen.insert(place, pinned[place])
    return chosen


def bare(query: Query) -> Query:
    return Query(query.session, N, query.filter, query.exclude)


@given(questions)
@settings(max_examples=400, deadline=None)
def test_the_answer_is_that_of_the_plain_words(query: Query) -> None:
    assert SHOP.answer(query).items.tolist() == naive(query)


@given(questions)
@settings(max_examples=200, deadline=None)
def test_what_is_blocked_or_not_available_never_shows_pinned_or_not(query: Query) -> None:
    shown = SHOP.answer(query).items.tolist()
    assert all(AVAILABLE[code] for code in shown)
    assert all(passes(rule, code) for rule in query.rules for code in shown)
    assert len(set(shown)) == len(shown) <= query.k


@given(questions)
@settings(max_examples=200, deadline=None)
def test_a_capped_answer_never_has_more_unless_more_are_pinned(query: Query) -> None:
    shown = SHOP.answer(query).items.tolist()
    pins = {item for rule in query.rules if isinstance(rule, Pin) for item in rule.items}
    for rule in query.rules:
        if isinstance(rule, Cap):
            counts = Counter(value for code in shown for value in values(rule.attribute, code))
            pinned = Counter(
                value
                for code in shown
                if IDS[code] in pins
                for value in values(rule.attribute, code)
            )
            assert all(n <= max(rule.at_most, pinned[value]) for value, n in counts.items())


@given(questions)
@settings(max_examples=100, deadline=None)
def test_without_rules_nothing_is_touched(query: Query) -> None:
    plain = Query(query.session, query.k, query.filter, query.exclude)
    ruled = answerer(rules=(Block(name="nothing", items=("unheard of",)),))
    one, other = SHOP.answer(plain), ruled.answer(plain)
    assert one.items.tolist() == other.items.tolist()
    assert one.scores.tolist() == other.scores.tolist()
    assert one[2:] == other[2:]
    assert not one.rules


@given(st.floats(LEAST_FACTOR, LARGEST_FACTOR), st.integers(1, 10))
@settings(max_examples=60, deadline=None)
def test_a_boost_of_everything_changes_nothing(factor: float, k: int) -> None:
    everything = Boost(where={"tags": "all"}, factor=factor)
    query = Query(["i21"], k, rules=[everything])
    assert SHOP.answer(query).items.tolist() == SHOP.answer(Query(["i21"], k)).items.tolist()
    assert not SHOP.answer(query).rules


def test_a_boost_takes_the_tenth_before_the_sixth() -> None:
    order = SHOP.answer(Query(["i21"], 12)).items.tolist()
    rule = Boost(items=(IDS[order[9]],), factor=2)
    answer = SHOP.answer(Query(["i21"], 12, rules=[rule]))
    assert answer.items.tolist() == [*order[:5], order[9], *order[5:9], *order[10:]]
    assert answer.rules == {"request": 1}


def test_a_boost_means_the_same_where_scores_are_negative() -> None:
    order = SHOP.answer(Query(["i21"], 12)).items.tolist()
    model = SHOP.model
    shop = answerer()
    shop.model = Below(model)
    rule = Boost(items=(IDS[order[9]],), factor=2)
    same = SHOP.answer(Query(["i21"], 12, rules=[rule])).items.tolist()
    assert shop.answer(Query(["i21"], 12, rules=[rule])).items.tolist() == same


class Below:
    """A model's scores, all of them below nothing."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def score(self, session: object, *, now: int | None = None) -> object:
        return self._model.score(session, now=now) - 1000  # type: ignore[attr-defined]

    def recommend(self, session: object, k: int, *, now: int | None = None) -> object:
        found = self._model.recommend(session, k, now=now)  # type: ignore[attr-defined]
        return found._replace(scores=found.scores - 1000)


def test_each_rule_counts_the_places_that_it_changed() -> None:
    # Without rules: 21, 22, 19, 23, 18, 24
    query = Query(
        ["i21"],
        5,
        rules=[
            Block(name="block", items=("i22", "i5")),
            Cap(name="cap", attribute="category", at_most=1),
            Pin(name="pin", items=("i3",), position=2),
        ],
    )
    answer = SHOP.answer(query)
    assert [IDS[code] for code in answer.items] == ["i21", "i3", "i18", "i24"]
    assert answer.rules["block"] == 1
    assert answer.rules["pin"] == 1
    assert answer.rules["cap"] > 1  # it filled no fifth place: there are four categories


def test_a_pin_beyond_the_end_of_a_short_answer_stands_last() -> None:
    rules = [Only(where={"price": Range(max=3)}), Pin(items=("i3",), position=9)]
    answer = SHOP.answer(Query(["i1"], 10, rules=rules))
    assert answer.items.tolist() == [1, 2, 3]


def test_a_pinned_item_keeps_its_popularity_and_the_others_their_scores() -> None:
    answer = SHOP.answer(Query(["i21"], 3, rules=[Pin(items=("i3",), position=2)]))
    assert answer.items.tolist() == [21, 3, 22]
    assert answer.scores.tolist() == [100, 4, 99]
    assert (answer.from_model, answer.fallback) == (3, None)


def test_rules_hold_for_what_is_popular_as_well() -> None:
    rules: list[Rule] = [
        Block(items=("i39",)),
        Cap(attribute="category", at_most=1),
        Pin(items=("i5",)),
    ]
    answer = SHOP.answer(Query([], 4, rules=rules))
    assert answer.items.tolist() == [5, 38, 36, 35]
    assert (answer.from_model, answer.fallback) == (0, Fallback.POPULAR)


def test_a_narrow_rule_is_answered_from_deep_in_the_ranking() -> None:
    wide = answerer(reach=N)
    answer = wide.answer(Query(["i39"], 3, rules=[Only(items=("i2", "i1", "i3"))]))
    assert answer.items.tolist() == [3, 2, 1]
    assert answer.from_model == 3
