from __future__ import annotations

from datetime import UTC, datetime

import pytest

from serve_shop import IDS, answerer, items_table
from wherry.domain.rule import Block, Boost, Cap, Only, Pin
from wherry.errors import UsageError
from wherry.learn.arrangement import Arrangement
from wherry.learn.catalogue import Catalogue
from wherry.learn.rulebook import RuleBook
from wherry.learn.sessions import Vocabulary

VOCABULARY = Vocabulary(IDS)
CATALOGUE = Catalogue.from_table(IDS, items_table())
JUNE = Boost(
    name="june",
    where={"brand": "b1"},
    factor=2,
    active_from=datetime(2026, 6, 1),
    active_until=datetime(2026, 7, 1),
)


def book(*rules: Block | Only | Boost | Cap | Pin) -> RuleBook:
    return RuleBook(rules, VOCABULARY, CATALOGUE)


def in_force(
    rules: RuleBook,
    own: tuple[Block | Boost | Cap | Pin, ...] = (),
    without: tuple[str, ...] = (),
    category: int = -1,
    now: datetime | None = None,
) -> Arrangement | None:
    moment = None if now is None else int(now.replace(tzinfo=UTC).timestamp() * 1000)
    return rules.in_force(own, without, category=lambda: category, now=moment)


def test_no_rules_are_no_arrangement() -> None:
    assert in_force(book()) is None


def test_rules_without_conditions_are_made_ready_once() -> None:
    rules = book(Block(name="no b0", where={"brand": "b0"}))
    assert in_force(rules) is in_force(rules) is not None


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        (datetime(2026, 5, 31, 23, 59, 59), False),
        (datetime(2026, 6, 1), True),
        (datetime(2026, 6, 30, 23, 59, 59), True),
        (datetime(2026, 7, 1), False),
        (None, False),
    ],
)
def test_a_rule_with_dates_holds_from_the_first_until_the_last(
    now: datetime | None, holds: bool
) -> None:
    assert (in_force(book(JUNE), now=now) is not None) == holds


def test_a_rule_for_categories_holds_where_the_session_is_in_one() -> None:
    rules = book(Cap(name="few", attribute="brand", at_most=1, when_category=("c1", "c9")))
    row = CATALOGUE.facets["category"]["c1"]
    assert in_force(rules, category=row) is not None
    assert in_force(rules, category=row + 1) is None
    assert in_force(rules) is None


def test_a_rule_that_no_item_fits_is_left_out_with_a_reason() -> None:
    rules = book(
        Block(name="typo", where={"brnd": "b0"}),
        Cap(name="no such", attribute="colour", at_most=1),
        Cap(name="fine", attribute="brand", at_most=1),
    )
    assert rules.names == {"fine"}
    assert "Did you mean 'brand'?" in rules.faults["typo"]
    assert "'colour'" in rules.faults["no such"]
    assert in_force(rules) is not None


def test_a_request_may_lift_a_soft_rule_and_no_hard_one() -> None:
    rules = book(
        Cap(name="variety", attribute="brand", at_most=1), Block(name="never", items=("i1",))
    )
    with pytest.raises(UsageError, match="'never' says what may be shown at all"):
        in_force(rules, without=("never",))
    with pytest.raises(UsageError, match="'never' says what may be shown at all"):
        in_force(rules, own=(Boost(name="never", items=("i1",), factor=2),))
    with pytest.raises(UsageError, match=r"'varety'\. Did you mean 'variety'"):
        in_force(rules, without=("varety",))
    assert in_force(book(Cap(name="x", attribute="brand", at_most=1)), without=("x",)) is None


def test_a_requests_rule_takes_the_place_of_the_standing_one_of_its_name() -> None:
    shop = answerer(rules=(Pin(name="top", items=("i5",)),))
    from wherry.learn.answer import Query

    own = Pin(name="top", items=("i7",))
    assert shop.answer(Query(["i21"], 2)).items.tolist() == [5, 21]
    assert shop.answer(Query(["i21"], 2, rules=[own])).items.tolist() == [7, 21]


def test_a_requests_rule_on_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(UsageError, match="No item has an attribute 'colour'"):
        in_force(book(), own=(Block(where={"colour": "red"}),))
