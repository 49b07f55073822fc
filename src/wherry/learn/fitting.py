"""Fitting one candidate: choose its parameters, fit it, judge it on the test window, keep it."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

from wherry.domain import Candidate, Params
from wherry.learn.choice import Choice, choose
from wherry.learn.cost import measure
from wherry.learn.dataset import load_dataset
from wherry.learn.fit import fit
from wherry.learn.metrics import evaluate
from wherry.learn.model import Model
from wherry.learn.models import find_model, load_own_models
from wherry.learn.plan import Entry, Plan, test_instances, write_candidate
from wherry.learn.search import search, space_of
from wherry.learn.split import Split, split

MODEL, EVALUATION = "model", "evaluation"
"""The folders of a candidate: its arrays, and its answers to the test window."""


def fit_candidate(plan: Plan, name: str, folder: Path) -> Candidate:
    """Make one candidate of a plan, in a folder of its own.

    A model that fails is a candidate with an ``error``: it can't win, and the others go on. The
    traceback goes to standard error, which is the flow's log.
    """
    entry = plan.entry(name)
    try:
        candidate = _fit(plan, entry, folder)
    except Exception as error:  # noqa: BLE001  a shop's own model may raise anything
        traceback.print_exc()
        candidate = Candidate(
            name=entry.name,
            model=entry.model,
            params=entry.params or {},
            seed=plan.seed,
            metrics={},
            error=f"{type(error).__name__}: {error}{_where(error, plan.own_models)}",
        )
    write_candidate(folder, candidate)
    return candidate


def _where(error: Exception, own_models: str) -> str:
    """The last line of the shop's own code that the error came through, if there is one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.parent == Path(own_models):
            return f" ({file.name}, line {frame.lineno})"
    return ""


def _fit(plan: Plan, entry: Entry, folder: Path) -> Candidate:
    own = load_own_models(Path(plan.own_models))
    model_class = find_model(entry.model, own)
    window = split(load_dataset(Path(plan.dataset)).sessions, test_fraction=plan.test_share)
    choice = _choose(plan, entry, model_class, window)
    started = time.perf_counter()
    checkpoints = Path(plan.checkpoints) if plan.checkpoints else None
    model = fit(model_class, choice.params, window.train, seed=plan.seed, checkpoints=checkpoints)
    fit_seconds = time.perf_counter() - started
    instances = test_instances(window, max_sessions=plan.max_test_sessions, seed=plan.seed)
    evaluation = evaluate(model, instances, popularity=window.train.item_counts())
    model.save(folder / MODEL)
    evaluation.save(folder / EVALUATION)
    cost = measure(model_class, folder / MODEL, instances)
    return Candidate(
        name=entry.name,
        model=entry.model,
        params=model.params,
        seed=plan.seed,
        metrics=evaluation.summary(seed=plan.seed),
        trials=choice.trials,
        curve=tuple(getattr(model, "curve", ())),
        fit_seconds=fit_seconds,
        answer_microseconds=cost.p50_microseconds,
        p99_microseconds=cost.p99_microseconds,
        size_bytes=cost.size_bytes,
        memory_bytes=cost.memory_bytes,
        folder=str(folder),
        excluded=plan.slo.breach(cost),
    )


def _choose(plan: Plan, entry: Entry, model_class: type[Model], window: Split) -> Choice:
    if entry.params is not None:
        return Choice(entry.params, ())
    validation = split(window.train, test_fraction=plan.test_share)
    grid = grid_within(model_class, entry.settings)
    space = space_of(model_class, entry.settings) if plan.search.minutes else {}
    if not space:
        return choose(
            model_class,
            validation,
            seed=plan.seed,
            max_sessions=plan.max_validation_sessions,
            grid=grid,
        )
    return search(
        model_class,
        validation,
        space,
        budget=plan.search,
        journal=Path(plan.journal),
        seed=plan.seed,
        grid=grid,
        max_sessions=plan.max_validation_sessions,
    )


def grid_within(model_class: type[Model], settings: Params) -> list[Params]:
    """A model's grid with some parameters fixed, each set once.

    >>> from wherry.learn.popularity import Popularity
    >>> len(grid_within(Popularity, {"half_life": 7.0}))
    1
    """
    grid: list[Params] = []
    for params in model_class.grid:
        fixed = {**params, **settings}
        if fixed not in grid:
            grid.append(fixed)
    return grid
