import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.learn.instances import Instances
from wherry.learn.sessions import Sessions

SESSIONS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=1, max_size=8)


def make(lists) -> Sessions:
    owner = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    return Sessions.from_events(owner, np.concatenate(lists), np.arange(len(owner)), n_items=5)


def listed(instances: Instances):
    return [
        (int(instances.sessions[i]), instances.prefix(i).tolist(), int(instances.targets[i]))
        for i in range(len(instances))
    ]


@given(SESSIONS, st.integers(0, 3))
def test_every_prefix_is_asked_about_with_what_came_next(lists, shortest):
    expected = [
        (session, items[:stop], items[stop])
        for session, items in enumerate(lists)
        for stop in range(max(shortest, 1), len(items))
    ]
    instances = Instances.of(make(lists), shortest=shortest)
    assert listed(instances) == expected
    assert instances.lengths.tolist() == [len(prefix) for _, prefix, _ in expected]


def test_a_question_is_asked_at_the_last_event_of_its_prefix():
    instances = Instances.of(make([[1, 2, 3], [4, 0]]))
    assert instances.times.tolist() == [0, 1, 3]


@given(SESSIONS)
def test_prepared_instances_come_back_as_they_were_given(lists):
    targets = np.arange(len(lists)) - 1
    instances = Instances.prepared(lists, targets)
    assert listed(instances) == [(i, items, i - 1) for i, items in enumerate(lists)]


def test_prepared_instances_may_share_a_session():
    instances = Instances.prepared([[1], [1, 2]], np.array([2, 3]), sessions=np.array([5, 5]))
    assert instances.sessions.tolist() == [5, 5]


def test_an_empty_prefix_is_named():
    with pytest.raises(UsageError, match="Prefix 1 is empty"):
        Instances.prepared([[1], []], np.array([0, 0]))
