"""A new project: its files say what they are for, and nothing that is there is written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.config import Settings, read_settings
from wherry.errors import ProjectError
from wherry.project.scaffold import scaffold


@pytest.mark.parametrize("name", ["shop", "my shop", "Bücher & Söhne", 'a "quoted" one', "-_-"])
def test_a_folder_s_name_names_the_shop_whatever_it_is(tmp_path: Path, name: str) -> None:
    home = scaffold(tmp_path / name)
    settings = read_settings(home.settings)
    assert settings.shop
    assert set(settings.shop) <= set(name) | set("shop")
    assert Settings(shop=settings.shop) == settings


def test_state_is_kept_out_of_git(tmp_path: Path) -> None:
    home = scaffold(tmp_path / "shop")
    assert ".wherry/" in (home.root / ".gitignore").read_text().splitlines()
    assert not home.state.exists()
    assert (home.transforms / "dbt_project.yml").exists()


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "README.md").write_text("mine too")
    scaffold(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
    assert (tmp_path / "models" / "README.md").read_text() == "mine too"


def test_a_second_project_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    scaffold(tmp_path)
    with pytest.raises(ProjectError, match="already"):
        scaffold(tmp_path)


def test_a_file_is_no_folder_for_a_project(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("")
    with pytest.raises(ProjectError, match="is a file"):
        scaffold(tmp_path / "shop")
