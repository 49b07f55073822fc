"""Where a project is: the folder of its settings, found from any folder within."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import ProjectError
from wherry.project import find_home


def test_a_project_is_found_from_within(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").write_text("")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_home(inner).root == tmp_path.resolve()


def test_the_nearest_project_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "wherry.toml").write_text("")
    (inner / "wherry.toml").write_text("")
    assert find_home(inner).root == inner.resolve()


def test_outside_of_a_project_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="wherry init") as refusal:
        find_home(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "--project" in str(refusal.value)
