"""Reproducing releases: the same where nothing changed, and what differs named where it did."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from conftest import NOW
from wherry.domain import DEFAULT_TENANT, Candidate
from wherry.errors import UsageError
from wherry.project import Project
from wherry.project.reproduce import Reproduction


def open_shop(folder: Path) -> Project:
    return Project.open(folder, clock=lambda: NOW)


def released(project: Project) -> Path:
    champion = project.champion()
    assert champion is not None
    return project.registry.folder(champion)


def differing(found: Reproduction) -> dict[str, tuple[str, str]]:
    return {each.name: (each.then, each.now) for each in found.differences}


def test_a_release_comes_out_byte_for_byte(shop: Path) -> None:
    found = open_shop(shop).reproduce("recommender@1")
    assert found.is_same
    assert differing(found) == {}
    assert any(each.name == "files" for each in found.findings)


def test_a_name_alone_means_its_champion(shop: Path) -> None:
    assert open_shop(shop).reproduce("recommender").release == "recommender@1"


def test_a_release_that_there_is_not_is_named_beside_those_there_are(shop: Path) -> None:
    with pytest.raises(UsageError, match=r"no release 'recommender@7'.*recommender@1"):
        open_shop(shop).reproduce("recommender@7")


def test_a_release_put_out_by_hand_has_nothing_to_be_built_from(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_shop(shop)
    champion = project.champion()
    assert champion is not None
    by_hand = msgspec.structs.replace(champion, snapshot=0)
    monkeypatch.setattr(project, "_find_release", lambda _: by_hand)
    with pytest.raises(UsageError, match=r"recommender@1 was put out by hand: no run has made it"):
        project.reproduce("recommender@1")


def test_an_array_that_was_changed_is_found(shop: Path) -> None:
    project = open_shop(shop)
    path = next((released(project) / "model").rglob("*.npy"))
    array = np.load(path)
    array.flat[0] += 1
    np.save(path, array)
    found = project.reproduce("recommender@1")
    assert not found.is_same
    name = str(path.relative_to(released(project)))
    assert differing(found) == {f"file {name}": ("released", "other bytes")}


def test_a_file_that_is_lost_is_found(shop: Path) -> None:
    project = open_shop(shop)
    (released(project) / "popularity.npy").unlink()
    found = project.reproduce("recommender@1")
    assert not found.is_same
    assert differing(found) == {"file popularity.npy": ("missing", "there")}


def test_later_events_do_not_matter(shop: Path) -> None:
    project = open_shop(shop)
    more = shop / "more.csv"
    more.write_text(
        "event_id,event_type,occurred_at,visitor_id,item_id\n"
        + "".join(f"m{i},view,2026-03-01T10:00:0{i},v1,item-{i}\n" for i in range(5))
    )
    with (shop / "wherry.toml").open("a") as settings:
        settings.write(
            '\n[imports.plain]\nevent_id = "event_id"\nevent_type = "event_type"\n'
            'occurred_at = "occurred_at"\nvisitor_id = "visitor_id"\nitem_id = "item_id"\n'
        )
    project = open_shop(shop)
    project.import_files("plain", str(more))
    project.run(only="transform")
    assert project.reproduce("recommender@1").is_same


def test_what_explains_a_difference_is_told_and_is_none_itself(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"numpy": "0.0.1", "wherry": "0.1.0"}
    monkeypatch.setattr("wherry.project.reproduce.package_versions", lambda: versions)
    monkeypatch.setattr("wherry.project.project.code_version", lambda root: "another commit")
    found = open_shop(shop).reproduce("recommender@1")
    assert found.is_same
    named = differing(found)
    assert named["code"][1] == "another commit"
    assert named["package numpy"] == (np.__version__, "0.0.1")
    assert named["package duckdb"][1] == "not installed"


def test_data_that_has_expired_is_said(shop: Path) -> None:
    project = open_shop(shop)
    champion = project.champion()
    assert champion is not None
    gone = msgspec.structs.replace(champion, snapshot=99_999)
    project.registry.release(gone, released(project), _run_of(project))
    found = project.reproduce("recommender@2")
    assert not found.is_same
    assert "retention_days" in differing(found)["data"][1]


def test_a_release_of_before_says_that_its_settings_were_not_recorded(shop: Path) -> None:
    project = open_shop(shop)
    champion = project.champion()
    assert champion is not None
    old = msgspec.structs.replace(champion, learned_with=None)
    project.registry.release(old, released(project), _run_of(project))
    found = project.reproduce("recommender@2")
    assert not found.is_same
    assert "earlier version" in differing(found)["settings"][0]


def _run_of(project: Project) -> str:
    one = Candidate(name="x", model="knn", params={}, seed=1, metrics={})
    return project.registry.log_candidates(DEFAULT_TENANT, [one], {})["x"]
