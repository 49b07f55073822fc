import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import ModelError, UsageError
from wherry.learn.instances import Instances
from wherry.learn.metrics import METRICS, Evaluation, evaluate, percentiles
from wherry.learn.popularity import Popularity

N_ITEMS = 30


class Table:
    """A model that answers with a row of a table of scores, by the latest item."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, session, *, now=None):
        return self.scores[session[-1]].copy()


def tables():
    """Scores with many ties and holes."""
    score = st.sampled_from([-np.inf, 0.0, 0.25, 0.5, 1.0])
    row = st.lists(score, min_size=N_ITEMS, max_size=N_ITEMS)
    return st.lists(row, min_size=N_ITEMS, max_size=N_ITEMS).map(lambda t: np.array(t, np.float32))


def questions():
    one = st.tuples(st.integers(0, 3), st.integers(0, N_ITEMS - 1), st.integers(-1, N_ITEMS - 1))
    return st.lists(one, min_size=1, max_size=15)


def ask(scores, asked) -> Evaluation:
    instances = Instances.prepared(
        [[item] for _, item, _ in asked],
        np.array([target for *_, target in asked]),
        sessions=np.array([session for session, *_ in asked]),
    )
    return evaluate(Table(scores), instances, popularity=np.arange(N_ITEMS))


def naive(scores, asked):
    """The metrics in plain Python, one question after the other."""
    figures = {metric: [] for metric in METRICS}
    shown_at_all = set()
    for _, item, target in asked:
        row = scores[item].tolist()
        is_ranked = target >= 0 and row[target] != -math.inf
        place = sum(other >= row[target] for other in row) if is_ranked else math.inf
        for k in (5, 10, 20):
            figures[f"hr@{k}"].append(1.0 if place <= k else 0.0)
            figures[f"mrr@{k}"].append(1 / place if place <= k else 0.0)
            figures[f"ndcg@{k}"].append(1 / math.log2(1 + place) if place <= k else 0.0)
        scored = [other for other in range(N_ITEMS) if row[other] != -math.inf]
        shown = sorted(scored, key=lambda other: (-row[other], other))[:20]
        shown_at_all |= set(shown)
        share = [(other + 0.5) / N_ITEMS for other in shown]  # item i was seen i times
        figures["popularity@20"].append(sum(share) / len(share) if share else 0.0)
    figures["coverage@20"] = [len(shown_at_all) / N_ITEMS]
    return {metric: sum(values) / len(values) for metric, values in figures.items()}


@settings(deadline=None, max_examples=30)
@given(tables(), questions())
def test_every_figure_agrees_with_a_naive_reference(scores, asked):
    summary = ask(scores, asked).summary()
    expected = naive(scores, asked)
    assert set(summary) == set(expected)
    for metric, figure in expected.items():
        assert summary[metric].value == pytest.approx(figure, rel=1e-5), metric


def test_a_model_that_scores_all_alike_hits_nothing():
    evaluation = ask(np.ones((N_ITEMS, N_ITEMS), np.float32), [(0, 1, 0), (1, 2, 5)])
    assert evaluation.ranks.tolist() == [N_ITEMS, N_ITEMS]
    assert evaluation.estimate("hr@20").value == 0.0


def of_ranks(ranks, sessions) -> Evaluation:
    n = len(ranks)
    return Evaluation(
        sessions=np.array(sessions),
        lengths=np.ones(n),
        targets=np.zeros(n),
        ranks=np.array(ranks),
        shown=np.full((n, 20), -1),
        percentiles=np.zeros(3),
    )


def test_the_interval_holds_the_value_and_is_the_same_for_a_seed():
    rng = np.random.default_rng(3)
    evaluation = of_ranks(rng.integers(0, 40, 500), np.arange(500) // 2)
    one, same = (evaluation.estimate("mrr@20", seed=5) for _ in range(2))
    assert one == same
    assert one != evaluation.estimate("mrr@20", seed=6)
    assert one.low < one.value < one.high


def test_the_interval_has_the_width_of_the_theory():
    rng = np.random.default_rng(4)
    hits = rng.random(2000) < 0.3
    evaluation = of_ranks(np.where(hits, 1, 0), np.arange(2000))
    estimate = evaluation.estimate("hr@20")
    width = 2 * 1.96 * math.sqrt(estimate.value * (1 - estimate.value) / 2000)
    assert estimate.high - estimate.low == pytest.approx(width, rel=0.1)


def test_sessions_are_resampled_whole():
    """Instances of one session rise and fall together: four copies tell no more than one."""
    rng = np.random.default_rng(5)
    ranks = rng.integers(0, 2, 400)
    alone = of_ranks(ranks, np.arange(400)).estimate("hr@20")
    copied = of_ranks(np.repeat(ranks, 4), np.repeat(np.arange(400), 4)).estimate("hr@20")
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_a_difference_in_pairs_is_tighter_than_two_intervals():
    rng = np.random.default_rng(6)
    worse = rng.integers(0, 30, 800)
    better = np.where(rng.random(800) < 0.1, 1, worse)
    one, other = of_ranks(better, np.arange(800)), of_ranks(worse, np.arange(800))
    gain = one.difference(other, "hr@20")
    alone = one.estimate("hr@20")
    assert gain.value == pytest.approx(alone.value - other.estimate("hr@20").value)
    assert gain.low > 0
    assert gain.high - gain.low < (alone.high - alone.low) / 1.5
    assert one.difference(one, "mrr@20").value == 0.0


def test_different_instances_are_not_compared():
    with pytest.raises(UsageError, match="same instances"):
        of_ranks([1, 2], [0, 1]).difference(of_ranks([1, 2], [0, 0]), "hr@20")


def test_a_slice_has_the_figures_of_its_instances():
    evaluation = of_ranks([1, 0, 2, 4], [0, 0, 1, 2])
    part = evaluation.restrict(np.array([True, False, True, False]))
    assert part.values("mrr@20").tolist() == [1.0, 0.5]
    assert part.sessions.tolist() == [0, 1]
    assert len(evaluation) == 4


def test_no_instances_give_nought():
    nothing = of_ranks([1], [0]).restrict(np.array([False]))
    assert {(e.value, e.low, e.high) for e in nothing.summary().values()} == {(0.0, 0.0, 0.0)}


def test_a_saved_evaluation_comes_back_equal(tmp_path):
    evaluation = ask(np.eye(N_ITEMS, dtype=np.float32), [(0, 1, 1), (1, 2, 5)])
    evaluation.save(tmp_path)
    loaded = Evaluation.load(tmp_path)
    assert loaded.summary() == evaluation.summary()
    assert loaded.ranks.tolist() == evaluation.ranks.tolist()


def test_files_that_disagree_are_refused(tmp_path):
    of_ranks([1, 2], [0, 1]).save(tmp_path)
    np.save(tmp_path / "ranks.npy", np.zeros(3, np.int32))
    with pytest.raises(ModelError, match="unequal"):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize("wrong", ["mr@20", "mrr", "mrr@0", "mrr@x", "coverage@21"])
def test_an_unknown_metric_is_named(wrong):
    with pytest.raises(UsageError, match=wrong):
        of_ranks([1], [0]).estimate(wrong)


def test_coverage_has_no_figure_per_instance():
    with pytest.raises(UsageError, match="all answers together"):
        of_ranks([1], [0]).values("coverage@20")


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_percentiles_are_midranks(counts):
    counts = np.array(counts)
    expected = [(np.sum(counts < c) + np.sum(counts <= c)) / (2 * len(counts)) for c in counts]
    assert percentiles(counts) == pytest.approx(expected)


def test_a_model_is_told_when_it_is_asked():
    heard = []

    class Listener(Popularity):
        def score(self, session, *, now=None):
            heard.append(now)
            return np.zeros(N_ITEMS, np.float32)

    instances = Instances.prepared([[1], [2]], np.array([0, 0]), times=np.array([70, 90]))
    evaluate(Listener(), instances, popularity=np.ones(N_ITEMS))
    assert heard == [70, 90]
