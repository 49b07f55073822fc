"""Contract checks: the laws of a model, to run one's own model class through.

    from wherry.testing import check_model
    from my_models import Mine

    check_model(Mine, depth=3)

Each check is a function whose docstring is its law; ``MODEL_CHECKS`` lists them. A check gets
``make``, which makes an unfitted model, and sessions to fit it on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.learn.explanation import explain
from wherry.learn.model import Model
from wherry.learn.questions import Questions, rank_each
from wherry.learn.sessions import Sessions

Make = Callable[[], Model]
ModelCheck = Callable[[Make, Sessions], None]

_SEED = 7
_QUESTIONS = ([3], [5, 9], [2, 2], [4, 8, 4, 1], list(range(12)) * 8)


class ContractBroken(AssertionError):
    """A model breaks a law; ``check`` names it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


def check_model(model_class: type[Model], **params: int | float | str | bool) -> None:
    """Run a model class, made with these parameters, through every check.

    Raises:
        ContractBroken: the first law that it breaks; whatever the model itself raises is
            its cause.
    """
    for check in MODEL_CHECKS:
        run_check(check, model_class, **params)


def run_check(
    check: ModelCheck, model_class: type[Model], **params: int | float | str | bool
) -> None:
    """Run a model class through one check; ContractBroken if it breaks that law."""
    try:
        check(lambda: model_class(**params), example_sessions())
    except AssertionError as error:
        law = " ".join((check.__doc__ or "").split())
        raise ContractBroken(check.__name__, f"{error or 'broken'}. The law: {law}") from error
    except Exception as error:
        raise ContractBroken(check.__name__, f"raised {error!r}") from error


def example_sessions(n_sessions: int = 120, n_items: int = 40, *, seed: int = _SEED) -> Sessions:
    """Small sessions to fit on, with repeats, an hour apart: walks along a ring of items.

    The last item is in no session: a model knows of items that were never seen.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, n_sessions)
    owner = np.repeat(np.arange(n_sessions), lengths)
    start = rng.integers(0, n_items, n_sessions)[owner]
    items = (start + rng.integers(0, 6, len(owner))) % (n_items - 1)
    times = owner * 3_600_000 + np.arange(len(owner))
    return Sessions.from_events(owner, items, times, n_items=n_items)


def _questions() -> list[NDArray[np.int32]]:
    return [np.array(question, dtype=np.int32) for question in _QUESTIONS]


def _answers(model: Model, k: int = 10) -> list[tuple[NDArray[np.generic], ...]]:
    """All that a model says to the questions, copied: lists and full scores."""
    return [
        (*(part.copy() for part in model.recommend(q, k)), model.score(q).copy())
        for q in _questions()
    ]


def _same(ones: list[tuple[NDArray[np.generic], ...]], others: object) -> bool:
    return isinstance(others, list) and all(
        np.array_equal(a, b)
        for one, other in zip(ones, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def check_attributes(make: Make, sessions: Sessions) -> None:
    """A model has a name, a grid of parameter sets that it can be made with, and its params."""
    model = make()
    assert isinstance(model.name, str), f"name is {model.name!r}, not a word"
    assert model.name, "name is empty"
    assert model.grid, "grid is empty: put the defaults there, at least"
    assert isinstance(model.params, dict), f"params is {model.params!r}, not a dict"
    for params in (*model.grid, model.params):
        made: Params = type(model)(**params).params
        missing = {name: value for name, value in params.items() if made.get(name) != value}
        assert not missing, f"made with {params}, its params say {made}"


def check_fit_returns_itself(make: Make, sessions: Sessions) -> None:
    """``fit`` returns the model, fitted."""
    model = make()
    assert model.fit(sessions, seed=_SEED) is model, "fit returned something else"


def check_deterministic(make: Make, sessions: Sessions) -> None:
    """Two models fitted on the same sessions with the same seed give the same answers."""
    first = _answers(make().fit(sessions, seed=_SEED))
    assert _same(first, _answers(make().fit(sessions, seed=_SEED))), "the answers differ"


def check_inputs_unchanged(make: Make, sessions: Sessions) -> None:
    """Neither the sessions nor the session asked about are changed."""
    arrays = ("offsets", "items", "times", "types")
    before = [getattr(sessions, name).copy() for name in arrays]
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        asked = question.copy()
        model.recommend(asked, 5)
        model.score(asked)
        assert np.array_equal(asked, question), f"it changed the session {question.tolist()}"
    for name, old in zip(arrays, before, strict=True):
        assert np.array_equal(getattr(sessions, name), old), f"it changed the sessions' {name}"


def check_scores(make: Make, sessions: Sessions) -> None:
    """``score`` is a float32 number for every item; ``-inf`` alone marks an unscored one."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        scores = model.score(question)
        assert scores.shape == (sessions.n_items,), f"the scores' shape is {scores.shape}"
        assert scores.dtype == np.float32, f"the scores are {scores.dtype}"
        assert not np.isnan(scores).any(), "a score is NaN"
        assert not np.isposinf(scores).any(), "a score is +inf"


def check_ranking(make: Make, sessions: Sessions) -> None:
    """``recommend`` gives int32 items with finite float32 scores, best first, none twice."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        items, scores = model.recommend(question, 10)
        assert items.dtype == np.int32, f"the items are {items.dtype}"
        assert scores.dtype == np.float32, f"the scores are {scores.dtype}"
        assert len(items) == len(scores), f"{len(items)} items have {len(scores)} scores"
        assert np.isfinite(scores).all(), "a recommended item has no finite score"
        assert np.all(scores[1:] <= scores[:-1]), f"the scores are not falling: {scores.tolist()}"
        assert len(set(items.tolist())) == len(items), f"an item comes twice: {items.tolist()}"
        in_range = (items >= 0) & (items < sessions.n_items)
        assert in_range.all(), f"an item is none of the catalogue's: {items.tolist()}"


def check_k(make: Make, sessions: Sessions) -> None:
    """At most k items come, and a smaller k gives the head of what a greater one gives."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        whole = model.recommend(question, 20).items
        for k in (1, 3, 20):
            items = model.recommend(question, k).items
            assert len(items) <= k, f"asked for {k}, it gave {len(items)} items"
            assert np.array_equal(items, whole[:k]), f"the best {k} are not the head of the 20"


def check_k_beyond_the_catalogue(make: Make, sessions: Sessions) -> None:
    """Asked for more items than there are, it gives all that it scores, and no other."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        scored = int(np.isfinite(model.score(question)).sum())
        items = model.recommend(question, sessions.n_items + 5).items
        assert len(items) == scored, f"{scored} items are scored, and {len(items)} recommended"


def check_recommend_agrees_with_score(make: Make, sessions: Sessions) -> None:
    """``recommend`` is the head of ``score``; equals go by number, and the scores are equal."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        full = model.score(question)
        items, scores = model.recommend(question, 10)
        order = np.lexsort((np.arange(len(full)), -full))
        best = order[np.isfinite(full[order])][:10]
        assert np.array_equal(items, best), f"it gave {items.tolist()}, not {best.tolist()}"
        assert np.array_equal(scores, full[best]), "the scores of the list are others"


def check_order_of_calls(make: Make, sessions: Sessions) -> None:
    """An answer does not depend on what was asked before, nor on how often."""
    model = make().fit(sessions, seed=_SEED)
    first = _answers(model)
    for question in reversed(_questions()):
        model.recommend(question, 3)
    assert _same(first, _answers(model)), "asked again, it answers otherwise"


def check_short_and_long_sessions(make: Make, sessions: Sessions) -> None:
    """One item, an item repeated, an item never seen, and a very long session are answered."""
    model = make().fit(sessions, seed=_SEED)
    unseen = sessions.n_items - 1
    for question in ([0], [1, 1, 1], [unseen], [unseen, 0], list(range(unseen)) * 20):
        model.recommend(np.array(question, dtype=np.int32), 5)


def check_many_at_once(make: Make, sessions: Sessions) -> None:
    """Where it has ``recommend_many``, that gives each session what ``recommend`` gives it."""
    model, asked = make().fit(sessions, seed=_SEED), _questions()
    offsets = np.cumsum([0, *map(len, asked)])
    ranked = rank_each(model, Questions(np.concatenate(asked), offsets), 10)
    assert ranked.items.shape == (len(asked), 10), f"{ranked.items.shape} is no row a session"
    for row, question in enumerate(asked):
        alone = model.recommend(question, 10)
        same = all(np.array_equal(a, b) for a, b in zip(ranked.of(row), alone, strict=True))
        assert same, f"among others, {question.tolist()} gets another answer than alone"


def check_tiny_training_set(make: Make, sessions: Sessions) -> None:
    """It can be fitted on a single session of a single event."""
    one = np.zeros(1, dtype=np.int64)
    model = make().fit(Sessions.from_events(one, one, one, n_items=1), seed=_SEED)
    assert len(model.recommend(np.zeros(1, dtype=np.int32), 5).items) <= 1, "it invents items"


def check_save_and_load(make: Make, sessions: Sessions) -> None:
    """A model that was saved and loaded gives the same answers and has the same params."""
    model = make().fit(sessions, seed=_SEED)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        loaded = type(model).load(Path(folder))
        assert (Path(folder) / "model.json").is_file(), "it wrote no model.json"
        assert loaded.params == model.params, f"loaded, its params are {loaded.params}"
        assert _same(_answers(model), _answers(loaded)), "loaded, it answers otherwise"


def check_explanations(make: Make, sessions: Sessions) -> None:
    """The parts of an explanation add up to the item's score, and speak of the session's items."""
    model = make().fit(sessions, seed=_SEED)
    for question in _questions():
        items = model.recommend(question, 3).items.tolist()
        told = explain(model, question, items)
        assert [each.item for each in told] == items, "it explains other items than those asked for"
        for each in told:
            whole = sum(part.weight for part in each.parts)
            is_sum = abs(whole - each.score) <= 1e-4 * max(1.0, abs(each.score))
            assert is_sum, f"the parts of item {each.item} add up to {whole}, not to {each.score}"
            strange = {part.item for part in each.parts} - {*question.tolist(), -1}
            assert not strange, f"it names {sorted(strange)}, which are not in the session"


def check_no_pickle(make: Make, sessions: Sessions) -> None:
    """Nothing that is saved is a pickle, by its name or by its first bytes."""
    with tempfile.TemporaryDirectory() as folder:
        make().fit(sessions, seed=_SEED).save(Path(folder))
        for path in (each for each in Path(folder).rglob("*") if each.is_file()):
            is_named = path.suffix in {".pkl", ".pickle", ".joblib", ".dill", ".pt", ".bin"}
            head = path.read_bytes()[:128]
            is_pickle = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
            holds_objects = head[:6] == b"\x93NUMPY" and b"|O" in head
            is_bad = is_named or is_pickle or holds_objects
            assert not is_bad, f"{path.name} is a pickle"


MODEL_CHECKS: tuple[ModelCheck, ...] = (
    check_attributes,
    check_fit_returns_itself,
    check_deterministic,
    check_inputs_unchanged,
    check_scores,
    check_ranking,
    check_k,
    check_k_beyond_the_catalogue,
    check_recommend_agrees_with_score,
    check_order_of_calls,
    check_short_and_long_sessions,
    check_many_at_once,
    check_tiny_training_set,
    check_save_and_load,
    check_explanations,
    check_no_pickle,
)
"""Every check that :func:`check_model` runs, in its order."""
