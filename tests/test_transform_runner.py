"""dbt within this process: what it parsed is used again wherever that holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from transform_shop import Shop, Told
from wherry.transform import runner


def test_a_project_that_was_moved_is_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Telling(dbtRunner):
        def __init__(self, manifest: Any = None, callbacks: Any = ()) -> None:
            super().__init__(manifest, [*callbacks, lambda event: told.append(event.info.name)])

    monkeypatch.setattr(runner, "dbtRunner", Telling)
    shop = Shop(tmp_path / "here").empty()
    shop.load([Told("1")])
    shop.transform()
    shutil.move(shop.folder, tmp_path / "there")
    moved = Shop(tmp_path / "there")
    moved.load([Told("2")])
    told.clear()
    moved.transform()
    assert "ParsePerfInfoPath" in told
    assert "UnableToPartialParse" not in told
    assert moved.rows("SELECT count(*) FROM marts.events") == [(2,)]

    moved.transform(exclude_loads=(1,))
    assert "UnableToPartialParse" in told
    assert moved.rows("SELECT count(*) FROM marts.events") == [(1,)]
