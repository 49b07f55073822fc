"""Features: what is written into each column, and that one piece of code writes it."""

import numpy as np

from wherry.domain import INTERACTION_TYPES
from wherry.learn.features import FEATURES, Facts
from wherry.learn.retrieval import Retrieval
from wherry.learn.sessions import DAY_MS, Sessions
from wherry.testing import example_sessions

PURCHASE = INTERACTION_TYPES.index("purchase")


def asked(lists, question, candidates=20):
    """Features of each candidate by item and name; one session a day."""
    owner = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    times = owner * DAY_MS + np.arange(len(owner))
    sessions = Sessions.from_events(owner, np.concatenate(lists), times, n_items=10)
    retrieval = Retrieval.fit(sessions)
    items, scores, rows = retrieval.describe(np.array(question, dtype=np.int32), candidates)
    named = [dict(zip(FEATURES, row.tolist(), strict=True)) for row in rows]
    return dict(zip(items.tolist(), named, strict=False)), items, scores


def test_each_item_is_retrieved_once_and_the_best_come_first():
    retrieval = Retrieval.fit(example_sessions())
    session = np.array([3, 5, 3], dtype=np.int32)
    items, scores, rows = retrieval.describe(session, 8)
    assert len(set(items.tolist())) == len(items) > 8
    assert rows.shape == (8, len(FEATURES))
    assert (np.diff(scores[:8]) <= 0).all()
    assert scores[8:].max() <= scores[7]


def test_a_question_leaves_nothing_behind():
    retrieval = Retrieval.fit(example_sessions())
    one, other = np.array([3, 5], dtype=np.int32), np.array([8], dtype=np.int32)
    first = retrieval.describe(one, 10)
    retrieval.describe(other, 3)
    for a, b in zip(first, retrieval.describe(one, 10), strict=True):
        assert np.array_equal(a, b)


def test_the_session_is_told_to_each_candidate():
    found, _, _ = asked([[0, 1, 2]] * 3, [4, 0, 0])
    assert found.keys() >= {0, 1, 2}
    for row in found.values():
        assert (row["length"], row["distinct"], row["alike"]) == (3, 2, 1)


def test_repeats_are_described():
    found, _, _ = asked([[0, 1, 0, 2, 3]] * 3, [0, 1, 0, 2, 0])
    assert (found[0]["back"], found[0]["since"], found[0]["times"]) == (0, 0, 3)
    assert (found[2]["back"], found[2]["since"], found[2]["followed"]) == (1, 1, 1)
    assert (found[1]["back"], found[1]["since"], found[1]["followed"]) == (2, 3, 1)
    assert (found[3]["back"], found[3]["since"], found[3]["times"]) == (-1, -1, 0)


def test_what_stands_near_and_what_follows_is_told_apart():
    found, _, _ = asked([[1, 0, 2], [3, 4]], [3, 0])
    assert found[2]["follows_last"] == 1
    assert found[1]["follows_last"] == 0
    assert found[1]["near_last"] > 0
    assert found[4]["near_before"] == 1
    assert found[2]["lists"] == 1


def test_facts_about_items_are_counted():
    days = np.array([0, 0, 0, 10, 10]) * DAY_MS + np.arange(5)
    types = np.array([0, 0, 0, 0, PURCHASE])
    sessions = Sessions.from_events(
        np.array([0, 0, 0, 1, 1]), np.array([0, 1, 0, 1, 2]), days, types, n_items=4
    )
    facts = Facts.of(sessions)
    np.testing.assert_allclose(np.expm1(facts.seen), [2, 2, 1, 0], rtol=1e-5)
    assert facts.seen_lately[1] > facts.seen_lately[0]
    np.testing.assert_allclose(facts.age, [10, 10, 0, 0], atol=1e-6)
    np.testing.assert_allclose(facts.repeated, [1 / 7, 0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(facts.bought, [0, 0, 1 / 6, 0], rtol=1e-5)


def test_an_item_that_nobody_saw_is_described_when_the_session_holds_it():
    found, items, scores = asked([[0, 1]] * 3, [9])
    assert items.tolist() == [9]
    assert np.isfinite(scores).all()
    assert found[9]["seen"] == 0
