"""Leaks: each kind is planted in a sound training set, and caught by its own check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from wherry.domain import Check
from wherry.learn.instances import Instances
from wherry.learn.knn import SessionKNN
from wherry.learn.leaks import find_leaks, no_target_among_features
from wherry.learn.metrics import evaluate
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split, split

N_ITEMS = 60
NEW = 50
"""From here up items come first after the cut."""


def history() -> Sessions:
    """Sessions that walk up through the items; the last ones through items never seen before."""
    rng = np.random.default_rng(1)
    starts = np.concatenate((rng.integers(0, NEW - 6, 400), rng.integers(NEW, 55, 100)))
    owner = np.repeat(np.arange(500), 5)
    items = np.repeat(starts, 5) + np.tile(np.arange(5), 500)
    return Sessions.from_events(owner, items, owner * 1000 + np.arange(2500) % 5, n_items=N_ITEMS)


def planted(**changes: Any) -> dict[str, Check]:
    """The checks of a sound training set, by their names, with something planted."""
    sessions = history()
    window = split(sessions, test_fraction=0.2)
    instances = Instances.of(window.test, since=window.cut)
    ids = pa.array([f"s{n}" for n in range(500)])
    facts: dict[str, Any] = {
        "window": window,
        "instances": instances,
        "train_ids": ids[:400],
        "test_ids": ids[400:],
        "in_catalogue": np.zeros(N_ITEMS, dtype=bool),
        "answers": {"knn": answers(window.train, instances, window)},
    }
    for name, change in changes.items():
        facts[name] = change(facts)
    return {check.name: check for check in find_leaks(**facts)}


def answers(fitted_on: Sessions, instances: Instances, window: Split) -> Any:
    model = SessionKNN(sample=100).fit(fitted_on, seed=1)
    return evaluate(model, instances, popularity=window.train.item_counts())


def with_late_event(facts: dict[str, Any]) -> Split:
    window: Split = facts["window"]
    late = window.train.times.copy()
    late[-1] = window.cut
    train = Sessions(window.train.offsets, window.train.items, late, window.train.types, N_ITEMS)
    return msgspec.structs.replace(window, train=train)


def with_target(facts: dict[str, Any]) -> Instances:
    instances: Instances = facts["instances"]
    return msgspec.structs.replace(instances, stops=instances.stops + 1)


def with_part_of_test(facts: dict[str, Any]) -> pa.Array:
    return pa.concat_arrays([facts["train_ids"], pa.array(["s450"])])


def fitted_on_everything(facts: dict[str, Any]) -> dict[str, Any]:
    return {"knn": answers(history(), facts["instances"], facts["window"])}


def test_a_sound_training_set_passes() -> None:
    found = planted()
    assert len(found) == 4
    assert all(check.passed for check in found.values())


@pytest.mark.parametrize(
    ("part", "plant", "name"),
    [
        ("window", with_late_event, "leak: events after the cut"),
        ("instances", with_target, "leak: targets in the question"),
        ("train_ids", with_part_of_test, "leak: sessions on both sides"),
        ("answers", fitted_on_everything, "leak: items from the future"),
    ],
)
def test_a_planted_leak_is_caught_by_its_own_check_alone(
    part: str, plant: Callable[[dict[str, Any]], Any], name: str
) -> None:
    found = planted(**{part: plant})
    assert [check.name for check in found.values() if check.is_blocking] == [name]
    assert found[name].message
    assert found[name].sample


def test_an_item_that_the_catalogue_knows_may_be_found_before_its_first_event() -> None:
    found = planted(
        answers=fitted_on_everything, in_catalogue=lambda _: np.ones(N_ITEMS, dtype=bool)
    )
    assert all(check.passed for check in found.values())


def test_a_feature_that_is_the_target_is_caught_either_way_round() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(500) < 0.1
    honest = labels + rng.normal(0, 0.5, 500)
    features = np.column_stack((honest, rng.random(500), np.zeros(500)))
    names = ["score", "price", "hour"]
    assert no_target_among_features(features, labels, names).passed
    for leaking in (labels, -2.0 * labels):
        both = np.column_stack((features, leaking))
        check = no_target_among_features(both, labels, [*names, "clicked later"])
        assert check.is_blocking
        assert [row["feature"] for row in check.sample] == ["clicked later"]
