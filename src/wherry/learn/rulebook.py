"""The rulebook: a shop's standing rules, made ready for the items of one release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherry.domain import TenantId
from wherry.domain.rule import Block, Boost, Cap, Filter, Only, Pin, Rule, utc
from wherry.errors import UsageError, did_you_mean
from wherry.learn.arrangement import Arrangement, Gate, Lift, Room, Seat, Values
from wherry.learn.catalogue import Catalogue, category_rows
from wherry.learn.sessions import Vocabulary

REQUEST = "request"
"""What a request's rule is called in the counts, unless it has a name."""


class RuleError(UsageError):
    """A question's own rule can't be followed: it names what there is not, or lifts a hard one."""


def rules_for(tenant: TenantId, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that are a tenant's, or everybody's."""
    return [rule for rule in rules if rule.tenant in (None, tenant)]


_Part = Gate | Lift | Room | Seat


class _Ready(NamedTuple):
    """A rule and its parts; the times are milliseconds UTC, ``categories`` rows of facets."""

    rule: Rule
    parts: tuple[_Part, ...]
    categories: frozenset[int] | None
    begins: float | None
    ends: float | None

    @property
    def has_conditions(self) -> bool:
        return self[2:] != (None, None, None)

    def holds(self, category: int, now: int | None) -> bool:
        """Whether it is in force; one with dates is not where there is no time."""
        if self.categories is not None and category not in self.categories:
            return False
        if self.begins is None and self.ends is None:
            return True
        if now is None or (self.begins is not None and now < self.begins):
            return False
        return self.ends is None or now < self.ends


class RuleBook:
    """Says which rules are in force for a question, and makes an arrangement of them.

    A standing rule that does not fit these items, since it names an attribute that none of them
    has, is left out and stands in ``faults`` with the reason. Threads may share one.
    """

    def __init__(self, rules: Sequence[Rule], vocabulary: Vocabulary, catalogue: Catalogue) -> None:
        self.vocabulary = vocabulary
        self.catalogue = catalogue
        self.faults: dict[str, str] = {}
        self._values: dict[str, Values] = {}
        self._standing: list[_Ready] = []
        for rule in rules:
            try:
                self._standing.append(self._ready(rule))
            except UsageError as error:
                self.faults[rule.name] = str(error)
        self.names = frozenset(each.rule.name for each in self._standing)
        is_plain = not any(each.has_conditions for each in self._standing)
        self._always = _arrangement(self._standing) if is_plain else None

    def in_force(
        self,
        own: Sequence[Rule],
        without: Sequence[str],
        *,
        category: Callable[[], int],
        now: int | None,
    ) -> Arrangement | None:
        """The rules that hold for a question, None if none does.

        ``own`` are the question's own rules; one with the name of a standing rule takes its
        place. ``without`` names standing rules that are not to hold. ``category`` tells the
        row of the session's category, ``now`` is in milliseconds UTC.

        Raises:
            RuleError: a rule of its own names an attribute that no item has; there is no
                standing rule to leave out, or it is a hard one, which no question lifts.
        """
        if not own and not without:
            if self._always is not None or not self._standing:
                return self._always
            return self._holding(self._standing, category(), now)
        replaced = {rule.name for rule in own if rule.name in self.names} | {*without}
        self._require_soft(replaced)
        standing = [each for each in self._standing if each.rule.name not in replaced]
        try:
            ready = [self._ready(rule) for rule in own]
        except UsageError as error:
            raise RuleError(str(error)) from error
        return self._holding([*standing, *ready], category(), now)

    def _holding(
        self, rules: Sequence[_Ready], category: int, now: int | None
    ) -> Arrangement | None:
        return _arrangement([each for each in rules if each.holds(category, now)])

    def _require_soft(self, names: set[str]) -> None:
        for name in names:
            rule = next((each.rule for each in self._standing if each.rule.name == name), None)
            if rule is None and name not in self.faults:
                raise RuleError(
                    f"There is no standing rule {name!r}.{did_you_mean(name, self.names)}"
                )
            if rule is not None and rule.is_hard:
                raise RuleError(
                    f"The rule {name!r} says what may be shown at all; no request lifts it."
                )

    def _ready(self, rule: Rule) -> _Ready:
        rows = category_rows(self.catalogue, rule.when_category)
        return _Ready(
            rule,
            tuple(self._parts(rule)),
            frozenset(rows) if rule.when_category else None,
            _milliseconds(rule.active_from),
            _milliseconds(rule.active_until),
        )

    def _parts(self, rule: Rule) -> list[_Part]:
        name = rule.name or REQUEST
        match rule:
            case Block():
                return [Gate(name, ~self._selected(rule.items, rule.where))]
            case Only():
                return [Gate(name, self._selected(rule.items, rule.where))]
            case Boost():
                return [Lift(name, self._selected(rule.items, rule.where), rule.factor)]
            case Cap():
                return [Room(name, self._values_of(rule.attribute), rule.at_most)]
            case Pin():
                codes = self.vocabulary.codes(rule.items).tolist()
                first = rule.position - 1
                return [Seat(name, code, first + place) for place, code in enumerate(codes)]

    def _selected(self, items: Sequence[str], where: Filter) -> NDArray[np.bool_]:
        mask = (
            self.catalogue.having(where) if where else np.zeros(len(self.catalogue), dtype=np.bool_)
        )
        mask[self.vocabulary.codes(items)] = True
        return mask

    def _values_of(self, attribute: str) -> Values:
        if attribute not in self._values:
            catalogue = self.catalogue
            rows = catalogue.facets.get(attribute)
            if rows is None:
                raise UsageError(
                    f"No item has an attribute {attribute!r} to cap."
                    f"{did_you_mean(attribute, catalogue.facets)} "
                    f"Items have {', '.join(sorted(catalogue.facets)) or 'no attributes'}."
                )
            self._values[attribute] = Values(
                rows, catalogue.offsets, catalogue.members, len(catalogue)
            )
        return self._values[attribute]


def _arrangement(rules: Sequence[_Ready]) -> Arrangement | None:
    parts = [part for each in rules for part in each.parts]
    if not parts:
        return None
    return Arrangement(
        [part for part in parts if isinstance(part, Gate)],
        [part for part in parts if isinstance(part, Lift)],
        [part for part in parts if isinstance(part, Room)],
        [part for part in parts if isinstance(part, Seat)],
    )


def _milliseconds(moment: datetime | None) -> float | None:
    return None if moment is None else utc(moment).timestamp() * 1e3
