import numpy as np
import pytest

from wherry.learn.shapley import Covers, contributions
from wherry.learn.trees import Trees, add_up

TWICE = """tree
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
leaf_count=6 3 1
internal_count=10 4

Tree=1
num_leaves=1
num_cat=0
leaf_value=0.25

end of trees
"""


def test_a_feature_adds_its_mean_over_all_orders_of_being_told():
    trees = Trees.parse(TWICE)
    found = contributions(trees, Covers.parse(TWICE, trees), np.array([[1, 3]], dtype=np.float32))
    mean = 0.6 * 1 + 0.3 * 10 + 0.1 * 100
    a = 0.75 * 10 + 0.25 * 100  # a told, b not
    b = 0.6 * 1 + 0.4 * 100  # b told, a not
    first, second = (a - mean + 100 - b) / 2, (b - mean + 100 - a) / 2
    assert found[0].tolist() == pytest.approx([first, second, mean + 0.25])


def test_the_parts_are_lightgbm_s_own():
    lightgbm = pytest.importorskip("lightgbm", reason="wherry[rank] is not installed")
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(500, 6)).astype(np.float32)
    labels = rows[:, 0] * rows[:, 1] + np.abs(rows[:, 2]) + (rows[:, 0] > 1) * rows[:, 3]
    booster = lightgbm.train(
        {"num_leaves": 31, "min_data_in_leaf": 3, "verbose": -1, "num_threads": 1},
        lightgbm.Dataset(rows, label=labels),
        20,
    )
    text = booster.model_to_string()
    trees = Trees.parse(text)
    found = contributions(trees, Covers.parse(text, trees), rows[:40])
    assert found == pytest.approx(booster.predict(rows[:40], pred_contrib=True), abs=1e-9)
    assert found.sum(axis=1) == pytest.approx(add_up(trees, rows[:40]), rel=1e-5)
