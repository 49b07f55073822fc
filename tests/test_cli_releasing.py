from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from serve_shop import release
from wherry.cli import main
from wherry.cli.releasing import decision_text, pairs_table, read_version, rollout_report
from wherry.domain import DEFAULT_TENANT, Act, Decision, Mode, Rollout
from wherry.errors import UsageError
from wherry.project import Project
from wherry.project.decisions import DecisionLog
from wherry.registry import Challenger
from wherry.watch import Bounds, Pairs, Part, Parts, judge
from wherry.watch.sequential import Tally

ROLLOUT = Rollout(
    rollout_id="r1",
    tenant=DEFAULT_TENANT,
    mode=Mode.CANARY,
    version=2,
    share=0.1,
    started_at=datetime(2026, 1, 1),
)
STOPPED = Decision(
    decided_at=datetime(2026, 1, 1, 3),
    tenant=DEFAULT_TENANT,
    act=Act.STOPPED,
    by="guard",
    release="recommender@2",
    champion="recommender@1",
    rollout="r1",
    mode=Mode.CANARY,
    share=0.1,
    why="its p99 is 80 ms",
)


Ask = Callable[..., tuple[str, str]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "shop")


@pytest.fixture
def ask(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Runs a command in the project; what it wrote, and what it complained of."""

    def run(*words: str, code: int = 0) -> tuple[str, str]:
        monkeypatch.chdir(project.home.root)
        monkeypatch.setattr(sys, "argv", ["wherry", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == code
        found = capsys.readouterr()
        return found.out, found.err

    return run


def printed(*parts: object) -> str:
    console = Console(width=100, record=True, file=None)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def part(visitors: int, clicks: int) -> Part:
    n, x = float(visitors), float(clicks)
    return Part(Tally(visitors, n, x, n, x, x), Tally(visitors, n, 0, n, 0, 0), 3, 4, 2.5)


def test_a_version_is_named_by_its_number_or_its_whole_name() -> None:
    assert read_version("4") == read_version("recommender@4") == 4
    with pytest.raises(UsageError, match="'newest' is no version"):
        read_version("newest")


@pytest.mark.parametrize(
    "words", [[], ["--shadow", "--ab"], ["--canary", "10%", "--ab"], ["--canary", "ten"]]
)
def test_a_release_is_tried_in_one_way(words: list[str], ask: Ask) -> None:
    _, error = ask("release", "2", *words, code=2)
    assert ("--canary 10%" in error) == (words != ["--canary", "ten"])


def test_where_nothing_is_tried_that_is_said(ask: Ask) -> None:
    assert "Nothing is being tried" in ask("rollout")[0]
    assert "To try a release" in ask("promote", code=2)[1]


def test_decisions_are_listed_as_text_and_as_json(project: Project, ask: Ask) -> None:
    assert "Nothing was decided yet" in ask("decisions")[0]
    DecisionLog(project.home.decisions).add(STOPPED)
    text, _ = ask("decisions")
    assert "recommender@2 stopped, by guard; recommender@1 answers" in text
    assert "its p99 is 80 ms" in text
    assert json.loads(ask("decisions", "--json")[0])["decisions"][0]["act"] == "stopped"


def test_no_more_decisions_are_listed_than_asked_for(project: Project, ask: Ask) -> None:
    log = DecisionLog(project.home.decisions)
    for version in range(1, 26):
        log.add(msgspec.structs.replace(STOPPED, release=f"recommender@{version}"))
    text, _ = ask("decisions")
    assert (text.count(" stopped, by guard"), "recommender@25 " in text) == (20, True)
    assert text.rstrip().endswith("5 earlier: wherry decisions --last 25")
    text, _ = ask("decisions", "--last", "25")
    assert (text.count(" stopped, by guard"), "earlier" in text) == (25, False)
    assert len(json.loads(ask("decisions", "--json")[0])["decisions"]) == 25


def test_a_decision_says_who_answers_only_if_that_is_another() -> None:
    promoted = msgspec.structs.replace(STOPPED, champion="recommender@2", why="")
    assert decision_text(promoted).plain == "2026-01-01 03:00:00  recommender@2 stopped, by guard"


def test_a_rollout_is_reported_with_both_parts_and_the_ruling() -> None:
    found = judge(Parts(part(900, 70), part(9_000, 700), {"OSError": 4}), ROLLOUT, Bounds())
    tried = Challenger(ROLLOUT, release(2), Path("v2"))
    text = printed(*rollout_report(tried, found, has_acted=False))
    assert "canary, 10% of visitors, phase 1" in text
    assert "recommender@2" in text
    assert "7.78%" in text
    assert "4 × OSError" in text
    assert "It may go on: its click-through is" in text


def test_the_shadows_answers_are_a_table_by_slice() -> None:
    pairs = (Pairs("all", 20, 0.75, 0.5, None, 1.0, 3.0, 2.0, 9.0),)
    text = printed(pairs_table(pairs))
    assert "75%" in text
    assert "9 (2) ms" in text
