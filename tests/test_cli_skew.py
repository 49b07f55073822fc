"""`wherry skew`: words for people, a document for programs, and a code that says how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from wherry.cli import main
from wherry.cli.skew import skew_report
from wherry.domain import DEFAULT_TENANT, Role
from wherry.project import Project
from wherry.watch.skew import Cause, Difference, Fault, Skew

NOON = datetime(2026, 3, 1, 12)
CLEAN = Skew(
    tenant=DEFAULT_TENANT,
    answers=1_000,
    since=NOON,
    until=NOON,
    sessions=800,
    rankings=990,
    same=1_000,
    in_flight=3,
    skipped={"answer: it is gone": 10},
)
DIFFERENCE = Difference(
    part="session",
    answer_id="b.7",
    request_id="r",
    answered_at=NOON,
    release="recommender@3",
    role=Role.CHAMPION,
    visitor_id="ann",
    session_id=None,
    cause=Cause.EVENT_TYPE,
    words="the items of 'add' events did not count",
    served=(),
    expected=tuple("abcdefgh"),
)


def text(found: Skew) -> str:
    console = Console(width=200, record=True, file=StringIO())
    for part in skew_report(found):
        console.print(part)
    return console.export_text()


def test_a_clean_sample_is_told_with_what_was_not_compared() -> None:
    told = text(CLEAN)
    for part in ("1,000 answers", "800 sessions and 990 rankings", "No difference.", "3 are the"):
        assert part in told
    assert "not compared: 10 × answer: it is gone" in told
    assert "cause" not in told


def test_faults_stand_with_their_counts_and_some_of_the_differences() -> None:
    fault = Fault(cause=Cause.EVENT_TYPE, words=DIFFERENCE.words, count=1_200)
    found = Skew(
        tenant=DEFAULT_TENANT,
        answers=2_000,
        since=NOON,
        until=NOON,
        same=800,
        faults=(fault,),
        differences=(DIFFERENCE,) * 9,
    )
    told = text(found)
    for part in ("1,200 answers are NOT", "event type", "recommender@3, for ann: the items of"):
        assert part in told
    assert "served:   nothing" in told
    assert "expected: a, b, c, d, e, f and 2 more" in told
    assert told.count("✗") == 5


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command in a new project; its exit code."""
    Project.create(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wherry", "skew", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_a_project_without_answers_says_so(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert "no answer to compute again" in capsys.readouterr().out
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 0


def test_a_difference_ends_with_one(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Fault(cause=Cause.TIES, words="", count=1)
    found = Skew(tenant=DEFAULT_TENANT, answers=1, since=NOON, until=NOON, faults=(fault,))
    monkeypatch.setattr(Project, "skew", lambda self, **asked: found)
    assert run("--json") == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["cause"] == Cause.TIES
