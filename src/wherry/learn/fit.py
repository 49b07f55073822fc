"""Fitting a recipe: a model's name, its parameters and a seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.domain import ContentRecipe, Params
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.content import Content
from wherry.learn.dataset import Dataset
from wherry.learn.model import Model
from wherry.learn.models import Models, find_model
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.learn.texts import read_texts, weigh


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
    facts: pa.Table,
    model: str,
    params: Params,
    *,
    seed: int,
    own: Models,
    hide_purchased: bool,
    content: ContentRecipe | None = None,
    checkpoints: Path | None = None,
) -> Answerer:
    """Fit a recipe on all sessions, the test window included, and make it ready to answer.

    ``facts`` is the table of the tenant's items. With a recipe for ``content``, items of the
    catalogue that no session holds get numbers too, behind those of the others.
    """
    model_class = find_model(model, own)
    vocabulary = dataset.vocabulary if content is None else known_items(dataset, facts)
    catalogue = Catalogue.from_table(vocabulary.ids, facts)
    popular = Popularity().fit(dataset.sessions, seed=seed)
    return Answerer(
        fit(model_class, params, dataset.sessions, seed=seed, checkpoints=checkpoints),
        vocabulary,
        catalogue,
        popular.score(dataset.sessions.items[:1]),
        hide_purchased=hide_purchased,
        content=None
        if content is None
        else Content.build(
            weigh(read_texts(vocabulary.ids, facts)),
            dataset.sessions.item_counts(),
            catalogue.showable,
            content,
        ),
    )


def known_items(dataset: Dataset, facts: pa.Table) -> Vocabulary:
    """The items of the sessions and, behind them, those that only the catalogue knows."""
    return dataset.vocabulary.grown(facts.filter(pc.field("in_catalogue"))["item_id"].to_pylist())


def _fingerprint(model: Model, sessions: Sessions, seed: int) -> str:
    digest = hashlib.sha256(msgspec.json.encode([model.name, sorted(model.params.items()), seed]))
    for array in (sessions.offsets, sessions.items, sessions.types):
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{model.name}-{digest.hexdigest()[:16]}"
