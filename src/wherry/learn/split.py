"""The cut through time that parts what a model learns from and what it is measured on."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from wherry.errors import ModelError, UsageError
from wherry.learn.sessions import DAY_MS, Sessions

__all__ = ["DAY_MS", "Split", "split", "split_at"]


class Split(Struct, frozen=True, kw_only=True):
    """Sessions on both sides of ``cut``, a time in milliseconds since 1970, UTC.

    ``train`` holds the sessions that were over before the cut, so nothing in it is as late as
    the cut. ``test`` holds the sessions that end at the cut or after it, whole: one that
    straddles the cut is measured only on its later events (``Instances.of(…, since=cut)``).
    No session is on both sides.
    """

    train: Sessions
    test: Sessions
    cut: int


def split(
    sessions: Sessions, *, test_ms: int | None = None, test_fraction: float | None = None
) -> Split:
    """Cut off the last ``test_ms`` milliseconds, or about the last ``test_fraction`` of sessions.

    Sessions that end at the same time stay together, so the fraction is met from above. The
    same function cuts the tail of ``train`` off as validation.

    Raises:
        UsageError: not exactly one of the two is given, or it is out of range.
        ModelError: one side would be empty.
    """
    last = sessions.last_times
    if (test_ms is None) == (test_fraction is None):
        raise UsageError("A split takes either test_ms or test_fraction; give one of the two.")
    if len(last) == 0:
        raise ModelError("There are no sessions to split; load events first.")
    if test_ms is not None:
        if test_ms <= 0:
            raise UsageError(f"test_ms is {test_ms}; it must be above 0.")
        cut = int(last[-1]) - test_ms + 1
    else:
        assert test_fraction is not None
        if not 0 < test_fraction < 1:
            raise UsageError(f"test_fraction is {test_fraction}; it must lie between 0 and 1.")
        cut = int(last[min(int(len(last) * (1 - test_fraction)), len(last) - 1)])
    return split_at(sessions, cut)


def split_at(sessions: Sessions, cut: int) -> Split:
    """Part sessions at a time: over before it, or not; ModelError if one side is empty."""
    n_train = int(np.searchsorted(sessions.last_times, cut, side="left"))
    n_test = len(sessions) - n_train
    if n_train == 0 or n_test == 0:
        raise ModelError(
            f"Cutting {len(sessions)} sessions at {np.datetime64(cut, 'ms')} leaves {n_train} to "
            f"learn from and {n_test} to test on; load more days, or choose another test window."
        )
    places = np.arange(len(sessions))
    return Split(
        train=sessions.take(places[:n_train]), test=sessions.take(places[n_train:]), cut=cut
    )
