"""A candidate: a model with its parameters, fitted and measured, that may become a release."""

from __future__ import annotations

import msgspec

Params = dict[str, int | float | str | bool]


class Estimate(msgspec.Struct, frozen=True):
    """A figure with its 95% confidence interval, by bootstrap over sessions."""

    value: float
    low: float
    high: float


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters tried on the validation window."""

    params: Params
    figure: float


class Epoch(msgspec.Struct, frozen=True):
    """A point of a training curve: the mean loss of a step, in nats, and the seconds so far."""

    epoch: int
    loss: float
    seconds: float


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the leaderboard.

    ``metrics`` maps names such as ``hr@20``, ``mrr@20``, ``ndcg@20``, ``coverage@20`` and
    ``popularity@20`` to estimates over the test window; ``trials`` are what was tried on the
    validation window to choose ``params``. One answer of 20 items takes ``answer_microseconds``
    in the median and ``p99_microseconds`` at worst but for one in a hundred; a loaded model takes
    ``memory_bytes`` at most. ``folder`` is where the fitted model lies; ``error`` says why there
    is none; ``excluded`` says which bound of the shop's keeps it from winning. ``curve`` is the
    loss of each epoch, of a model that is trained in epochs.
    """

    name: str
    model: str
    params: Params
    seed: int
    metrics: dict[str, Estimate]
    trials: tuple[Trial, ...] = ()
    curve: tuple[Epoch, ...] = ()
    fit_seconds: float = 0.0
    answer_microseconds: float = 0.0
    p99_microseconds: float = 0.0
    size_bytes: int = 0
    memory_bytes: int = 0
    folder: str = ""
    error: str = ""
    excluded: str = ""
