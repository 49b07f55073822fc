from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from wherry.domain import Rule
from wherry.domain.rule import Block, Boost, Cap, Only, Pin, utc

RULES = [
    Block(name="a", items=("i1",)),
    Only(name="b", where={"brand": ["x", "y"], "price": msgspec.convert({"max": 5}, dict)}),
    Boost(where={"new": True}, factor=2.0, active_from=datetime(2026, 6, 1)),
    Cap(attribute="category", at_most=2, when_category=("tents",)),
    Pin(items=("i1", "i2"), position=3, active_until=datetime(2026, 6, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.action)
def test_a_rule_is_written_and_read_by_its_action(rule: Rule) -> None:
    read = msgspec.json.decode(msgspec.json.encode(rule), type=Rule)  # type: ignore[arg-type]
    assert type(read) is type(rule)
    assert msgspec.json.decode(msgspec.json.encode(rule))["action"] == rule.action
    assert rule.is_hard == (rule.action in ("block", "only"))


def test_every_action_has_an_example_here() -> None:
    assert {type(rule) for rule in RULES} == {*get_args(Rule)}


def test_a_rule_that_could_never_hold_is_refused() -> None:
    begin, end = datetime(2026, 6, 1), datetime(2026, 5, 31, 23, tzinfo=UTC)
    with pytest.raises(ValueError, match="would never hold"):
        Block(items=("i1",), active_from=begin, active_until=end)


def test_a_time_without_a_zone_is_utc() -> None:
    assert utc(datetime(2026, 6, 1)) == datetime(2026, 6, 1, tzinfo=UTC)
