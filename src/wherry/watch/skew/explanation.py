"""Explanations: under which fault the difference that was found would have come out, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Cause(StrEnum):
    """What kind of fault makes a difference."""

    GAP = "another session gap"
    EVENT_TYPE = "event type"
    UNFOLDED = "not folded"
    BEHIND = "state behind"
    LENGTH = "session length"
    MISSING = "events missing"
    UNHEARD_OF = "items that the lake does not have"
    ORDER = "order of events"
    PURCHASES = "purchases"
    STALE_ITEMS = "stale item table"
    RELEASE = "another release"
    RULES = "rules"
    TIES = "order among equal scores"
    MODEL = "the model answers otherwise"
    UNEXPLAINED = "unexplained"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that reproduces a difference. ``detail`` tells it from others of its kind, such as
    which event type; ``words`` say it in a sentence. ``low`` and ``high`` bound the session gap
    that the server went by, in minutes."""

    cause: Cause
    words: str
    detail: str = ""
    low: float = 0.0
    high: float = 0.0

    @property
    def key(self) -> tuple[Cause, str]:
        """Explanations with the same one may be one fault."""
        return self.cause, self.detail


def choose(explained: Sequence[Sequence[Explanation]]) -> list[Explanation]:
    """For each difference one of its explanations: the fault that explains most differences.

    One answer often has several: the last event of a session is missing whether its type is
    dropped or the state is behind. Over many answers the fault that there is explains more
    than the others. Of those that explain as much it is the first.
    """
    counts = Counter(key for each in explained for key in {one.key for one in each})
    return [max(each, key=lambda one: counts[one.key]) for each in explained]


def gap_words(chosen: Sequence[Explanation], settings: float) -> str:
    """What gap all of some differences speak of; those of one fault bound it together."""
    low, high = max(each.low for each in chosen), min(each.high for each in chosen)
    if low >= high:
        return f"as if the gap were not {settings:g} minutes, and not the same everywhere"
    bound = f"at least {low:.3g}" + (f" and less than {high:.3g}" if high < float("inf") else "")
    return f"as if the gap were {bound} minutes; by the settings it is {settings:g}"
