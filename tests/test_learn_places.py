from __future__ import annotations

import numpy as np
import pyarrow as pa

from wherry.learn.dataset import Dataset
from wherry.learn.instances import Instances
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.places import NEVER, _falling, _thresholds, learn_recipe
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.learn.split import split


def test_values_that_rise_are_pooled_by_their_weights() -> None:
    assert _falling(np.array([3.0, 1.0, 2.0, 0.0])).tolist() == [3, 1.5, 1.5, 0]
    assert _falling(np.array([1.0, 4.0]), np.array([3, 1])).tolist() == [1.75, 1.75]
    assert _falling(np.array([])).tolist() == []


def test_the_more_alike_the_further_up_and_never_without_evidence() -> None:
    scores = np.repeat([0.9, 0.5, 0.1], [40, 400, 4000]).astype(np.float32)
    hits = np.zeros(len(scores), dtype=np.bool_)
    hits[:20] = hits[40:80] = hits[440:450] = True
    found = _thresholds(scores, hits, np.array([0.9, 0.3, 0.05, 0.03, 0.001]))
    assert np.allclose(found, [NEVER, 0.9, 0.5, 0.5, 0.1])
    few = _thresholds(scores[:9], hits[:9], np.array([0.9, 0.1]))
    assert few.tolist() == [NEVER, NEVER]


def shop(*, follows: bool) -> tuple[Dataset, pa.Table]:
    """Every session is two items; the second of late ones is new, and like the first or not."""
    rng = np.random.default_rng(1)
    n, early = 400, 340
    first = rng.integers(0, 40, n)
    second = rng.integers(0, 40, n)
    new = first[early:] if follows else rng.integers(0, 40, n - early)
    second[early:] = 40 + new
    items = np.column_stack((first, second)).ravel()
    sessions = Sessions.from_events(
        np.repeat(np.arange(n), 2), items, np.arange(2 * n) * 1000, n_items=80
    )
    ids = [f"old{i}" for i in range(40)] + [f"tnew{i}" for i in range(40)]
    names = [f"thing{i} old" for i in range(40)] + [f"thing{i} new" for i in range(40)]
    table = pa.table(
        {"item_id": [*ids, "unheard"], "name": [*names, "ladder"], "in_catalogue": [True] * 81}
    )
    return Dataset(Vocabulary(ids), sessions), table


def judged(dataset: Dataset) -> tuple[Instances, Evaluation]:
    window = split(dataset.sessions, test_fraction=0.1)
    instances = Instances.of(window.test)
    model = Popularity().fit(window.train, seed=1)
    return instances, evaluate(model, instances, popularity=window.train.item_counts())


def recipe(dataset: Dataset, table: pa.Table, fewer_than: int = 5, places: int = 1):  # type: ignore[no-untyped-def]
    window = split(dataset.sessions, test_fraction=0.1)
    return learn_recipe(
        dataset, table, window, *judged(dataset), fewer_than=fewer_than, places=places
    )


def test_new_items_that_are_clicked_because_they_are_alike_go_first() -> None:
    dataset, table = shop(follows=True)
    found = recipe(dataset, table, fewer_than=8)
    assert found is not None
    assert (found.fewer_than, found.places, len(found.thresholds)) == (8, 1, 20)
    assert found.thresholds[0] < 1


def test_new_items_that_nobody_clicks_take_no_place() -> None:
    dataset, table = shop(follows=True)
    old = dataset.sessions.take(np.arange(330))
    found = recipe(Dataset(dataset.vocabulary, old), table)
    assert found is not None
    assert set(found.thresholds) == {NEVER}


def test_nothing_is_learned_where_it_is_off_or_no_item_has_a_text() -> None:
    dataset, table = shop(follows=True)
    assert recipe(dataset, table, fewer_than=0) is None
    assert recipe(dataset, table.drop_columns("name")) is None
