"""Against a server in a process of its own: kills, disks that are full or can't be written."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from acceptance.collect import Trials
from acceptance.senders import Senders, running

from wherry.collect.inbox import find_set_aside
from wherry.project import Project
from wherry.project.project import utc_now


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "shop")


@pytest.fixture
def small_disk(project: Project) -> Iterator[Path]:
    """The inbox on a disk of two megabytes."""
    folder = project.home.inbox
    folder.mkdir(parents=True)
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if not mounted or mounted.returncode:
        pytest.skip("a disk of a set size can't be mounted here: it takes root's rights")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def send(senders: Senders, host: str, *batches: list[str]) -> list[int]:
    """Send batches one after the other; their statuses."""
    connection = http.client.HTTPConnection(host, timeout=60)
    statuses = [senders.post(connection, batch) for batch in batches]
    connection.close()
    return statuses


def ids_in_lake(project: Project) -> list[str]:
    project.load()
    with project.lake.reader() as con:
        rows = con.execute("SELECT event_id FROM lake.raw.events ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def test_what_was_acknowledged_outlives_any_kill_and_counts_once(project: Project) -> None:
    trials = Trials(project, seed=1)
    for number in range(6):
        trials.kill_once(with_load=number % 2 == 0)
    assert trials.compare()
    assert trials.killed == 6
    assert trials.killed_loads == 3
    assert len(trials.senders.acknowledged) > 100


def batches(count: int, size: int = 50) -> list[list[str]]:
    return [[f"{number:06}-{place:03}" for place in range(size)] for number in range(count)]


def test_a_full_disk_is_503_and_is_recovered_from_without_a_hand(
    project: Project, small_disk: Path
) -> None:
    senders = Senders(1)
    with running(project.home.root) as server:
        statuses = send(senders, server.host, *batches(400))
        assert set(statuses) == {200, 503}
        assert statuses[-1] == 503
        kept = len(senders.acknowledged)
        assert ids_in_lake(project) == sorted(senders.acknowledged)
        assert send(senders, server.host, *batches(400)[-3:]) == [200] * 3
    assert ids_in_lake(project) == sorted(senders.acknowledged)
    assert len(senders.acknowledged) == kept + 150


def test_a_disk_that_turns_read_only_is_503_until_it_is_writable_again(
    project: Project, small_disk: Path
) -> None:
    senders = Senders(1)
    with running(project.home.root) as server:
        first, second, third = batches(3)
        assert send(senders, server.host, first) == [200]
        # A file that is open for writing keeps a disk writable, so the server starts anew.
        server.stop()
    remount(small_disk, "ro")
    with running(project.home.root) as server:
        assert send(senders, server.host, second) == [503]
        remount(small_disk, "rw")
        assert send(senders, server.host, third) == [200]
    assert ids_in_lake(project) == sorted([*first, *third])


def test_a_folder_that_cannot_be_made_is_503_until_it_can(project: Project) -> None:
    senders = Senders(1)
    project.home.inbox.parent.mkdir(parents=True, exist_ok=True)
    project.home.inbox.write_text("in the way")
    with running(project.home.root) as server:
        first, second = batches(2)
        assert send(senders, server.host, first) == [503]
        project.home.inbox.unlink()
        assert send(senders, server.host, second) == [200]
    assert ids_in_lake(project) == second


def test_a_page_spoiled_under_a_running_server_costs_nothing_else(project: Project) -> None:
    senders = Senders(1)
    some = batches(40)
    with running(project.home.root) as server:
        assert send(senders, server.host, *some) == [200] * 40
        server.stop()
    path = project.home.inbox / "collect.sqlite"
    with path.with_name("collect.sqlite-wal").open("r+b") as log:
        middle = os.fstat(log.fileno()).st_size // 2
        log.seek(middle)
        log.write(b"\xff" * 64)
    with running(project.home.root) as server:
        assert send(senders, server.host, ["later"]) == [200]
    found = ids_in_lake(project)
    assert "later" in found
    assert len(found) >= 1 + 50 * 38
    assert find_set_aside(project.home.inbox)


def test_a_clock_that_goes_backwards_loses_and_repeats_nothing(project: Project) -> None:
    senders = Senders(1)
    first, second = batches(2)
    with running(project.home.root) as server:
        send(senders, server.host, first)
        project.load()
        early = Project.open(project.home.root, clock=lambda: utc_now() - timedelta(days=400))
        send(senders, server.host, second, first)
        early.load()
    with project.lake.reader() as con:
        rows = con.execute("SELECT load_id, taken, known FROM lake.raw.loads ORDER BY 1").fetchall()
    assert rows == [(1, 50, 0), (2, 50, 50)]
    assert ids_in_lake(project) == sorted([*first, *second])
