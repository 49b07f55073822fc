"""Precompute: lists for everyone, where the server, Parquet readers and the lake have them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conftest import NOW
from wherry.domain import DEFAULT_TENANT, VisitorId
from wherry.errors import RegistryError, UsageError
from wherry.lake.serving import TABLE
from wherry.learn.answer import Query
from wherry.project import Project
from wherry.serve.precomputed import Kind, PrecomputedLists, read_pointer


def open_shop(folder: Path) -> Project:
    return Project.open(folder, clock=lambda: NOW)


def in_lake(project: Project, kind: str) -> list[tuple[Any, ...]]:
    with project.lake.reader() as con:
        return con.execute(
            f"SELECT * FROM {TABLE} WHERE kind = ? ORDER BY key, position", [kind]
        ).fetchall()


def latest_session(project: Project, visitor: str) -> list[str]:
    with project.lake.reader() as con:
        rows = con.execute(
            "SELECT item_id FROM lake.marts.interactions WHERE visitor_id = $who AND session_id = "
            "(SELECT session_id FROM lake.marts.interactions WHERE visitor_id = $who "
            "ORDER BY occurred_at DESC, event_id DESC LIMIT 1) "
            "ORDER BY occurred_at, event_id, position",
            {"who": visitor},
        ).fetchall()
    return [item for (item,) in rows]


def test_what_is_made_is_what_the_champion_answers_everywhere_it_can_be_read(shop: Path) -> None:
    project = open_shop(shop)
    told: list[str] = []
    items, visitors = project.precompute(["items", "visitors"], k=5, report=told.append)
    recommender = project.recommender()
    assert items.keys == items.lists == len(recommender.answerer.vocabulary)
    assert 0 < visitors.lists < visitors.keys
    assert visitors.rate > 0
    assert any(" lists, " in words for words in told)

    rows = pq.read_table(visitors.file).to_pylist()
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row)
    assert len(by_key) == visitors.keys
    lookup = PrecomputedLists(project.home.precomputed)
    for visitor in list(by_key)[:: len(by_key) // 20]:
        session = latest_session(project, visitor)
        expected = recommender.recommend(Query(session=session, k=5))
        assert [row["item_id"] for row in by_key[visitor]] == [e.item for e in expected.items]
        assert [row["position"] for row in by_key[visitor]] == [1, 2, 3, 4, 5]
        assert [row["fallback"] is None for row in by_key[visitor]] == [
            place < expected.from_model for place in range(5)
        ]
        found = lookup(DEFAULT_TENANT, "recommender@1", VisitorId(visitor))
        assert found is not None
        ids = recommender.answerer.vocabulary.ids
        assert [ids[code] for code in found.session] == session
    assert {(row["tenant"], row["kind"], row["model"], row["made_at"]) for row in rows} == {
        ("default", "visitors", "recommender@1", NOW)
    }

    keys = [(row["key"], row["position"], row["item_id"]) for row in rows]
    assert [(r[2], r[3], r[4]) for r in in_lake(project, "visitors")] == sorted(keys)
    assert len({row[2] for row in in_lake(project, "items")}) == items.keys


def test_made_again_it_takes_the_place_of_what_was_there(shop: Path) -> None:
    project = open_shop(shop)
    project.precompute(["items"], k=3)
    first = in_lake(project, "items")
    later = Project.open(shop, clock=lambda: NOW + timedelta(hours=1))
    later.precompute(["items"], k=3)
    again = in_lake(project, "items")
    assert [row[:-1] for row in again] == [row[:-1] for row in first]
    assert {row[-1] for row in again} == {NOW + timedelta(hours=1)}
    info = read_pointer(project.home.precomputed, DEFAULT_TENANT, Kind.ITEMS)
    assert info is not None
    assert (info.k, info.made_at) == (3, NOW + timedelta(hours=1))
    assert read_pointer(project.home.precomputed, DEFAULT_TENANT, Kind.VISITORS) is None


def test_who_is_forgotten_is_gone_from_the_lists_and_from_those_that_are_just_made(
    shop: Path,
) -> None:
    project = open_shop(shop)
    (done,) = project.precompute(["visitors"], k=3)
    lookup = PrecomputedLists(project.home.precomputed)
    person, other = sorted(set(pq.read_table(done.file)["key"].to_pylist()))[:2]
    said: list[str] = []

    def is_gone() -> bool:
        return (
            person not in pq.read_table(done.file)["key"].to_pylist()
            and person not in {row[2] for row in in_lake(project, "visitors")}
            and lookup(DEFAULT_TENANT, "recommender@1", VisitorId(person)) is None
        )

    def forget_meanwhile(words: str) -> None:
        if words.endswith("a second") and not said:
            said.append(words)
            open_shop(shop).forget([person])
            assert is_gone()

    assert not is_gone()
    (again,) = project.precompute(["visitors"], k=3, report=forget_meanwhile)
    assert said
    assert is_gone()
    assert again.keys == done.keys - 1
    assert lookup(DEFAULT_TENANT, "recommender@1", VisitorId(other)) is not None


def test_wrong_kinds_and_sizes_and_shops_without_a_release_are_told(
    shop: Path, tmp_path: Path
) -> None:
    project = open_shop(shop)
    with pytest.raises(UsageError, match="not of 'persons'"):
        project.precompute(["persons"])
    with pytest.raises(UsageError, match="k is 0"):
        project.precompute(k=0)
    with pytest.raises(RegistryError, match="wherry run"):
        Project.create(tmp_path / "new").precompute()
