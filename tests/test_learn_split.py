import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wherry.errors import ModelError, UsageError
from wherry.learn.instances import Instances
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split, split, split_at

ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 200)), min_size=1, max_size=60)


def make(rows) -> Sessions:
    """Each event's item is its session's number, so that sessions can be told apart."""
    owner, times = (np.array(column) for column in zip(*rows, strict=True))
    return Sessions.from_events(owner, owner, times, n_items=10)


def hold(parts: Split, sessions: Sessions) -> None:
    train, test = parts.train, parts.test
    assert not set(train.items.tolist()) & set(test.items.tolist())
    assert len(train) + len(test) == len(sessions)
    assert train.n_events + test.n_events == sessions.n_events
    assert train.times.max() < parts.cut
    assert test.last_times.min() >= parts.cut


@given(ROWS, st.integers(0, 200))
def test_no_session_is_on_both_sides_and_train_ends_before_the_cut(rows, cut):
    sessions = make(rows)
    assume(sessions.last_times[0] < cut <= sessions.last_times[-1])
    hold(split_at(sessions, cut), sessions)


@given(ROWS, st.floats(0.05, 0.95))
def test_a_fraction_holds_the_same_laws_and_is_met_from_above(rows, fraction):
    sessions = make(rows)
    try:
        parts = split(sessions, test_fraction=fraction)
    except ModelError:
        place = min(int(len(sessions) * (1 - fraction)), len(sessions) - 1)
        assert sessions.last_times[place] == sessions.last_times[0]
        return
    hold(parts, sessions)
    assert len(parts.test) >= int(len(sessions) * fraction)


@given(ROWS, st.integers(0, 200))
def test_a_target_before_the_cut_is_never_asked_about(rows, cut):
    sessions = make(rows)
    assume(sessions.last_times[0] < cut <= sessions.last_times[-1])
    parts = split_at(sessions, cut)
    asked = Instances.of(parts.test, since=parts.cut)
    assert np.all(parts.test.times[asked.stops] >= cut)
    every = Instances.of(parts.test)
    assert len(asked) == np.count_nonzero(parts.test.times[every.stops] >= cut)


def test_the_last_day_is_a_window_that_ends_with_the_last_event():
    sessions = make([(0, 0), (1, 60), (2, 61), (3, 160)])
    parts = split(sessions, test_ms=100)
    assert parts.cut == 61
    assert (len(parts.train), len(parts.test)) == (2, 2)


def test_the_tail_of_train_is_cut_by_the_same_function():
    sessions = make([(s, s * 10) for s in range(10)])
    outer = split(sessions, test_fraction=0.2)
    inner = split(outer.train, test_fraction=0.25)
    assert [len(inner.train), len(inner.test), len(outer.test)] == [6, 2, 2]
    assert inner.test.times.max() < outer.cut


@pytest.mark.parametrize("wrong", [{}, {"test_ms": 1, "test_fraction": 0.1}])
def test_exactly_one_size_is_taken(wrong):
    with pytest.raises(UsageError, match="one of the two"):
        split(make([(0, 0), (1, 1)]), **wrong)


@pytest.mark.parametrize("wrong", [{"test_ms": 0}, {"test_fraction": 0.0}, {"test_fraction": 1.0}])
def test_a_size_out_of_range_is_named(wrong):
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        split(make([(0, 0), (1, 1)]), **wrong)


def test_an_empty_side_is_refused_with_both_counts():
    with pytest.raises(ModelError, match=r"2 sessions .* leaves 0 to learn from and 2 to test"):
        split(make([(0, 0), (1, 1)]), test_ms=100)


def test_no_sessions_can_not_be_split():
    none = np.empty(0, dtype=np.int64)
    with pytest.raises(ModelError, match="no sessions"):
        split(Sessions.from_events(none, none, none, n_items=1), test_fraction=0.5)
