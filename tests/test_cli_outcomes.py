"""`wherry outcomes`: a table for people, a document for programs, a word for what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from wherry.cli import main
from wherry.cli.outcomes import OutcomesTable
from wherry.project import Project
from wherry.project.outcomes import outcome_lines
from wherry.watch import Outcomes, Rate

TOLD = Outcomes(
    part="recommender@3",
    visitors=900,
    answers=1_200,
    errors=1,
    impressions=1_000,
    followed=600,
    click_through=Rate(0.125, 0.1, 0.15),
    add_rate=None,
    conversion=Rate(0.01, None, None),
    revenue_per_thousand=Rate(1234.5, 1000.0, 1469.0),
    hr_5=None,
    hr_10=Rate(0.3, 0.25, 0.35),
    hr_20=None,
    mrr=None,
)


def test_each_figure_stands_with_its_interval() -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(OutcomesTable(outcome_lines((TOLD,), "model")))
    text = console.export_text()
    for part in ("recommender@3", "1,200", "12.50% [10.00%–15.00%]", "1.00%", "1,234.50", ".300"):
        assert part in text
    console.print(OutcomesTable(outcome_lines((TOLD,), "position")))
    text = console.export_text()
    assert "shown" in text
    assert "hr@10" not in text


def test_every_figure_is_whole_in_a_terminal_of_eighty_columns() -> None:
    wide, narrow = (Console(width=width, record=True, file=StringIO()) for width in (200, 80))
    told = [TOLD, msgspec.structs.replace(TOLD, part="recommender@12", mrr=Rate(0.1, 0.05, 0.15))]
    for console in (wide, narrow):
        console.print(OutcomesTable(outcome_lines(told, "model")))
    one, two = wide.export_text(), narrow.export_text()
    assert "…" not in two
    assert set(one.split()) == set(two.split())
    assert [line.split()[0] for line in one.splitlines()] == ["model", TOLD.part, "recommender@12"]
    assert two.count("recommender@12") == 2


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command in a new project; its exit code."""
    Project.create(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wherry", "outcomes", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_a_project_without_answers_says_so(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    assert "No answer has been logged" in capsys.readouterr().out
    assert run("--json", "--by", "day") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_an_unknown_word_is_refused_with_what_may_have_been_meant(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--by", "modle") == 2
    assert "Did you mean 'model'?" in capsys.readouterr().err
