"""Slices: the parts of the test window on which a model must not quietly get worse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherry.behave.subject import Subject

Mask = NDArray[np.bool_]

SHORT, LONG = 2, 5
"""Prefixes of up to 2 items are short, of 5 and more long."""

RARE, FREQUENT = 0.5, 0.95
"""Items below the median of popularity are rare, those in the top twentieth frequent."""

_CATEGORIES = 8
_DAY_MS = 86_400_000
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_THURSDAY = 3  # the first day of 1970


def slices(subject: Subject) -> dict[str, Mask]:
    """Every slice as a mask over the instances, (I,), under the name ``dimension: part``."""
    return {
        **_by_session_length(subject),
        **_by_item_popularity(subject),
        **_by_category(subject),
        **_by_weekday(subject),
    }


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
    found, counts = np.unique(rows[rows >= 0], return_counts=True)
    largest = found[np.argsort(-counts, kind="stable")][:_CATEGORIES]
    return {f"category: {names[int(row)]}": rows == row for row in largest}


def _by_weekday(subject: Subject) -> dict[str, Mask]:
    day = (subject.instances.times // _DAY_MS + _THURSDAY) % len(_WEEKDAYS)
    return {f"weekday: {name}": day == number for number, name in enumerate(_WEEKDAYS)}
