from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from wherry.simulate import COVEO_2021, measure, simulate

# How far a figure of some 220,000 events may lie from the real shop's, as a share of it.
TOLERANCES = {
    "length_p25": 0.0,
    "length_p50": 0.0,
    "length_p75": 0.0,
    "length_p90": 0.06,
    "length_p95": 0.06,
    "length_max": 0.15,
    "events_per_session": 0.05,
    "share_view": 0.05,
    "share_add": 0.15,
    "share_remove": 0.15,
    "share_purchase": 0.2,
    "sessions_with_view": 0.03,
    "sessions_with_add": 0.1,
    "sessions_with_purchase": 0.15,
    "adds_bought": 0.15,
    "purchases_without_add": 0.3,
    "conversion_searching": 0.25,
    "conversion_not_searching": 0.2,
    "top_1_percent": 0.15,
    "top_5_percent": 0.1,
    "gini": 0.05,
    "repeats": 0.35,
    "session_seconds": 0.1,
    "seconds_to_add": 0.2,
    "seconds_to_purchase": 0.2,
    "hourly_peak_to_trough": 0.4,
}


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clicks")
    simulate(out, events=220_000, seed=11, start=datetime(2026, 1, 1), days=14, items=1_500)
    return out


@pytest.fixture(scope="module")
def figures(clicks: Path) -> dict[str, float]:
    return measure(clicks)


@pytest.mark.parametrize("name", TOLERANCES)
def test_a_simulated_figure_is_near_the_real_one(figures: dict[str, float], name: str) -> None:
    assert figures[name] == pytest.approx(COVEO_2021[name], rel=TOLERANCES[name])


def test_every_figure_of_the_real_shop_is_measured_and_held(figures: dict[str, float]) -> None:
    assert set(TOLERANCES) == set(COVEO_2021)
    assert set(COVEO_2021) < set(figures)


def test_every_view_has_a_page_of_the_same_millisecond(figures: dict[str, float]) -> None:
    assert figures["views_with_page"] == 1


def test_figures_of_a_stream_made_by_hand_are_right(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, 12)
    told = [
        ("a", "page", 0, None),
        ("a", "view", 0, "x"),
        ("a", "view", 10, "x"),
        ("a", "add", 30, "x"),
        ("a", "purchase", 90, "x"),
        ("b", "page", 0, None),
        ("b", "search", 5, None),
        ("b", "page", 5 + 1_801, None),
        ("a", "page", 20, None),
    ]
    table = pa.table(
        {
            "tenant": ["default"] * 10,
            "event_id": [*map(str, range(9)), "0"],
            "event_type": [row[1] for row in told] + ["page"],
            "occurred_at": [start + timedelta(seconds=row[2]) for row in told] + [start],
            "visitor_id": [row[0] for row in told] + ["a"],
            "session_id": pa.nulls(10, pa.string()),
            "item_id": [row[3] for row in told] + [None],
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    figures = measure(tmp_path / "events.parquet")
    assert figures["events"] == 9
    assert figures["sessions"] == 3
    assert figures["length_max"] == 6
    assert figures["sessions_with_purchase"] == pytest.approx(1 / 3)
    assert figures["seconds_to_add"] == 30
    assert figures["seconds_to_purchase"] == 60
    assert figures["repeats"] == 0.5
    assert figures["views_with_page"] == 0.5
    assert figures["duplicates"] == 1
    assert figures["sessions_out_of_order"] == 1


def views(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sessions (a visitor's day will do) and items of the views, in order."""
    table = pa.concat_tables([pq.read_table(file) for file in sorted(path.glob("events*"))])
    table = table.filter(pa.compute.equal(table["event_type"], "view"))
    table = table.sort_by([("visitor_id", "ascending"), ("occurred_at", "ascending")])
    visitor = np.unique(table["visitor_id"].to_numpy(), return_inverse=True)[1]
    day = table["occurred_at"].to_numpy().astype("datetime64[D]").astype(np.int64)
    items = np.array([int(item[1:]) for item in table["item_id"].to_pylist()])
    return np.unique(visitor * 100_000 + day, return_inverse=True)[1], items


def reciprocal_rank(scores: NDArray[np.float64], target: NDArray[np.int64]) -> float:
    """MRR@20, ties counted against the scores."""
    rank = (scores >= scores[np.arange(len(target)), target][:, None]).sum(axis=1)
    return float(np.where(rank <= 20, 1 / rank, 0).mean())


def test_a_better_model_scores_better(clicks: Path) -> None:
    sessions, items = views(clicks)
    trained = np.random.default_rng(0).integers(5, size=sessions.max() + 1)[sessions] > 0
    follows = np.append(sessions[1:] == sessions[:-1], False)
    pairs = np.flatnonzero(follows & trained)
    size = int(items.max()) + 1
    popularity = np.bincount(items[trained], minlength=size).astype(float)
    visited = np.zeros((size, size))
    np.add.at(visited, (items[pairs], items[pairs + 1]), 1.0)
    np.add.at(visited, (items[pairs + 1], items[pairs]), 1.0)
    asked = np.flatnonzero(follows & ~trained)[:3_000]
    target = items[asked + 1]
    ties = 1e-9 * popularity
    by_last = visited[items[asked]] + ties
    has_before = (sessions[asked - 1] == sessions[asked])[:, None]
    share = visited / np.maximum(visited.sum(axis=1, keepdims=True), 1)
    by_two = share[items[asked]] + 0.5 * has_before * share[items[asked - 1]] + ties
    base = reciprocal_rank(np.tile(popularity, (len(asked), 1)), target)
    last, two = reciprocal_rank(by_last, target), reciprocal_rank(by_two, target)
    assert last > 1.3 * base
    assert two > 1.02 * last
