"""A rule: what a shop decides about its answers beside the model, in settings and in requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Word = str | bool | int | float
"""A value that an attribute can have, as JSON tells it."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices from ``min`` to ``max``, both included; None leaves that side open."""

    min: float | None = None
    max: float | None = None


Filter = Mapping[str, Word | Sequence[Word] | Range]
"""What an item must have: for each attribute one value, or any of several, or a price range."""

LEAST_FACTOR, LARGEST_FACTOR = 0.1, 10.0
"""How far a boost may go; so do several together. What is to stand on top anyway is pinned."""

_Name = Annotated[str, Meta(max_length=80, description="What the log and the metrics call it.")]
_Items = Annotated[
    tuple[str, ...], Meta(max_length=10_000, description="Ids of items that the rule is about.")
]
_Where = Annotated[
    dict[str, Word | list[Word] | Range],
    Meta(description="Attributes of items that the rule is about, as in a filter."),
]


class _Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"
):
    """When a rule holds: always, unless it says otherwise.

    ``tenant`` is whose rule it is (every tenant's if None). ``when_category`` are categories of
    the session's latest item, ``active_from`` and ``active_until`` times, UTC unless they
    say otherwise; the latter is the first moment at which the rule no longer holds.
    """

    name: _Name = ""
    tenant: Annotated[
        str | None, Meta(description="Whose rule it is; everybody's if none is named.")
    ] = None
    when_category: Annotated[
        tuple[str, ...], Meta(description="It holds where the session's latest item is in these.")
    ] = ()
    active_from: Annotated[datetime | None, Meta(description="It holds from then on.")] = None
    active_until: Annotated[datetime | None, Meta(description="It holds until then.")] = None

    def __post_init__(self) -> None:
        begin, end = self.active_from, self.active_until
        if begin is not None and end is not None and utc(begin) >= utc(end):
            raise ValueError(
                f"rule {self.name!r} would never hold: active_from {begin} is not before "
                f"active_until {end}"
            )

    @property
    def action(self) -> str:
        """What it does: ``block``, ``only``, ``boost``, ``cap`` or ``pin``."""
        return str(self.__struct_config__.tag)

    @property
    def is_hard(self) -> bool:
        """Whether it says what may be shown at all, which nothing overrides."""
        return isinstance(self, (Block, Only))


class _Selecting(_Rule, frozen=True, kw_only=True):
    """A rule about the ``items`` listed, and those that have all that ``where`` asks for."""

    items: _Items = ()
    where: _Where = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.items and not self.where:
            raise ValueError(f"rule {self.name!r} selects nothing: give it items or where")


class Block(_Selecting, frozen=True, kw_only=True, tag="block"):
    """These items are never shown."""


class Only(_Selecting, frozen=True, kw_only=True, tag="only"):
    """No other items than these are shown."""


class Boost(_Selecting, frozen=True, kw_only=True, tag="boost"):
    """These items come ``factor`` times further up, or down with less than 1.

    What is multiplied is one over the item's place in the ranking: by 2, the tenth comes before
    the sixth and after the fifth. So it means the same whatever a model's scores are.
    """

    factor: Annotated[
        float,
        Meta(
            ge=LEAST_FACTOR,
            le=LARGEST_FACTOR,
            description="How many times further up: 2 takes the tenth to the fifth's side.",
        ),
    ]


class Cap(_Rule, frozen=True, kw_only=True, tag="cap"):
    """An answer holds at most ``at_most`` items with the same value of ``attribute``.

    Items without the attribute are not counted.
    """

    attribute: Annotated[str, Meta(description="Such as category.")]
    at_most: Annotated[int, Meta(ge=1, description="Items with the same value of it.")]


class Pin(_Rule, frozen=True, kw_only=True, tag="pin"):
    """These items stand at ``position``, from 1, and the places after it, if they may be shown."""

    items: Annotated[
        tuple[str, ...], Meta(min_length=1, max_length=100, description="Ids, in their order.")
    ]
    position: Annotated[int, Meta(ge=1, description="The first one's place, from 1.")] = 1


Rule = Block | Only | Boost | Cap | Pin
"""Any of them; ``action`` says which."""


def utc(moment: datetime) -> datetime:
    """A time with its zone; one that names none is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
