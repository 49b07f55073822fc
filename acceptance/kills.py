"""A run killed with SIGKILL at a random moment, then run again, ends in the same tables.

Half of the trials kill a first run, which builds everything; half kill a run with one new day
on top. The kill takes the whole process group, the training tasks included.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wherry.lake import content_hashes
from wherry.project import Project
from wherry.simulate import simulate

TRIALS = 20
SEED = 20
EVENTS, DAYS = 30_000, 10
START = datetime(2026, 3, 1)
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Scene:
    """A project that is ready for a run, how long that takes, and what it ends in."""

    name: str
    folder: Path
    seconds: float
    hashes: dict[str, str]


def accept(data: Path) -> bool:
    del data
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        scenes = _scenes(root)
        for scene in scenes:
            print(f"{scene.name}: undisturbed in {scene.seconds:.1f} s")
        trials = [(scenes[n % 2], root / f"trial-{n}", rng.random()) for n in range(TRIALS)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            return all(list(pool.map(lambda trial: _survives(*trial), trials)))


def _scenes(root: Path) -> list[Scene]:
    """The two projects before their run, and each with its run done, to compare with."""
    first_days = simulate(root / "a", events=EVENTS, seed=SEED, start=START, days=DAYS)
    next_day = simulate(
        root / "b", events=EVENTS // DAYS, seed=SEED, start=START.replace(day=1 + DAYS), days=1
    )
    before_first = root / "first"
    project = Project.create(before_first)
    text = project.home.settings.read_text().replace(', "knn"', "")  # the quickest that can win
    # Two trials go on at a time: more threads would only wait for one another.
    project.home.settings.write_text(f"{text}\n[lake]\nthreads = 1\n")
    project.import_files("wherry", str(first_days.files[0]))
    first = _scene("a first run", before_first, root / "first-done")
    before_next = root / "next"
    shutil.copytree(root / "first-done", before_next, symlinks=True)
    Project.open(before_next).import_files("wherry", str(next_day.files[0]))
    return [first, _scene("a run with one new day", before_next, root / "next-done")]


def _scene(name: str, before: Path, done: Path) -> Scene:
    shutil.copytree(before, done, symlinks=True)
    started = time.perf_counter()
    _start(done).wait(_TIMEOUT_SECONDS)
    seconds = time.perf_counter() - started
    return Scene(name, before, seconds, _hashes(done))


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "wherry", "run", "--project", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _hashes(folder: Path) -> dict[str, str]:
    with Project.open(folder).lake.reader() as con:
        return content_hashes(con, "marts")


def _survives(scene: Scene, folder: Path, moment: float) -> bool:
    """Kill a copy's run at a moment (a share of its whole time), run again, compare."""
    seconds = moment * scene.seconds
    while not _kill_after(seconds, scene, folder):
        seconds /= 2  # it had ended: the machine is less busy than when the scene was timed
    code = _start(folder).wait(_TIMEOUT_SECONDS)
    same = _hashes(folder) == scene.hashes
    champion = Project.open(folder).champion()
    verdict = "same tables" if same else "TABLES DIFFER"
    answers = f"{champion.name}@{champion.version}" if champion else "no champion"
    print(
        f"  {scene.name}: killed after {seconds:5.2f} s, then code {code}, {verdict}, {answers}",
        flush=True,
    )
    shutil.rmtree(folder)
    return same and code in (0, 1)


def _kill_after(seconds: float, scene: Scene, folder: Path) -> bool:
    """Kill the run of a fresh copy of a scene; whether it was still going on."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scene.folder, folder, symlinks=True)
    process = _start(folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False
