"""The parameters of a simulated shop's click stream."""

from __future__ import annotations

import msgspec

Curve = tuple[tuple[float, float], ...]


class ShopShape(msgspec.Struct, frozen=True, kw_only=True):
    """What the visitors of a simulated shop do, and how often.

    The defaults give the published figures of a real shop (see ``shape.COVEO_2021``); they were
    found by simulating and measuring, since several of them work on one figure together.

    ``lengths`` is the curve of session lengths (quantile, events with the pages of views);
    ``conversion`` gives by length the chance of a purchase, which searching doesn't change by
    itself; ``popularity`` is the curve of concentration of the items (share of items, share of
    interactions). ``hours`` and ``weekdays`` (Monday first) are relative rates. ``back`` to
    ``department`` are the chances of a visitor's ways to the next item, ``taste`` that of starting
    where the visitor likes it; what is left over leaps anywhere.
    """

    lengths: Curve = (
        (0.0, 1.0),
        (0.2, 2.0),
        (0.45, 3.0),
        (0.58, 4.0),
        (0.75, 8.3),
        (0.9, 17.0),
        (0.95, 26.5),
        (0.99, 56.0),
        (0.999, 120.0),
        (1.0, 190.0),
    )
    view_chance: float = 0.82
    view_bend: float = 0.45
    gap_seconds: float = 23.0
    gap_spread: float = 1.3

    conversion: Curve = (
        (1.0, 0.0),
        (3.0, 0.0025),
        (7.0, 0.008),
        (16.0, 0.038),
        (35.0, 0.109),
        (70.0, 0.206),
    )
    conversion_scale: float = 0.82
    adds_bought: float = 0.215
    bought_without_add: float = 0.133
    further_adds: float = 0.54
    removes_per_add: float = 0.96
    seconds_to_add: float = 20.0
    seconds_to_remove: float = 60.0
    seconds_to_purchase: float = 400.0
    action_spread: float = 1.0

    search_chance: float = 0.0145
    further_searches: float = 0.6

    hours: tuple[float, ...] = (
        6.2, 3.4, 1.9, 1.2, 1.0, 1.3, 2.4, 4.6, 7.4, 9.8, 12.0, 13.8,
        14.9, 15.9, 16.9, 17.8, 18.6, 19.2, 19.5, 19.4, 18.7, 16.8, 13.5, 9.6,
    )  # fmt: skip
    weekdays: tuple[float, ...] = (1.08, 1.04, 1.01, 1.0, 0.96, 0.91, 1.0)

    popularity: Curve = (
        (0.002, 0.145),
        (0.01, 0.35),
        (0.05, 0.68),
        (0.1, 0.81),
        (0.2, 0.91),
        (0.4, 0.98),
    )
    taste: float = 0.4
    back: float = 0.12
    follow: float = 0.02
    theme: float = 0.69
    department: float = 0.02
