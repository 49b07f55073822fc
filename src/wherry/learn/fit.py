"""Fitting a recipe: a model's name, its parameters and a seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from wherry.domain import Params
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.dataset import Dataset
from wherry.learn.model import Model
from wherry.learn.models import Models, find_model
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions


def fit(
    model_class: type[Model],
    params: Params,
    sessions: Sessions,
    *,
    seed: int,
    checkpoints: Path | None = None,
) -> Model:
    """Fit a model with parameters on sessions.

    A model that has ``checkpoint_in`` is given a folder of its own within ``checkpoints``, by
    what it is fitted with and on: the same fit, begun again, goes on where it was.
    """
    model = model_class(**params)
    checkpoint_in = getattr(model, "checkpoint_in", None)
    if checkpoints is not None and checkpoint_in is not None:
        checkpoint_in(checkpoints / _fingerprint(model, sessions, seed))
    return model.fit(sessions, seed=seed)


def assemble(
    dataset: Dataset,
    catalogue: Catalogue,
    model: str,
    params: Params,
    *,
    seed: int,
    own: Models,
    hide_purchased: bool,
    checkpoints: Path | None = None,
) -> Answerer:
    """Fit a recipe on all sessions, the test window included, and make it ready to answer."""
    model_class = find_model(model, own)
    popular = Popularity().fit(dataset.sessions, seed=seed)
    return Answerer(
        fit(model_class, params, dataset.sessions, seed=seed, checkpoints=checkpoints),
        dataset.vocabulary,
        catalogue,
        popular.score(dataset.sessions.items[:1]),
        hide_purchased=hide_purchased,
    )


def _fingerprint(model: Model, sessions: Sessions, seed: int) -> str:
    digest = hashlib.sha256(msgspec.json.encode([model.name, sorted(model.params.items()), seed]))
    for array in (sessions.offsets, sessions.items, sessions.types):
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{model.name}-{digest.hexdigest()[:16]}"
