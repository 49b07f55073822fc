"""The character of a winner: figures beside the champion's, bounded where a bound is set."""

from __future__ import annotations

import math
from collections.abc import Iterator

from wherry.behave import figures
from wherry.behave.slices import dimensions, slices
from wherry.behave.subject import Subject
from wherry.domain import Check, Severity
from wherry.learn.metrics import Evaluation


def has_character(subject: Subject) -> Iterator[Check]:
    """What a winner shows, beside how often it is right, lies within the bounds that are set."""
    bounds = _bounds(subject)
    before = measure(subject, subject.champion) if subject.champion is not None else {}
    for (name, part), figure in measure(subject, subject.winner).items():
        least, most = bounds[name]
        yield bounded(
            name, figure, part=part, least=least, most=most, champion=before.get((name, part))
        )


def measure(subject: Subject, answers: Evaluation) -> dict[tuple[str, str], float]:
    """Every figure of a model's answers, by its name and the slice or dimension that it is of.

    What can't be told, as where no item has a price, is NaN.
    """
    shown, asked, counts = answers.shown, subject.instances, subject.counts
    targets, catalogue = asked.targets, subject.answerer.catalogue
    is_found = figures.found(shown, targets)
    found: dict[tuple[str, str], float] = {
        ("uneven misses", dimension): figures.miss_difference(is_found, parts)
        for dimension, parts in dimensions(slices(subject)).items()
        if dimension not in ("session", "item")  # these are uneven by nature
    }
    found["misses in the right category", "all"] = figures.miss_category(
        shown, targets, catalogue.categories
    )
    if subject.vectors is not None:
        found["distance of misses", "all"] = figures.miss_distance(shown, targets, subject.vectors)
        found["diversity", "all"] = figures.diversity(shown, subject.vectors)
    found["price ratio", "all"] = figures.price_ratio(shown, asked, catalogue.prices)
    found["novelty", "all"] = figures.novelty(shown, counts)
    found["serendipity", "all"] = figures.serendipity(shown, asked, counts)
    found["inequality of exposure", "all"] = figures.gini(shown, len(counts))
    found["miscalibration", "all"] = figures.miscalibration(shown, asked, catalogue.categories)
    return found


def _bounds(subject: Subject) -> dict[str, tuple[float | None, float | None]]:
    """The least and the most that each figure may be; None is no bound."""
    rules = subject.rules
    return {
        "uneven misses": (None, rules.max_miss_difference),
        "misses in the right category": (rules.min_miss_category, None),
        "distance of misses": (None, rules.max_miss_distance),
        "diversity": (rules.min_diversity, None),
        "price ratio": (None, rules.max_price_ratio),
        "novelty": (rules.min_novelty, None),
        "serendipity": (rules.min_serendipity, None),
        "inequality of exposure": (None, rules.max_gini),
        "miscalibration": (None, rules.max_miscalibration),
    }


def bounded(
    name: str,
    figure: float,
    *,
    part: str = "all",
    least: float | None = None,
    most: float | None = None,
    champion: float | None = None,
) -> Check:
    """A figure as a check: it blocks where a bound is set and not kept, or can't be told."""
    is_told = math.isfinite(figure)
    is_bound = least is not None or most is not None
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    passed = not is_bound or (is_told and low <= figure <= high)
    signed = (("≥", least), ("≤", most))
    sides = [f"{sign} {bound:g}" for sign, bound in signed if bound is not None]
    message = "" if is_told else "Nothing is known that would tell it."
    if is_told and not passed:
        message = f"It is {figure:.4g}, and the bound is {' and '.join(sides)}."
    before = champion if champion is not None and math.isfinite(champion) else None
    return Check(
        name=name,
        passed=passed,
        figure=figure if is_told else None,
        bound=" and ".join(sides),
        slice=part,
        severity=Severity.BLOCK if is_bound else Severity.WARN,
        message=message,
        sample=({"winner": figure if is_told else None, "champion": before},),
    )
