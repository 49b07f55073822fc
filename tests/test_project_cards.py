"""The card of a run that tests again what was trained before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from conftest import write_settings
from wherry.domain import Outcome
from wherry.project import Project


def test_a_run_that_only_judges_again_shows_the_examples_of_what_it_judged(shop: Path) -> None:
    write_settings(shop, "[behave]\nmax_gini = 0.0001\n")
    project = Project.open(shop, clock=lambda: datetime(2026, 2, 2))
    record = project.run()
    outcomes = {stage.name: stage.outcome for stage in record.tenants[0].stages}
    assert outcomes["learn"] is Outcome.NOTHING_NEW
    assert outcomes["behave"] is Outcome.BLOCKED
    page = project.card().read_text("utf-8")
    assert page.count('<div class="example">') == 10
    assert "went on to" in page
    assert "Since the last release" in page
    assert "inequality of exposure" in page
    assert "was released by run" in page
