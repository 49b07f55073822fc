"""Why: what carried an item into an answer, in ids, names and words."""

from __future__ import annotations

import msgspec

from wherry.domain.ids import ItemId


class WhyPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of an item's score.

    ``carrier`` says what it comes from: ``history`` (an item of the session: ``item`` and
    ``name``, met last ``back`` events before the latest), ``repeat`` (the recommended item was
    itself met, ``back`` events before the latest), ``together`` (what no single item of the
    session brings), ``popularity``, ``content``, ``rule``, ``neural``, or, where trees order the
    items, ``feature`` (with its name and ``value``) and ``base``. ``share`` is the weight as a
    part of all weights without their signs.
    """

    carrier: str
    weight: float
    share: float
    item: ItemId | None = None
    name: str | None = None
    back: int | None = None
    feature: str = ""
    value: float | None = None


class WhyNeighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A past session that went on to the item: what it held near there, in order, and its age.
    Whose it was is not said. ``age_days`` is counted from the newest session; null: not known."""

    items: list[ItemId]
    age_days: float | None
    weight: float


class WhyThrough(msgspec.Struct, frozen=True, kw_only=True):
    """An item that led on to the recommended one, which stands near it in past sessions."""

    item: ItemId
    name: str | None
    weight: float


class Why(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an item is recommended.

    The weights of ``parts`` add up to ``score``: the model's own, or popularity, as the answer
    has it; of a two-stage model's items beyond its candidates, and of items that stand there by
    their texts or by a rule, it is what is known of them. ``neighbours`` are the heaviest of
    ``n_neighbours`` past sessions that hold the item, which brought ``by_neighbours`` of the
    score; ``through`` are items in between. ``retrieved`` says what the retrievers made of an
    item that trees put in order afterwards.
    """

    words: str
    score: float
    parts: list[WhyPart]
    neighbours: list[WhyNeighbour] = []
    n_neighbours: int = 0
    by_neighbours: float = 0.0
    through: list[WhyThrough] = []
    retrieved: Why | None = None
