"""Places: how like a session an item without a history must be to go before the model's items.

A place in an answer is worth how often the next item stood there, in the test window. The same is
counted of items without a history by their score. An item goes before the first of the model's
whose place is worth less. Both are counts of one window, so no scale of a model's own scores
comes in, and any model will do.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wherry.domain import ContentRecipe
from wherry.learn.catalogue import Catalogue
from wherry.learn.content import Content
from wherry.learn.dataset import Dataset
from wherry.learn.fit import known_items
from wherry.learn.instances import Instances
from wherry.learn.metrics import SHOWN, Evaluation
from wherry.learn.split import Split
from wherry.learn.texts import read_texts, weigh

NEVER = 1000.0
"""A threshold that no score reaches."""

LEAST_HITS = 10
"""How many hits a range of scores must have to tell anything."""


MOST = 2 * SHOWN
"""Suggestions of one question that are counted."""


def learn_recipe(
    dataset: Dataset,
    facts: pa.Table,
    window: Split,
    instances: Instances,
    answers: Evaluation,
    *,
    fewer_than: int,
    places: int,
) -> ContentRecipe | None:
    """How items of ``fewer_than`` interactions are to be recommended; None where no texts are.

    The window's train part says which items had no history before it, ``answers`` what the
    winner answered to its ``instances``, ``facts`` is the table of the tenant's items.
    """
    vocabulary = known_items(dataset, facts)
    texts = read_texts(vocabulary.ids, facts)
    if fewer_than == 0 or not any(texts):
        return None
    recipe = ContentRecipe(fewer_than=fewer_than, places=places)
    showable = Catalogue.from_table(vocabulary.ids, facts).showable
    before = Content.build(weigh(texts), window.train.item_counts(), showable, recipe)
    thresholds = learn_thresholds(before, instances, answers).tolist()
    return ContentRecipe(fewer_than=fewer_than, places=places, thresholds=tuple(thresholds))


def learn_thresholds(
    content: Content, instances: Instances, answers: Evaluation
) -> NDArray[np.float32]:
    """From which score an item without a history goes before each place of a model, (20,).

    ``content`` knows of each item what was known before the window; ``answers`` are those of
    the model, fitted before it, to the same instances. ``NEVER`` where nothing is good enough.
    """
    scores: list[NDArray[np.float32]] = []
    hits: list[NDArray[np.bool_]] = []
    for i in range(len(instances)):
        found = content.suggest(instances.prefix(i), MOST)
        shown = set(answers.shown[i].tolist())
        is_new = np.array([item not in shown for item in found.items.tolist()], dtype=np.bool_)
        scores.append(found.scores[is_new])
        hits.append(found.items[is_new] == instances.targets[i])
    worth = np.bincount(answers.ranks, minlength=SHOWN + 1)[1 : SHOWN + 1] / max(len(answers), 1)
    if not scores:
        return np.full(SHOWN, NEVER, dtype=np.float32)
    return _thresholds(np.concatenate(scores), np.concatenate(hits), _falling(worth))


def _thresholds(
    scores: NDArray[np.float32], hits: NDArray[np.bool_], worth: NDArray[np.float64]
) -> NDArray[np.float32]:
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order]
    ends = _ends(scores, hits)
    starts = np.concatenate(([0], ends[:-1]))
    count = np.add.reduceat(hits, starts, dtype=np.int64) if len(ends) else np.zeros(0)
    # One standard error of a count below it: what is not sure takes nobody's place.
    rates = _falling((count - np.sqrt(count)) / (ends - starts), ends - starts)
    good = [np.flatnonzero(rates >= each) for each in worth]
    return np.array(
        [scores[ends[each[-1]] - 1] if len(each) else NEVER for each in good], dtype=np.float32
    )


def _ends(scores: NDArray[np.float32], hits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where ranges of ``LEAST_HITS`` hits each end, equal scores together; the rest is none."""
    last = scores[np.flatnonzero(hits)[LEAST_HITS - 1 :: LEAST_HITS]]
    return np.unique(np.searchsorted(-scores, -last, side="right"))


def _falling(
    values: NDArray[np.float64], weights: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """The closest never-rising values, by pooling neighbours that rise (Ayer et al., 1955)."""
    pools: list[tuple[float, float, int]] = []  # sum, weight, how many
    for value, weight in zip(
        values, np.ones(len(values)) if weights is None else weights, strict=True
    ):
        pool = (float(value * weight), float(weight), 1)
        while pools and pools[-1][0] / pools[-1][1] <= pool[0] / pool[1]:
            last = pools.pop()
            pool = (pool[0] + last[0], pool[1] + last[1], pool[2] + last[2])
        pools.append(pool)
    return np.repeat([total / weight for total, weight, _ in pools], [n for *_, n in pools])
