import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn import twostage
from wherry.learn.blend import Blend
from wherry.learn.instances import Instances
from wherry.learn.metrics import evaluate
from wherry.learn.sessions import Sessions
from wherry.learn.split import split
from wherry.learn.trees import Trees
from wherry.learn.twostage import TwoStage
from wherry.testing import check_model, example_sessions

SMALL = {"questions": 400, "trees": 20, "candidates": 15}

needs_lightgbm = pytest.mark.skipif(
    not twostage.is_lightgbm_here(), reason="wherry[rank] is not installed"
)


@needs_lightgbm
def test_it_keeps_the_contract():
    check_model(TwoStage, **SMALL)
    check_model(TwoStage, **{**SMALL, "candidates": 3, "windows": 1, "tail": 0.5})


@needs_lightgbm
def test_the_trees_are_fitted_and_saved_as_lightgbm_s_own_text(tmp_path):
    TwoStage(**SMALL).fit(example_sessions(), seed=1).save(tmp_path)
    assert len(Trees.load(tmp_path / "trees.txt").roots) == SMALL["trees"]


@needs_lightgbm
def test_an_order_that_the_first_stage_can_t_see_is_learned():
    """After item a comes a + 1 if it was met once, and a + 2 if it was met twice."""
    rng = np.random.default_rng(1)
    n = 60
    starts = rng.integers(0, n, 3000)
    twice = rng.random(3000) < 0.5
    lists = [
        [s, s, (s + 2) % n] if again else [s, (s + 1) % n]
        for s, again in zip(starts, twice, strict=True)
    ]
    owner = np.repeat(np.arange(3000), [len(each) for each in lists])
    sessions = Sessions.from_events(
        owner, np.concatenate(lists), np.arange(len(owner)) * 60_000, n_items=n
    )
    window = split(sessions, test_fraction=0.1)
    asked = Instances.of(window.test, shortest=2)
    counts = window.train.item_counts()
    mrr = {
        model: evaluate(model.fit(window.train, seed=1), asked, popularity=counts)
        .values("mrr@20")
        .mean()
        for model in (TwoStage(questions=2000, trees=40), Blend())
    }
    two_stage, blend = mrr.values()
    assert two_stage > blend + 0.02


def test_without_lightgbm_a_fit_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(ModelError, match=r"wherry\[rank\]"):
        TwoStage(**SMALL).fit(example_sessions(), seed=1)


def test_too_few_questions_leave_the_first_stage_to_answer():
    few = example_sessions(6)
    session = np.array([3], dtype=np.int32)
    answer = TwoStage().fit(few, seed=1).recommend(session, 5)
    assert np.array_equal(answer.items, Blend().fit(few, seed=1).recommend(session, 5).items)


def test_nonsense_is_refused():
    with pytest.raises(ModelError, match="tail=1"):
        TwoStage(tail=1.0)


@needs_lightgbm
@pytest.mark.parametrize("neural", ["", "gru4rec"])
def test_an_explanation_adds_up_to_the_trees_score_and_has_the_retrievers_within(neural):
    if neural:
        pytest.importorskip("jax", reason="wherry[neural] is not installed")
    model = TwoStage(**SMALL, neural=neural).fit(example_sessions(), seed=1)
    question = np.array([4, 8, 4, 1], dtype=np.int32)
    items, scores = model.recommend(question, SMALL["candidates"])
    told = model.explain(question, items.tolist())
    assert [each.score for each in told] == pytest.approx(scores.tolist(), rel=1e-5)
    names = {part.feature for each in told for part in each.parts if part.feature}
    known = {*twostage.FEATURES, *(twostage.NEURAL if neural else ())}
    assert names <= known
    found, first, _ = twostage.describe(model._fitted, model._network, question, 15)
    by_item = dict(zip(found.tolist(), first.tolist(), strict=True))
    retrieved = [each.retrieved for each in told]
    assert [each.score for each in retrieved] == pytest.approx(
        [by_item[each.item] for each in retrieved], rel=1e-4
    )
    assert {"neural"} & {p.carrier for each in retrieved for p in each.parts} == (
        {"neural"} if neural else set()
    )


@needs_lightgbm
def test_beyond_the_candidates_the_first_stage_s_score_is_explained():
    model = TwoStage(**{**SMALL, "candidates": 3}).fit(example_sessions(), seed=1)
    question = np.array([5, 9], dtype=np.int32)
    last = model.recommend(question, 10).items.tolist()[-1]
    (told,) = model.explain(question, [last])
    assert told.retrieved is None
    assert {part.carrier for part in told.parts} == {"history"}


def test_only_with_a_neural_model_may_metrics_differ_on_another_machine():
    assert TwoStage().tolerance == 0
    assert TwoStage(neural="gru4rec").tolerance == twostage.GRU4Rec.tolerance > 0


@needs_lightgbm
def test_no_question_of_the_trees_is_put_to_a_network_that_has_seen_it(monkeypatch):
    """A network that counts stands in for one that is trained."""
    seen, asked = [], []

    class Counting:
        tolerance = 0.02

        def fit(self, sessions, *, seed):
            seen.append(len(sessions))
            self.counts = np.log1p(sessions.item_counts()).astype(np.float32)
            return self

        def logits(self, session):
            asked.append(len(seen))
            return self.counts

    monkeypatch.setitem(twostage._NETWORKS, "gru4rec", Counting)
    sessions = example_sessions()
    model = TwoStage(**SMALL, tail=0.5, neural="gru4rec").fit(sessions, seed=1)
    assert seen == [len(sessions) // 2, len(sessions)]
    assert set(asked) == {1}  # the trees' questions: none to the network that knows all
    assert len(model.recommend(np.array([3], dtype=np.int32), 5).items) == 5
    assert asked[-1] == 2
