import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.trees import Trees, add_up

STUMPS = """tree
version=v4
feature_names=a b

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 2
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=1 10 100

Tree=1
num_leaves=1
num_cat=0
leaf_value=0.25

end of trees
"""


def test_each_row_gets_the_sum_of_its_leaves():
    rows = np.array([[0.5, 0], [1, 2], [1, 3]], dtype=np.float32)
    assert add_up(Trees.parse(STUMPS), rows).tolist() == [1.25, 10.25, 100.25]


@pytest.mark.parametrize(
    "text",
    ["", STUMPS[:60], STUMPS.replace("threshold=0.5 2", "threshold=0.5"),
     STUMPS.replace("decision_type=2 2", "decision_type=2 1"), STUMPS.replace("10 100", "10")],
)  # fmt: skip
def test_what_is_no_model_of_numeric_splits_is_refused(text):
    with pytest.raises(ModelError, match="Fit the model again"):
        Trees.parse(text)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"trees\.txt"):
        Trees.load(tmp_path / "trees.txt")


def test_the_sums_are_those_that_lightgbm_computes():
    lightgbm = pytest.importorskip("lightgbm", reason="wherry[rank] is not installed")
    rng = np.random.default_rng(1)
    rows = np.round(rng.normal(size=(2000, 5)), 1).astype(np.float32)
    target = rows[:, 0] * rows[:, 1] + (rows[:, 2] > 0)
    settings = {"verbose": -1, "seed": 1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(rows, label=target), 30)
    sums = add_up(Trees.parse(booster.model_to_string()), rows)
    np.testing.assert_allclose(sums, booster.predict(rows), rtol=1e-5, atol=1e-6)
