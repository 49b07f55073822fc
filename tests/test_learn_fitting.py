"""Fitting a candidate: chosen, fitted, judged and kept, or an error that harms nobody."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from wherry.domain import Candidate, Estimate
from wherry.errors import ModelError
from wherry.learn.cost import Slo
from wherry.learn.dataset import Dataset
from wherry.learn.fitting import EVALUATION, MODEL, fit_candidate, grid_within
from wherry.learn.learn import best
from wherry.learn.metrics import Evaluation
from wherry.learn.models import load_model
from wherry.learn.plan import Entry, Plan, read_candidate
from wherry.learn.popularity import Popularity
from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions, Vocabulary

N = 12


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two hundred sessions that walk from an item to the next one."""
    rng = np.random.default_rng(1)
    starts = rng.integers(0, N, 200)
    items = ((starts[:, None] + np.arange(4)) % N).ravel()
    sessions = Sessions.from_events(
        np.repeat(np.arange(200), 4), items, np.arange(800) * 60_000, n_items=N
    )
    Dataset(Vocabulary([f"i{code}" for code in range(N)]), sessions).save(tmp_path / "dataset")
    return Plan(
        dataset=str(tmp_path / "dataset"),
        own_models=str(tmp_path / "models"),
        entries=(
            Entry(name="popularity", model="popularity"),
            Entry(name="rules", model="rules"),
            Entry(name="champion", model="rules", params=dict(Rules.grid[-1])),
            Entry(name="lost", model="lost"),
            Entry(name="wrong", model="rules", settings={"no_such_parameter": 1}),
        ),
        test_share=0.2,
        max_test_sessions=1000,
        max_validation_sessions=50,
        metric="mrr@20",
        seed=1,
    )


def test_a_candidate_is_judged_and_kept_with_its_model_and_its_answers(
    plan: Plan, tmp_path: Path
) -> None:
    folder = tmp_path / "rules"
    candidate = fit_candidate(plan, "rules", folder)
    assert candidate.error == ""
    assert candidate.metrics["hr@20"].value == 1.0
    assert candidate.metrics["mrr@5"].value > 0.9
    assert len(candidate.trials) == len(Rules.grid)
    assert candidate.size_bytes > 0
    assert read_candidate(folder) == candidate
    assert load_model(folder / MODEL).params == candidate.params
    assert (
        Evaluation.load(folder / EVALUATION).estimate("mrr@5", seed=1)
        == (candidate.metrics["mrr@5"])
    )


def test_what_it_costs_to_serve_is_measured_and_a_breach_excludes_it(
    plan: Plan, tmp_path: Path
) -> None:
    candidate = fit_candidate(plan, "rules", tmp_path / "free")
    assert 0 < candidate.answer_microseconds <= candidate.p99_microseconds
    assert candidate.memory_bytes >= candidate.size_bytes
    assert candidate.excluded == ""
    tight = msgspec.structs.replace(plan, slo=Slo(memory_mb=1e-6))
    candidate = fit_candidate(tight, "rules", tmp_path / "tight")
    assert "[learn.slo] allows" in candidate.excluded
    assert candidate.metrics["hr@20"].value == 1.0


def test_the_best_that_keeps_the_bounds_wins() -> None:
    names = ("good", "better")
    good, better = (
        Candidate(name=name, model="m", params={}, seed=1, metrics={"mrr@20": Estimate(v, v, v)})
        for name, v in zip(names, (0.2, 0.3), strict=True)
    )
    slow = msgspec.structs.replace(better, excluded="p99 of one answer is 90 ms")
    assert best([good, better], "mrr@20") == better
    assert best([good, slow], "mrr@20") == good
    with pytest.raises(ModelError, match=r"\[learn.slo\].*better: p99"):
        best([slow], "mrr@20")


def test_the_same_seed_gives_the_same_candidate(plan: Plan, tmp_path: Path) -> None:
    one, other = (fit_candidate(plan, "rules", tmp_path / word) for word in ("one", "other"))
    assert (one.params, one.metrics, one.trials) == (other.params, other.metrics, other.trials)


def test_the_champion_s_parameters_are_kept_and_nothing_is_tried(
    plan: Plan, tmp_path: Path
) -> None:
    candidate = fit_candidate(plan, "champion", tmp_path / "champion")
    assert candidate.trials == ()
    assert candidate.params == Rules(**Rules.grid[-1]).params  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "words"), [("lost", "There is no model 'lost'"), ("wrong", "no_such_parameter")]
)
def test_a_candidate_that_can_not_be_fitted_says_why(
    plan: Plan, tmp_path: Path, name: str, words: str
) -> None:
    candidate = fit_candidate(plan, name, tmp_path / name)
    assert words in candidate.error
    assert candidate.metrics == {}
    assert read_candidate(tmp_path / name) == candidate


def test_whatever_a_model_of_the_shop_s_own_raises_is_its_own_error(
    plan: Plan, tmp_path: Path
) -> None:
    """A slip of the pen is a NameError; where it is, is said."""
    own = Path(plan.own_models)
    own.mkdir()
    head = "from wherry.learn.popularity import Popularity\nclass Mine(Popularity):\n"
    body = "    name = 'mine'\n    def score(self, session, *, now=None):\n        return scoress\n"
    (own / "mine.py").write_text(head + body)
    entries = (*plan.entries, Entry(name="mine", model="mine"))
    candidate = fit_candidate(
        msgspec.structs.replace(plan, entries=entries), "mine", tmp_path / "mine"
    )
    assert candidate.error == "NameError: name 'scoress' is not defined (mine.py, line 5)"


def test_what_the_shop_has_fixed_is_the_same_in_every_trial() -> None:
    name, value = next(iter(Popularity.grid[0].items()))
    grid = grid_within(Popularity, {name: value})
    assert all(params[name] == value for params in grid)
    assert len({tuple(sorted(params.items())) for params in grid}) == len(grid)


def _candidate(name: str, figure: float, error: str = "") -> Candidate:
    metrics = {"mrr@20": Estimate(figure, figure, figure)}
    return Candidate(name=name, model=name, params={}, seed=1, metrics=metrics, error=error)


def test_the_best_is_the_highest_the_first_of_equals_and_never_a_failed_one() -> None:
    candidates = [_candidate("a", 0.2), _candidate("b", 0.3), _candidate("c", 0.3)]
    assert best([*candidates, _candidate("d", 0.9, "it broke")], "mrr@20").name == "b"
    with pytest.raises(ModelError, match="d: it broke"):
        best([_candidate("d", 0.9, "it broke")], "mrr@20")
    faulty = [_candidate(name, 0.9, "too few") for name in ("a", "b")]
    with pytest.raises(ModelError, match=r"fitted\. a, b: too few$"):
        best(faulty, "mrr@20")
