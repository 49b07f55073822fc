"""A shop's own checks: found by their names, and never able to break a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest

from behave_subject import subject
from wherry.behave import Check, Subject, load_own_checks
from wherry.behave.own import run_own_check
from wherry.errors import UsageError

_FILE = """
from __future__ import annotations
from dataclasses import dataclass
from wherry.behave import Check, Query, Subject
from wherry.testing import check_model

@dataclass
class Bound:
    least: int

def check_shows_five(subject: Subject) -> Check:
    shown = subject.answerer.answer(Query(session=["i1"], k=5))
    return Check(name="shows five", passed=len(shown.items) >= Bound(5).least)

def check_two_things(subject: Subject):
    yield Check(name="one", passed=True)
    yield Check(name="other", passed=False)

def helper():
    raise AssertionError("nobody calls this")
"""


def test_functions_that_a_file_defines_and_names_as_checks_are_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(_FILE)
    (tmp_path / "_shared.py").write_text("raise AssertionError('left alone')")
    (tmp_path / "README.md").write_text("not Python")
    own = load_own_checks(tmp_path)
    assert list(own) == ["mine.check_shows_five", "mine.check_two_things"]
    found = [check for name in own for check in run_own_check(name, own[name], subject())]
    assert [(check.name, check.passed) for check in found] == [
        ("shows five", True),
        ("one", True),
        ("other", False),
    ]


def test_no_folder_gives_no_checks(tmp_path: Path) -> None:
    assert load_own_checks(tmp_path / "nothing") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def check_a(:", "SyntaxError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("from wherry.testing import check_model", "holds no check"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_the_fault(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UsageError, match=words) as refusal:
        load_own_checks(tmp_path)
    assert str(tmp_path / "mine.py") in str(refusal.value)


def raises(subject: Subject) -> Check:
    raise RuntimeError("oh")


def raises_late(subject: Subject) -> object:
    yield Check(name="fine so far", passed=True)
    raise RuntimeError("oh")


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (raises, "RuntimeError: oh"),
        (raises_late, "RuntimeError: oh"),
        (lambda subject: None, "TypeError"),
        (lambda subject: [True], "returns Check or several, not bool"),
        (lambda subject: Check(name="odd", passed=True, sample=({"a": object()},)), "TypeError"),
    ],
)
def test_a_check_that_goes_wrong_has_failed_under_its_own_name(check: object, words: str) -> None:
    (found,) = run_own_check("mine.check_it", check, subject())  # type: ignore[arg-type]
    assert found.is_blocking
    assert found.name == "mine.check_it"
    assert words in found.message


def test_numpy_figures_become_plain_ones() -> None:
    found = run_own_check(
        "mine.check_it",
        lambda _: Check(name="it", passed=np.bool_(True), figure=np.float32(0.5)),  # type: ignore[arg-type]
        subject(),
    )
    (check,) = found
    assert check.passed is True
    assert msgspec.json.decode(msgspec.json.encode(check), type=Check) == check


def test_a_subject_can_not_be_changed_by_a_check() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        subject().seed = 2  # type: ignore[misc]
