"""Slices: the parts of the test window on which a model must not quietly get worse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wherry.behave.subject import Subject

Mask = NDArray[np.bool_]

SHORT, LONG = 2, 5
"""Prefixes of up to 2 items are short, of 5 and more long."""

RARE, FREQUENT = 0.5, 0.95
"""Items below the median of popularity are rare, those in the top twentieth frequent."""

LARGEST = 8
"""Of categories, countries and the like, those that most instances are of have slices."""

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_THURSDAY = 3  # the first day of 1970
_HOURS = ("00–06", "06–12", "12–18", "18–24")
_PRICES = ("lowest", "low", "high", "highest")


def slices(subject: Subject) -> dict[str, Mask]:
    """Every slice as a mask over the instances, (I,), under the name ``dimension: part``.

    A dimension that nothing is known of has no slices. Items are those that came next; hours
    and weekdays are UTC.
    """
    found = _by_session_length(subject) | _by_item_popularity(subject) | _by_category(subject)
    for attribute in subject.rules.item_attributes:
        found |= _by_attribute(subject, attribute)
    found |= _by_price(subject)
    for name, words in subject.traits.items():
        found |= _by_trait(subject, name, words)
    return found | _by_hour(subject) | _by_weekday(subject)


def dimensions(found: dict[str, Mask]) -> dict[str, list[Mask]]:
    """The masks of slices by their dimension, in order."""
    grouped: dict[str, list[Mask]] = {}
    for name, mask in found.items():
        grouped.setdefault(name.partition(":")[0], []).append(mask)
    return grouped


def _by_session_length(subject: Subject) -> dict[str, Mask]:
    lengths = subject.instances.lengths
    return {
        "session: short": lengths <= SHORT,
        "session: medium": (lengths > SHORT) & (lengths < LONG),
        "session: long": lengths >= LONG,
    }


def _by_item_popularity(subject: Subject) -> dict[str, Mask]:
    known = subject.instances.targets >= 0
    share = np.where(known, subject.winner.percentiles[subject.instances.targets], 0.0)
    return {
        "item: rare": share < RARE,
        "item: common": (share >= RARE) & (share < FREQUENT),
        "item: frequent": share >= FREQUENT,
    }


def _by_category(subject: Subject) -> dict[str, Mask]:
    catalogue, targets = subject.answerer.catalogue, subject.instances.targets
    rows = np.where(targets >= 0, catalogue.categories[targets], -1)
    names = {row: name for name, row in catalogue.facets.get("category", {}).items()}
    return _largest("category", rows, names)


def _by_attribute(subject: Subject, attribute: str) -> dict[str, Mask]:
    """By an attribute of the catalogue; of an item with several values the last counts."""
    catalogue, targets = subject.answerer.catalogue, subject.instances.targets
    values = catalogue.facets.get(attribute, {})
    of = np.full(len(catalogue), -1, dtype=np.int64)
    for row in values.values():
        of[catalogue.members[catalogue.offsets[row] : catalogue.offsets[row + 1]]] = row
    rows = np.where(targets >= 0, of[targets], -1)
    return _largest(attribute, rows, {row: name for name, row in values.items()})


def _by_price(subject: Subject) -> dict[str, Mask]:
    """By the quarters of the catalogue's prices, each item counting once."""
    prices, targets = subject.answerer.catalogue.prices, subject.instances.targets
    if np.isnan(prices).all():
        return {}
    bands = np.searchsorted(np.nanquantile(prices, (0.25, 0.5, 0.75)), prices, side="left")
    bands = np.where(np.isnan(prices), -1, bands)
    of = np.where(targets >= 0, bands[targets], -1)
    return {f"price: {name}": of == band for band, name in enumerate(_PRICES)}


def _by_trait(subject: Subject, name: str, words: Sequence[str | None]) -> dict[str, Mask]:
    known = sorted({word for word in words if word is not None})
    codes = {word: code for code, word in enumerate(known)}
    of = np.array([-1 if word is None else codes[word] for word in words], dtype=np.int64)
    return _largest(name, of[subject.instances.sessions], dict(enumerate(known)))


def _largest(dimension: str, rows: NDArray[np.int64], names: dict[int, str]) -> dict[str, Mask]:
    found, counts = np.unique(rows[rows >= 0], return_counts=True)
    largest = found[np.argsort(-counts, kind="stable")][:LARGEST]
    return {f"{dimension}: {names[int(row)]}": rows == row for row in largest}


def _by_hour(subject: Subject) -> dict[str, Mask]:
    part = subject.instances.times // _HOUR_MS % 24 // (24 // len(_HOURS))
    return {f"hour: {name}": part == number for number, name in enumerate(_HOURS)}


def _by_weekday(subject: Subject) -> dict[str, Mask]:
    day = (subject.instances.times // _DAY_MS + _THURSDAY) % len(_WEEKDAYS)
    return {f"weekday: {name}": day == number for number, name in enumerate(_WEEKDAYS)}
