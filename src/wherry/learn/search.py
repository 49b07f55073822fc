"""The search: parameters from ranges that a model declares, within a budget of minutes.

Optuna proposes them (TPE: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011);
it is the extra ``wherry[search]``. A journal beside the project keeps every trial, so that a
search that was cut short goes on, and the next one on other data begins with the best of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from wherry.domain import Params, Trial
from wherry.errors import ModelError
from wherry.learn.choice import CHOSEN_BY, Choice, sample
from wherry.learn.instances import Instances
from wherry.learn.metrics import evaluate
from wherry.learn.model import Model
from wherry.learn.space import Range, Space, Value
from wherry.learn.split import Split

SHARES = (0.25, 0.5, 1.0)
"""The parts of the questions after which a trial that falls behind is given up."""

_SET = "set"
"""The attribute of a trial that holds the whole set which it was given, if it was given one."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How long a search of one model may take; ``minutes`` 0: there is none."""

    minutes: float = 0.0
    trials: int = 200


def space_of(model_class: type[Model], fixed: Params) -> Space:
    """The ranges that a model declares as ``space``, without parameters that are fixed.

    Raises:
        ModelError: a declared parameter is no parameter of the model, or its range is empty.
    """
    declared: Space = getattr(model_class, "space", {})
    known = model_class.grid[0] if model_class.grid else {}
    for name, values in declared.items():
        if known and name not in known:
            raise ModelError(
                f"The space of {model_class.name} names {name!r}, which is no parameter of its "
                f"grid; there are {', '.join(known)}."
            )
        is_empty = values.low > values.high if isinstance(values, Range) else not values
        if is_empty:
            raise ModelError(f"The space of {model_class.name} leaves no value for {name!r}.")
    return {name: values for name, values in declared.items() if name not in fixed}


def search(
    model_class: type[Model],
    windows: Split | Sequence[Split],
    space: Space,
    *,
    budget: Budget,
    journal: Path,
    seed: int,
    grid: Sequence[Params],
    max_sessions: int = 2000,
    max_questions: int = 1500,
) -> Choice:
    """Try the sets of a grid, then what Optuna proposes, until the budget is used up.

    ``windows`` and the figures are those of :func:`wherry.learn.choice.choose`: nothing but
    the training sessions is looked at. ``journal`` is a folder; a search of the same model,
    space and sessions that stands there goes on, and its time counts. The first of the best wins.

    Raises:
        ModelError: Optuna is not installed, or no window has anything to predict.
    """
    splits = (windows,) if isinstance(windows, Split) else tuple(windows)
    asked = [(each, sample(each, seed, max_sessions, max_questions)) for each in splits]
    asked = [(each, questions) for each, questions in asked if len(questions)]
    if not asked:
        raise ModelError(
            f"Parameters of {model_class.name} can't be searched: no session of the validation "
            "window has two events. Widen the window."
        )
    base = dict(grid[0]) if grid else {}
    before = [_within(space, base, found) for found in _best_before(journal, model_class.name)]
    study = _study(journal, model_class.name, _fingerprint(model_class, space, asked), seed)
    _enqueue(study, space, [*grid, *before], base)
    end = time.monotonic() + 60 * budget.minutes - sum(_seconds(study))
    while time.monotonic() < end and len(_ended(study)) < budget.trials:
        trial = study.ask()
        given = _set_of(trial, base)
        params = {**given, **_suggest(trial, space, given)}
        _try(study, trial, model_class, params, asked, seed)
    done = [t for t in _ended(study) if t.value is not None and t.state.name == "COMPLETE"]
    if not done:  # the budget was shorter than one trial
        return Choice(base, ())
    trials = tuple(Trial(params=_set_of(t, base), figure=float(t.value)) for t in done)
    best = max(trials, key=lambda trial: trial.figure)
    _keep_best(journal, model_class.name, best.params)
    return Choice(best.params, trials)


def _try(
    study: Any,
    trial: Any,
    model_class: type[Model],
    params: Params,
    asked: Sequence[tuple[Split, Instances]],
    seed: int,
) -> None:
    """Fit and measure one set, a part of the questions at a time; told to the study."""
    optuna = _optuna()
    try:
        models = [model_class(**params).fit(each.train, seed=seed) for each, _ in asked]
    except (ModelError, ArithmeticError, ValueError) as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    figures = [np.zeros(0)] * len(asked)
    for step, share in enumerate(SHARES):
        for place, (window, questions) in enumerate(asked):
            part = _part(questions, len(figures[place]), share)
            evaluation = evaluate(models[place], part, popularity=window.train.item_counts())
            figures[place] = np.append(figures[place], evaluation.values(CHOSEN_BY))
        figure = float(np.mean([values.mean() for values in figures]))
        trial.report(figure, step)
        if share < 1 and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, figure)


def _part(questions: Instances, start: int, share: float) -> Instances:
    """The questions from one place up to a share of all, in an order that every trial shares."""
    stop = min(max(round(len(questions) * share), 1), len(questions))
    order = np.random.default_rng(0).permutation(len(questions))[start:stop]
    names = ("starts", "stops", "targets", "sessions", "times")
    return msgspec.structs.replace(questions, **{n: getattr(questions, n)[order] for n in names})


def _suggest(trial: Any, space: Space, given: Params) -> Params:
    """What Optuna proposes. A value of a set that was given and that lies outside of its range,
    such as the 0 of a logarithmic one, stays as it is, and Optuna learns nothing of it."""
    params: Params = {}
    is_given = _SET in trial.user_attrs
    for name, values in space.items():
        if is_given and not _lies_in(given.get(name), values):
            continue
        if not isinstance(values, Range):
            params[name] = trial.suggest_categorical(name, list(values))
        elif values.is_whole:
            params[name] = trial.suggest_int(name, values.low, values.high, log=values.log)
        else:
            params[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
    return params


def _lies_in(value: Value | None, values: Range | tuple[Value, ...]) -> bool:
    if not isinstance(values, Range):
        return value in values
    if not isinstance(value, int | float) or (values.is_whole and value != int(value)):
        return False
    return values.low <= value <= values.high


def _within(space: Space, base: Params, found: Params) -> Params:
    """A set that an earlier search found, as far as what is searched now has a place for it."""
    kept = {n: found[n] for n, values in space.items() if _lies_in(found.get(n), values)}
    return {**base, **kept}


def _set_of(trial: Any, base: Params) -> Params:
    """The whole set of a trial: what it was given, and what was proposed for it."""
    return {**base, **trial.user_attrs.get(_SET, {}), **trial.params}


def _enqueue(study: Any, space: Space, sets: Sequence[Params], base: Params) -> None:
    """Have these sets tried first, each once. One whose trial never ended is tried again: the
    process was killed, and nothing else works at the same journal."""
    kept = [t for t in study.get_trials(deepcopy=False) if t.state.name != "RUNNING"]
    known = [_set_of(trial, base) for trial in kept]
    for params in sets:
        if params in known:
            continue
        known.append(params)
        proposed = {n: params[n] for n, values in space.items() if _lies_in(params.get(n), values)}
        study.enqueue_trial(proposed, user_attrs={_SET: params})


def _study(journal: Path, name: str, fingerprint: str, seed: int) -> Any:
    optuna = _optuna()
    journal.mkdir(parents=True, exist_ok=True)
    path = journal / f"{name}-{fingerprint}.log"
    _mend(path)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=name,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )
    # A search that goes on draws on, and not the sets that it began with again.
    seed += len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=8)
    return study


def _mend(path: Path) -> None:
    """Cut off a last line that was not written whole, which Optuna can't read on from."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _best_before(journal: Path, model: str) -> list[Params]:
    """The best set of the last search of the same model, on whichever sessions."""
    try:
        content = (journal / f"{model}-best.json").read_bytes()
        return [msgspec.json.decode(content, type=Params)]
    except (OSError, msgspec.MsgspecError):
        return []


def _keep_best(journal: Path, model: str, params: Params) -> None:
    """Keep what was chosen, so that a search on later sessions begins with it."""
    (journal / f"{model}-best.json").write_bytes(msgspec.json.encode(params))


def _ended(study: Any) -> list[Any]:
    return [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]


def _seconds(study: Any) -> list[float]:
    """How long each trial that ended took: a search that goes on has the rest of its time."""
    return [t.duration.total_seconds() for t in _ended(study) if t.duration is not None]


def _fingerprint(
    model_class: type[Model], space: Space, asked: Sequence[tuple[Split, Instances]]
) -> str:
    """What a search is of: the model, its ranges, the sessions and the questions."""
    digest = hashlib.sha256(repr((model_class.name, sorted(space.items()))).encode())
    for window, questions in asked:
        for array in (window.train.offsets, window.train.items, questions.targets):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ModelError(
            "[learn.search] needs Optuna, which is not installed. "
            'Install it: pip install "wherry[search]"'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
