"""What all tests share: how properties are searched, and a shop that is built once."""

from __future__ import annotations

import fcntl
import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says nothing on a machine that does other things as well.
# A check of a change must not fail by what another day's luck found; `make test` goes on searching.
settings.register_profile("wherry", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("wherry")

START = datetime(2026, 1, 1)
NOW = datetime(2026, 2, 1)


@pytest.fixture(autouse=True)
def _rank_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are called within this process don't push the tests after them back."""
    monkeypatch.setattr("wherry.project.parts.step_back", lambda nice: None)


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A project that went through one run: 12,000 simulated events, two candidates, a release.

    It is built once for all workers. It stays as it is: tests work on ``shop``, a copy.
    """
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    folder = base / "built shop"
    with (base / "built-shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(base / "shop in the making").rename(folder)
    return folder


def _build(folder: Path) -> Path:
    # MLflow takes seconds to import, which tests of other floors need not spend.
    from wherry.project import Project
    from wherry.simulate import simulate

    made = simulate(folder / "data", events=12_000, seed=1, start=START, days=15)
    project = Project.create(folder, shop="shop", clock=lambda: NOW)
    write_settings(folder)
    project = Project.open(folder, clock=lambda: NOW)
    project.import_files("wherry-items", str(made.catalogue))
    for path in made.files:
        project.import_files("wherry", str(path))
    record = project.run()
    assert record.passed, record
    return folder


def write_settings(folder: Path, more: str = "") -> None:
    """Settings that are quick to run with, and more of them."""
    learn = '[learn]\ncandidates = ["popularity", "rules"]\nmax_validation_sessions = 200\n'
    lake = "" if "[lake]" in more else "[lake]\nthreads = 1\n"
    (folder / "wherry.toml").write_text(f'shop = "shop"\n{lake}{learn}{more}')


@pytest.fixture
def shop(built_shop: Path, tmp_path: Path) -> Path:
    """A copy of the built shop, in a folder that has never been heard of."""
    folder = tmp_path / "a shop, cöpied"
    shutil.copytree(built_shop, folder, symlinks=True)
    return folder
