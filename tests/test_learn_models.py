import sys
from pathlib import Path

import numpy as np
import pytest

from wherry.errors import ModelError
from wherry.learn.model import Model, ModelFile
from wherry.learn.models import MODELS, find_model, load_model, load_own_models
from wherry.testing import check_model, example_sessions

OWN = """
from wherry.learn.popularity import Popularity

class Mine(Popularity):
    name = "mine"
    grid = ({"half_life": 3.0},)
"""


@pytest.fixture(autouse=True)
def _forget_own_modules():
    yield
    for name in [each for each in sys.modules if each.startswith("wherry_own_models.")]:
        del sys.modules[name]


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_packaged_model_is_restored_by_the_name_in_its_folder(tmp_path, name):
    if name == "twostage":
        pytest.importorskip("lightgbm", reason="wherry[rank] is not installed")
    model = MODELS[name]().fit(example_sessions(), seed=1)
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    assert type(loaded) is MODELS[name]
    assert isinstance(loaded, Model)
    asked = np.array([3, 4], dtype=np.int32)
    assert loaded.recommend(asked, 9).items.tolist() == model.recommend(asked, 9).items.tolist()


def test_an_own_model_is_loaded_checked_and_restored(tmp_path):
    own = load_own_models(write(tmp_path, OWN))
    assert list(own) == ["mine"]
    check_model(own["mine"])
    own["mine"]().fit(example_sessions(), seed=1).save(tmp_path / "saved")
    assert type(load_model(tmp_path / "saved", own)) is own["mine"]
    with pytest.raises(ModelError, match="no model 'mine'"):
        load_model(tmp_path / "saved")


def test_no_folder_gives_no_own_models(tmp_path):
    assert load_own_models(tmp_path / "models") == {}


def test_files_with_an_underscore_are_left_alone(tmp_path):
    write(tmp_path, "raise RuntimeError", "_draft.py")
    assert load_own_models(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("import wherry_does_not_exist", "ModuleNotFoundError"),
        ("x = 1", "holds no model"),
        ("class A:\n  name = 'a'\n  def fit(self): ...", "lacks score, recommend"),
        (OWN.replace('({"half_life": 3.0},)', "()"), "has no grid"),
        (OWN.replace('"mine"', '"knn"'), "'knn' of Mine"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_what_is_wrong(tmp_path, text, fault):
    with pytest.raises(ModelError, match=rf"(?s)mine\.py.*{fault}|{fault}.*mine\.py"):
        load_own_models(write(tmp_path, text))


def test_a_mistyped_name_gets_a_suggestion():
    with pytest.raises(ModelError, match="Did you mean 'popularity'"):
        find_model("popularty")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model\.json"):
        load_model(tmp_path)


def test_parameters_of_another_version_are_refused(tmp_path):
    ModelFile("rules", {"bygone": 1}).save(tmp_path)
    with pytest.raises(ModelError, match="another version"):
        load_model(tmp_path)
