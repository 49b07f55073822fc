"""The choice of a model's parameters, by what they reach on a validation window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from wherry.domain import Params, Trial
from wherry.errors import ModelError
from wherry.learn.instances import Instances
from wherry.learn.metrics import evaluate
from wherry.learn.model import Model
from wherry.learn.split import Split

CHOSEN_BY = "mrr@20"
"""The metric that parameters are chosen by."""


class Choice(Struct, frozen=True):
    """The parameters chosen, and everything that was tried, in the order of trying."""

    params: Params
    trials: tuple[Trial, ...]


def choose(
    model_class: type[Model],
    windows: Split | Sequence[Split],
    *,
    seed: int,
    max_sessions: int = 2000,
    max_questions: int = 1500,
    grid: Sequence[Params] | None = None,
) -> Choice:
    """Fit and measure each parameter set of a model's grid; the first of the best wins.

    ``windows`` are splits of the *training* sessions: each has the days before the test
    window in turn as its ``test``. Figures are the mean over windows of :data:`CHOSEN_BY`, on
    at most ``max_sessions`` whole sessions of each window, drawn with ``seed``, and about
    ``max_questions`` instances of them: where sessions are long, fewer tell as much.

    Raises:
        ModelError: the grid is empty, or no window has anything to predict.
    """
    tried = tuple(model_class.grid if grid is None else grid)
    if not tried:
        raise ModelError(f"The model {model_class.name} has an empty grid; put its defaults there.")
    if len(tried) == 1:
        return Choice(tried[0], ())
    splits = (windows,) if isinstance(windows, Split) else tuple(windows)
    asked = [(each, sample(each, seed, max_sessions, max_questions)) for each in splits]
    asked = [(each, instances) for each, instances in asked if len(instances)]
    if not asked:
        raise ModelError(
            f"Parameters of {model_class.name} can't be chosen: no session of the validation "
            "window has two events. Widen the window."
        )
    figures = [np.mean([_figure(model_class, p, *each, seed) for each in asked]) for p in tried]
    trials = tuple(Trial(params=p, figure=float(f)) for p, f in zip(tried, figures, strict=True))
    return Choice(tried[int(np.argmax(figures))], trials)


def sample(window: Split, seed: int, max_sessions: int, max_questions: int) -> Instances:
    """The instances of a window's test sessions, or of a seeded sample of whole sessions.

    The sample holds at most ``max_sessions`` sessions, and no more of them than make up
    ``max_questions`` instances (but at least one).
    """
    sessions = window.test.take(draw(window, seed, max_sessions, max_questions))
    return Instances.of(sessions, since=window.cut)


def draw(window: Split, seed: int, max_sessions: int, max_questions: int) -> NDArray[np.int64]:
    """The places of :func:`sample`'s sessions among the window's test sessions, in their order."""
    sessions = window.test
    order = np.random.default_rng(seed).permutation(len(sessions))[:max_sessions]
    questions = np.cumsum(sessions.lengths[order] - 1)
    within = max(int(np.searchsorted(questions, max_questions, side="right")), 1)
    return np.sort(order[:within])


def _figure(
    model_class: type[Model], params: Params, window: Split, instances: Instances, seed: int
) -> float:
    model = model_class(**params).fit(window.train, seed=seed)
    evaluation = evaluate(model, instances, popularity=window.train.item_counts())
    return float(evaluation.values(CHOSEN_BY).mean())
