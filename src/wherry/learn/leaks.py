"""Leaks: whether anything that is asked about could have been known to what was fitted.

Part of the audit of a training set; each check blocks the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wherry.domain import Check
from wherry.learn.instances import Instances
from wherry.learn.metrics import SHOWN, Evaluation
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split

TELLS_ALL = 0.999
"""From which area under the curve on a single feature is taken for the target itself."""


def find_leaks(
    window: Split,
    instances: Instances,
    *,
    train_ids: pa.Array,
    test_ids: pa.Array,
    in_catalogue: NDArray[np.bool_],
    answers: Mapping[str, Evaluation],
) -> tuple[Check, ...]:
    """Audit a training set, and what candidates that were fitted on it answered.

    ``train_ids`` and ``test_ids`` are the ids of the sessions on the two sides of the cut,
    ``in_catalogue`` (n_items,) says which items are known without any event, ``answers`` are
    those of each candidate to ``instances``.
    """
    return (
        no_event_after_the_cut(window.train, window.cut),
        no_target_in_the_question(instances),
        no_session_on_both_sides(train_ids, test_ids),
        no_item_from_the_future(window.train, instances, in_catalogue, answers),
    )


def no_event_after_the_cut(train: Sessions, cut: int) -> Check:
    """Nothing that was fitted on is as late as the cut."""
    late = np.flatnonzero(train.times >= cut)
    rows: list[dict[str, object]] = [
        {"item": int(train.items[e]), "time": _moment(train.times[e])} for e in late[:5]
    ]
    message = f"They are trained on, and not before {_moment(cut)}."
    return _none("leak: events after the cut", len(late), message, rows)


def no_target_in_the_question(instances: Instances) -> Check:
    """Every target is the event right after its prefix, and so not in it.

    Instances that someone else cut hold no such event; of these it can't be told.
    """
    follows = (instances.stops < len(instances.items)) & (instances.stops > instances.starts)
    follows[follows] = instances.items[instances.stops[follows]] == instances.targets[follows]
    wrong = np.flatnonzero(~follows)
    rows: list[dict[str, object]] = [
        {"instance": int(i), "target": int(instances.targets[i])} for i in wrong[:5]
    ]
    return _none(
        "leak: targets in the question",
        len(wrong),
        "The item asked for does not come right after what the model was told.",
        rows,
    )


def no_session_on_both_sides(train_ids: pa.Array, test_ids: pa.Array) -> Check:
    """No session, not even a part of one, is both learned from and asked about."""
    both = pc.unique(train_ids.filter(pc.is_in(train_ids, value_set=test_ids)))
    rows: list[dict[str, object]] = [{"session": each} for each in both[:5].to_pylist()]
    return _none(
        "leak: sessions on both sides", len(both), "They are trained on and tested on.", rows
    )


def no_item_from_the_future(
    train: Sessions,
    instances: Instances,
    in_catalogue: NDArray[np.bool_],
    answers: Mapping[str, Evaluation],
) -> Check:
    """No candidate finds an item that training, the catalogue and the session don't know.

    The vocabulary numbers all items of the log. One that first comes after the cut may have a
    number, but whoever was fitted before can't put it among the first. (Scored like all
    others, it is not: ties count against it.)
    """
    counts = train.item_counts()
    known = (counts > 0) | in_catalogue
    deepest = min(SHOWN, int(np.count_nonzero(known)) - 1)
    unheard = (instances.targets >= 0) & ~known[instances.targets]
    for i in np.flatnonzero(unheard):
        unheard[i] = instances.targets[i] not in instances.prefix(int(i))
    rows: list[dict[str, object]] = []
    count = 0
    for name, evaluation in answers.items():
        guilty = evaluation.targets[
            unheard & (evaluation.ranks > 0) & (evaluation.ranks <= deepest)
        ]
        count += len(guilty)
        rows += [{"candidate": name, "item": int(item)} for item in np.unique(guilty)[:5]]
    return _none(
        "leak: items from the future",
        count,
        "A candidate finds items that come first after the cut.",
        rows[:5],
    )


def no_target_among_features(
    features: NDArray[np.float64], labels: NDArray[np.bool_], names: Sequence[str]
) -> Check:
    """No single feature, (N, F), of a reranker tells the labels, (N,), all by itself.

    By the area under the curve of each alone, either way round, ties counting half.
    """
    told = {name: _area(column, labels) for name, column in zip(names, features.T, strict=True)}
    wrong = {name: area for name, area in told.items() if max(area, 1 - area) >= TELLS_ALL}
    return _none(
        "leak: targets among features",
        len(wrong),
        "A feature by itself tells which item came next.",
        [{"feature": name, "area": area} for name, area in list(wrong.items())[:5]],
    )


def _area(column: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by mid-ranks (Mann and Whitney); a half where one class is empty."""
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return 0.5
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _moment(time: int | np.int64) -> str:
    return str(np.datetime64(int(time), "ms"))


def _none(name: str, count: int, message: str, rows: Sequence[dict[str, object]]) -> Check:
    return Check(
        name=name,
        passed=count == 0,
        figure=float(count),
        bound="= 0",
        message=message if count else "",
        sample=tuple(rows) if count else (),
    )
