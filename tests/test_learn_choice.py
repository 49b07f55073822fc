import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.choice import choose
from wherry.learn.popularity import Popularity
from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions
from wherry.learn.split import split, split_at
from wherry.testing import example_sessions

WINDOW = split(example_sessions(300), test_fraction=0.3)


class Planted(Popularity):
    """Worse the further ``half_life`` lies from 3: it ranks the truth by a rotated list."""

    grid = ({"half_life": 1.0}, {"half_life": 3.0}, {"half_life": 3.0000001}, {"half_life": 9.0})

    def score(self, session, *, now=None):
        scores = np.full(40, -np.inf, dtype=np.float32)
        near = (session[-1] + np.arange(-6, 7)) % 39
        scores[near] = 1.0 if round(self.half_life) == 3 else 0.0
        if round(self.half_life) != 3:
            scores[:] = 0.0
        return scores


def test_the_best_of_the_grid_wins_and_the_first_of_equals():
    choice = choose(Planted, WINDOW, seed=1)
    assert choice.params == {"half_life": 3.0}
    assert [trial.params for trial in choice.trials] == list(Planted.grid)
    assert choice.trials[1].figure == choice.trials[2].figure > choice.trials[0].figure


def test_the_same_seed_chooses_the_same():
    one, same = (choose(Rules, WINDOW, seed=4, max_sessions=20) for _ in range(2))
    assert one == same


def test_only_a_sample_of_the_sessions_is_asked_about():
    asked = []

    class Counting(Popularity):
        def score(self, session, *, now=None):
            asked.append(now)
            return super().score(session)

    one = {"half_life": 1.0}
    choose(Counting, WINDOW, seed=1, max_sessions=10, grid=(one, one))
    few = len(asked)
    asked.clear()
    choose(Counting, WINDOW, seed=1, grid=(one, one))
    assert 0 < few < len(asked)
    assert min(asked) >= WINDOW.test.first_times.min()


def test_figures_are_the_mean_over_windows():
    earlier = split(WINDOW.train, test_fraction=0.3)
    parts = [choose(Rules, window, seed=1) for window in (WINDOW, earlier)]
    both = choose(Rules, (WINDOW, earlier), seed=1)
    for one, other, mean in zip(*(part.trials for part in parts), both.trials, strict=True):
        assert mean.figure == pytest.approx((one.figure + other.figure) / 2)


def test_a_grid_of_one_needs_no_trial():
    assert choose(Rules, WINDOW, seed=1, grid=({"window": 3},)).trials == ()


def test_an_empty_grid_is_named():
    with pytest.raises(ModelError, match="rules has an empty grid"):
        choose(Rules, WINDOW, seed=1, grid=())


def test_a_window_with_nothing_to_predict_is_refused():
    lonely = Sessions.from_events(np.arange(9), np.zeros(9), np.arange(9), n_items=1)
    with pytest.raises(ModelError, match="Widen the window"):
        choose(Rules, split(lonely, test_fraction=0.5), seed=1)


def test_a_session_that_straddles_the_cut_is_asked_about_its_later_events_only():
    asked = []

    class Counting(Popularity):
        def score(self, session, *, now=None):
            asked.append(now)
            return super().score(session)

    owner, times = np.array([0, 1, 1, 1]), np.array([10, 5, 40, 60])
    sessions = Sessions.from_events(owner, np.zeros(4), times, n_items=1)
    one = {"half_life": 1.0}
    choose(Counting, split_at(sessions, 50), seed=1, grid=(one, one))
    assert asked == [40, 40]
