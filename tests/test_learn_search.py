import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn import search as module
from wherry.learn.models import MODELS
from wherry.learn.popularity import Popularity
from wherry.learn.search import Budget, search, space_of
from wherry.learn.space import Range
from wherry.learn.split import split
from wherry.testing import example_sessions

WINDOW = split(example_sessions(300), test_fraction=0.3)
GRID = ({"half_life": 1.0},)
MINUTES = Budget(minutes=5, trials=25)


class Hill(Popularity):
    """The further ``half_life`` lies from 6, the more wrong items it ties with the near ones."""

    grid = GRID
    space: ClassVar = {"half_life": Range(1.0, 20.0)}
    fitted: ClassVar[list] = []
    asked: ClassVar[list] = []

    def fit(self, sessions, *, seed):
        Hill.fitted.append((self.half_life, int(sessions.last_times[-1])))
        return super().fit(sessions, seed=seed)

    def score(self, session, *, now=None):
        Hill.asked.append(now)
        scores = np.zeros(40, dtype=np.float32)
        wrong = int(2 * abs(self.half_life - 6))
        scores[(session[-1] + np.arange(-2, 3 + wrong)) % 40] = 1.0
        return scores


@pytest.fixture(autouse=True)
def _forget():
    Hill.fitted.clear()
    Hill.asked.clear()


def run(folder, *, budget=MINUTES, **options):
    return search(
        Hill, WINDOW, Hill.space, budget=budget, journal=folder, seed=1, grid=GRID, **options
    )


def test_it_comes_near_the_best_value_which_the_grid_lacks(tmp_path):
    choice = run(tmp_path)
    worst = choice.trials[0]
    assert worst.params == GRID[0]
    assert abs(choice.params["half_life"] - 6) < 2
    assert max(trial.figure for trial in choice.trials) > 1.2 * worst.figure


def test_what_falls_behind_is_given_up_early(tmp_path):
    choice = run(tmp_path)
    assert len(choice.trials) < len(Hill.fitted) == MINUTES.trials


def test_only_the_training_sessions_of_the_window_are_looked_at(tmp_path):
    run(tmp_path, budget=Budget(minutes=5, trials=3))
    assert {last for _, last in Hill.fitted} == {int(WINDOW.train.last_times[-1])}
    assert min(Hill.asked) >= WINDOW.test.first_times.min()


def test_the_same_seed_proposes_the_same(tmp_path):
    few = Budget(minutes=5, trials=12)
    assert run(tmp_path / "a", budget=few) == run(tmp_path / "b", budget=few)


def test_a_search_that_was_cut_short_goes_on(tmp_path):
    run(tmp_path, budget=Budget(minutes=5, trials=10))
    before = len(Hill.fitted)
    choice = run(tmp_path, budget=Budget(minutes=5, trials=14))
    assert len(Hill.fitted) == before + 4
    again = run(tmp_path, budget=Budget(minutes=5, trials=14))
    assert len(Hill.fitted) == before + 4
    assert again == choice


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_packaged_grid_is_tried_as_it_is(tmp_path, name, monkeypatch):
    """A set may lie outside of the ranges, as the 0 of a logarithmic one does."""
    model, fitted = MODELS[name], []
    monkeypatch.setattr(module, "_try", lambda *given: tell(*given, fitted))
    budget = Budget(minutes=5, trials=len(model.grid) + 1)
    options = {"budget": budget, "journal": tmp_path, "seed": 1, "grid": model.grid}
    choice = search(model, WINDOW, space_of(model, {}), **options)
    assert fitted[:-1] == list(model.grid)
    assert fitted[-1] not in model.grid
    assert [trial.params for trial in choice.trials] == fitted


def tell(study, trial, model_class, params, asked, seed, fitted):
    fitted.append(model_class(**params).params)
    study.tell(trial, 0.5)


def test_a_set_that_was_under_way_when_the_process_was_killed_is_tried_again(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(module, "_try", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert run(tmp_path, budget=Budget(minutes=5, trials=2)).trials[0].params == GRID[0]


def test_a_search_that_goes_on_proposes_what_it_did_not_before(tmp_path):
    for trials in (3, 5):
        run(tmp_path, budget=Budget(minutes=5, trials=trials))
    values = [value for value, _ in Hill.fitted]
    assert len(set(values)) == len(values) == 5


def test_a_journal_whose_last_line_was_cut_short_is_read_on(tmp_path):
    run(tmp_path, budget=Budget(minutes=5, trials=4))
    (journal,) = tmp_path.glob("*.log")
    journal.write_bytes(journal.read_bytes()[:-5])
    for _ in range(2):  # the trial whose end was cut off has to be made up for, once
        run(tmp_path, budget=Budget(minutes=5, trials=6))
        assert len(Hill.fitted) == 4 + 3


def test_the_best_of_a_range_that_is_narrower_now_begins_nothing(tmp_path):
    best = run(tmp_path).params["half_life"]
    Hill.fitted.clear()
    few = Budget(minutes=5, trials=2)
    narrow = {"half_life": Range(1.0, 2.0)}
    search(Hill, WINDOW, narrow, budget=few, journal=tmp_path, seed=1, grid=GRID)
    assert best > 2.0
    assert [1.0 <= value <= 2.0 for value, _ in Hill.fitted] == [True, True]


def test_the_time_of_a_search_that_goes_on_is_used_up_once(tmp_path):
    run(tmp_path, budget=Budget(minutes=5, trials=4))
    run(tmp_path, budget=Budget(minutes=1e-9, trials=40))
    assert len(Hill.fitted) == 4


def test_without_time_for_a_single_trial_the_defaults_stand(tmp_path):
    choice = run(tmp_path, budget=Budget(minutes=1e-9, trials=40))
    assert choice.params == GRID[0]
    assert choice.trials == ()


def test_later_sessions_begin_with_the_best_of_before(tmp_path):
    best = run(tmp_path).params["half_life"]
    Hill.fitted.clear()
    later = split(example_sessions(400), test_fraction=0.3)
    few = Budget(minutes=5, trials=2)
    search(Hill, later, Hill.space, budget=few, journal=tmp_path, seed=1, grid=GRID)
    assert [value for value, _ in Hill.fitted] == [1.0, pytest.approx(best)]


def test_parameters_that_a_model_refuses_are_passed_over(tmp_path):
    class Picky(Hill):
        def fit(self, sessions, *, seed):
            if self.half_life > 10:
                raise ModelError("too long")
            return super().fit(sessions, seed=seed)

    few = Budget(minutes=5, trials=12)
    choice = search(Picky, WINDOW, Hill.space, budget=few, journal=tmp_path, seed=1, grid=GRID)
    assert all(trial.params["half_life"] <= 10 for trial in choice.trials)


def test_what_the_shop_has_fixed_is_not_searched():
    assert space_of(Hill, {"half_life": 3.0}) == {}
    assert set(space_of(MODELS["knn"], {"decay": 1.0})) == set(MODELS["knn"].space) - {"decay"}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_packaged_model_takes_the_ends_of_its_ranges(name):
    space = space_of(MODELS[name], {})
    assert space
    for end in ("low", "high"):
        params = {k: getattr(v, end) if isinstance(v, Range) else v[0] for k, v in space.items()}
        assert MODELS[name](**params).params.items() >= params.items()


def test_a_range_of_a_parameter_that_there_is_not_is_named():
    class Wrong(Hill):
        space: ClassVar = {"halflife": Range(1.0, 2.0)}

    with pytest.raises(ModelError, match="names 'halflife', which is no parameter"):
        space_of(Wrong, {})


def test_an_empty_range_is_named():
    class Wrong(Hill):
        space: ClassVar = {"half_life": Range(3.0, 2.0)}

    with pytest.raises(ModelError, match="leaves no value for 'half_life'"):
        space_of(Wrong, {})


def test_without_optuna_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModelError, match=r'pip install "wherry\[search\]"'):
        run(tmp_path)


def test_optuna_is_not_imported_unless_a_search_begins():
    code = f"import sys, {module.__name__}; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
