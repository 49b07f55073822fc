"""The models there are: the packaged ones by name, and a user's own from ``models/*.py``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

from wherry.errors import ModelError, did_you_mean
from wherry.learn.blend import Blend
from wherry.learn.covisits import Covisits
from wherry.learn.knn import SessionKNN
from wherry.learn.model import Model, ModelFile
from wherry.learn.neural import GRU4Rec, SASRec
from wherry.learn.own_code import run_own_file
from wherry.learn.popularity import Popularity
from wherry.learn.prod2vec import Prod2Vec
from wherry.learn.rules import Rules
from wherry.learn.twostage import TwoStage

Models = Mapping[str, type[Model]]

MODELS: Models = MappingProxyType(
    {
        each.name: each
        for each in (
            Popularity,
            Rules,
            Covisits,
            Prod2Vec,
            SessionKNN,
            Blend,
            TwoStage,
            GRU4Rec,
            SASRec,
        )
    }
)
"""The packaged models by name."""

OWN_CODE = "code"
"""The folder of a release that holds the files of the shop's own models."""

_METHODS = ("fit", "score", "recommend", "save", "load", "params")


def find_model(name: str, own: Models | None = None) -> type[Model]:
    """The model class of a name, packaged or a user's own; ModelError if there is none."""
    known = {**MODELS, **(own or {})}
    if name not in known:
        raise ModelError(
            f"There is no model {name!r}; there are {', '.join(sorted(known))}."
            f"{did_you_mean(name, known)} Own models go into the folder models/."
        )
    return known[name]


def load_model(folder: Path, own: Models | None = None) -> Model:
    """Read a saved model back, of whichever class its ``model.json`` names."""
    model_class = find_model(ModelFile.load(folder).model, own)
    try:
        return model_class.load(folder)
    except TypeError as error:  # parameters that the class doesn't take
        raise ModelError(
            f"The model saved in {folder} can't be restored ({error}): it was saved by another "
            "version. Fit it again."
        ) from error


def load_released_model(folder: Path) -> Model:
    """Read the model of a release, whose own code, if it has any, lies beside it in ``code/``.

    A release that was made from a user's own model carries its file, so that it still answers
    after the file in the project has changed.
    """
    return load_model(folder, load_own_models(folder.parent / OWN_CODE))


def load_own_models(folder: Path) -> dict[str, type[Model]]:
    """Load the model classes written in ``folder/*.py``, by name; no folder gives none.

    A class counts if it is defined in the file and has a ``name`` and a ``fit``. Files whose
    name begins with ``_`` are left alone.

    Raises:
        ModelError: a file can't be run, holds no model, or one that lacks something.
    """
    own: dict[str, type[Model]] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        found = _models_in(run_own_file(path, "wherry_own_models", ModelError))
        if not found:
            raise ModelError(
                f"{path} holds no model. Define a class with name, grid, fit, score, recommend, "
                "save and load there, or begin the file's name with '_'."
            )
        for model_class in found:
            _check(model_class, path, {**MODELS, **own})
            own[model_class.name] = model_class
    return own


def _models_in(module: ModuleType) -> list[type[Model]]:
    classes = (each for _, each in inspect.getmembers(module, inspect.isclass))
    return [
        each
        for each in classes
        if each.__module__ == module.__name__ and hasattr(each, "name") and hasattr(each, "fit")
    ]


def _check(model_class: type[Model], path: Path, taken: Models) -> None:
    missing = [word for word in _METHODS if not hasattr(model_class, word)]
    if missing:
        raise ModelError(
            f"The model {model_class.__name__} in {path} lacks {', '.join(missing)}; "
            "see wherry.learn.model.Model."
        )
    if not getattr(model_class, "grid", ()):
        raise ModelError(
            f"The model {model_class.__name__} in {path} has no grid: give it a tuple of "
            "parameter sets, the defaults first; ({},) if it has no parameters."
        )
    if model_class.name in taken:
        raise ModelError(
            f"The name {model_class.name!r} of {model_class.__name__} in {path} is taken; "
            "choose another."
        )
