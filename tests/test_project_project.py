"""The project as a whole: imports, answers, the way back, and a folder that moves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import NOW
from wherry.errors import LockHeld, ProjectError, RegistryError, SourceError, UsageError
from wherry.lake import project_lock
from wherry.project import Project


def open_shop(folder: Path) -> Project:
    return Project.open(folder, clock=lambda: NOW)


def test_a_file_that_is_imported_twice_adds_nothing(shop: Path) -> None:
    project = open_shop(shop)
    (again,) = project.import_files("wherry", str(shop / "data" / "events*.parquet"))
    assert again.is_skipped
    assert again.taken == 0


def test_a_moved_project_answers_the_same_and_goes_on(shop: Path, tmp_path: Path) -> None:
    project = open_shop(shop)
    (items,) = project.newest_sessions(at_most=1)
    before = [each.item for each in project.recommend(items).items]
    there = tmp_path / "elsewhere"
    shutil.move(shop, there)
    moved = open_shop(there)
    assert [each.item for each in moved.recommend(items).items] == before
    assert moved.run().found_nothing_new
    record = moved.run(start="release")
    assert record.passed
    champion = moved.champion()
    assert champion is not None
    assert champion.version == 2
    assert [each.item for each in moved.recommend(items).items] == before
    assert not shop.exists()
    assert moved.rollback().version == 1
    assert [each.item for each in moved.recommend(items).items] == before


def test_a_roll_back_does_not_wait_for_a_run(shop: Path) -> None:
    project = open_shop(shop)
    with (
        project_lock(project.home.lock, "wherry run"),
        pytest.raises(RegistryError, match="no earlier release"),
    ):
        project.rollback()


def test_a_second_writer_is_refused_while_readers_go_on(shop: Path) -> None:
    project = open_shop(shop)
    hold = (
        "import sys\nfrom pathlib import Path\nfrom wherry.lake import project_lock\n"
        "with project_lock(Path(sys.argv[1]), 'wherry run'):\n"
        "    print('held', flush=True)\n    sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(project.home.lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LockHeld, match=str(holder.pid)):
            project.run()
        status = project.status()
        assert status.holder is not None
        assert status.holder.pid == holder.pid
        holder.kill()
    assert project.status().holder is None


def test_the_status_tells_what_is_there(shop: Path) -> None:
    status = open_shop(shop).status()
    (tenant,) = status.tenants
    assert status.intake is not None
    assert status.intake.taken == tenant.volumes.events + _items(shop)
    assert tenant.champion is not None
    assert status.last_run is not None
    assert tenant.published.run_id == status.last_run.run_id
    assert sum(day.events for day in tenant.volumes.days) <= tenant.volumes.events


def _items(shop: Path) -> int:
    with open_shop(shop).lake.reader() as con:
        row = con.execute("SELECT count(*) FROM lake.raw.items").fetchone()
    assert row is not None
    return int(row[0])


def test_a_new_project_has_a_status_and_nothing_to_say(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "shop")
    status = project.status()
    assert (status.intake, status.tenants, status.last_run) == (None, (), None)
    assert project.releases() == []
    assert project.champion() is None
    assert project.newest_sessions(at_most=3) == []
    with pytest.raises(RegistryError, match="wherry run"):
        project.recommend(["a"])
    with pytest.raises(ProjectError, match="no run yet"):
        project.card()


def test_a_lake_that_was_only_begun_has_a_status_too(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "shop")
    with project.lake.writer():
        pass
    assert project.status().intake is None


@pytest.mark.parametrize("k", [0, -1, 101])
def test_a_number_of_items_out_of_range_is_refused(shop: Path, k: int) -> None:
    with pytest.raises(UsageError, match=f"k is {k}"):
        open_shop(shop).recommend(["a"], k=k)


@pytest.mark.parametrize("tenant", ["", "../etc", "a b", "x" * 65])
def test_a_tenant_with_an_impossible_name_is_refused(shop: Path, tenant: str) -> None:
    with pytest.raises(UsageError, match="can't name a tenant"):
        open_shop(shop).recommend(["a"], tenant=tenant)


def test_an_unknown_preset_or_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "shop")
    with pytest.raises(UsageError, match="retailrocket"):
        project.import_files("retailrokcet", "events.csv")
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        project.import_files("retailrocket", str(tmp_path / "nowhere.csv"))
    assert not project.lake.exists()


def test_a_release_that_can_not_be_loaded_points_to_the_way_back(shop: Path) -> None:
    project = open_shop(shop)
    ((_, folder),) = project.registry.champions().values()
    (folder / "answer.json").write_text("{")
    with pytest.raises(RegistryError, match=r"recommender@1 can't be loaded.*wherry rollback"):
        project.recommend(["a"])


def test_a_card_that_is_lost_is_written_again(shop: Path) -> None:
    project = open_shop(shop)
    path = project.card()
    path.unlink()
    assert project.card() == path
    assert "</html>" in path.read_text()
    with pytest.raises(ProjectError, match="There is no run 'x'"):
        project.card("x")


def test_a_broken_record_of_a_run_is_named(shop: Path) -> None:
    project = open_shop(shop)
    (record,) = project.home.runs.glob("*/run.json")
    content = json.loads(record.read_text())
    assert content["shop"] == "shop"
    record.write_text("{")
    with pytest.raises(ProjectError, match=f"record of run {record.parent.name} can't be read"):
        project.status()
