"""The marks of stages: what they are made of, and how they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.domain import TenantId
from wherry.errors import WherryError
from wherry.project.progress import Progress, folder_mark, mark_of

NORTH, SOUTH = TenantId("north"), TenantId("south")
INPUTS = st.lists(st.none() | st.integers() | st.text() | st.booleans(), max_size=4)


@given(INPUTS, INPUTS)
def test_marks_are_equal_just_where_the_inputs_are(one: list[object], other: list[object]) -> None:
    same = [(type(each), each) for each in one] == [(type(each), each) for each in other]
    assert (mark_of(*one) == mark_of(*other)) == same


def test_the_order_of_keys_does_not_matter() -> None:
    assert mark_of({"a": 1, "b": 2}) == mark_of({"b": 2, "a": 1})


def test_a_stage_is_done_on_the_inputs_that_it_was_last_done_on(tmp_path: Path) -> None:
    path = tmp_path / "state" / "progress.json"
    progress = Progress(path)
    assert not progress.is_done(NORTH, "learn", "a")
    progress.done(NORTH, "learn", "a")
    progress.done(SOUTH, "learn", "b")
    assert Progress(path).is_done(NORTH, "learn", "a")
    assert not progress.is_done(NORTH, "learn", "b")
    assert not progress.is_done(NORTH, "behave", "a")
    progress.done(NORTH, "learn", "c")
    assert not progress.is_done(NORTH, "learn", "a")
    assert progress.values("learn") == {NORTH: "c", SOUTH: "b"}
    assert progress.value(NORTH, "publish") is None


def test_a_broken_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text("[")
    with pytest.raises(WherryError, match=r"progress\.json can't be read.*Remove it"):
        Progress(tmp_path / "progress.json").is_done(NORTH, "learn", "a")


def test_a_folder_s_mark_follows_names_and_contents_of_its_files(tmp_path: Path) -> None:
    absent = folder_mark(tmp_path / "models")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "README.md").write_text("words")
    assert folder_mark(folder) == absent
    marks = {absent}
    (folder / "a.py").write_text("1")
    marks.add(folder_mark(folder))
    (folder / "a.py").write_text("2")
    marks.add(folder_mark(folder))
    (folder / "a.py").rename(folder / "b.py")
    marks.add(folder_mark(folder))
    assert len(marks) == 4
