"""A run: whatever is new is done, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import msgspec
import pytest

from conftest import NOW, write_settings
from wherry.domain import Act, Candidate, Outcome, RunRecord
from wherry.errors import UsageError
from wherry.lake import newest_snapshot, read_published
from wherry.project import Project


def open_shop(folder: Path) -> Project:
    return Project.open(folder, clock=lambda: NOW)


def state(project: Project) -> dict[str, object]:
    """What a run that does nothing leaves as it is."""
    with project.lake.reader() as con:
        snapshot = newest_snapshot(con)
    champion = project.champion()
    return {
        "snapshot": snapshot,
        "published": read_published(project.home.published),
        "champion": champion and champion.version,
        "releases": len(project.releases()),
        "runs": sorted(path.name for path in project.home.runs.iterdir()),
    }


def outcomes(record: RunRecord) -> dict[str, Outcome]:
    """How each stage of a shop with one tenant ended."""
    (tenant,) = record.tenants or (None,)
    stages = (*record.stages, *(tenant.stages if tenant else ()))
    return {stage.name: stage.outcome for stage in stages}


def done(record: RunRecord) -> set[str]:
    return {name for name, outcome in outcomes(record).items() if outcome is Outcome.DONE}


def write_events(path: Path, rows: str) -> Path:
    """A Parquet file in the shop's own shape, from a SELECT."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as con:
        con.execute(f"COPY ({rows}) TO '{str(path).replace(chr(39), chr(39) * 2)}'")
    return path


UNKNOWN_WORDS = """
SELECT 'default' AS tenant, 'bad-' || range AS event_id, 'nonsense' AS event_type,
       TIMESTAMP '2026-01-15 12:00:00' + to_seconds(range) AS occurred_at,
       'visitor ' || range % 100 AS visitor_id
FROM range(5000)
"""


def test_a_run_with_nothing_new_leaves_everything_as_it_was(shop: Path) -> None:
    project = open_shop(shop)
    before = state(project)
    record = project.run()
    assert record.found_nothing_new
    assert record.passed
    assert state(project) == before


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        ("[serve]\nport = 9999\nk = 3\n", set()),
        ("[audit]\nmin_events = 100\n", {"audit"}),
        ("[behave]\nmin_coverage = 0.02\n", {"behave"}),
    ],
)
def test_a_setting_that_changes_has_only_what_it_decides_done_again(
    shop: Path, settings: str, stages: set[str]
) -> None:
    write_settings(shop, settings)
    assert done(open_shop(shop).run()) == stages


def test_an_own_check_blocks_a_release_until_it_passes(shop: Path) -> None:
    project = open_shop(shop)
    before = state(project)
    check = project.home.behaviour / "mine.py"
    body = "from wherry.behave import Check\ndef check_it(subject): return Check(name='it', passed="
    check.write_text(f"{body}False, message='as planted')\n")
    record = project.run(start="behave")
    assert outcomes(record)["behave"] is Outcome.BLOCKED
    assert "release" not in outcomes(record)
    assert record.tenants[0].behave is not None
    assert [check.message for check in record.tenants[0].behave.failures] == ["as planted"]
    assert {**state(project), "runs": before["runs"]} == before
    # It is tested again on every run, until it passes.
    assert outcomes(project.run())["behave"] is Outcome.BLOCKED
    check.write_text(f"{body}True)\n")
    assert done(project.run()) == {"behave"}
    assert project.run().found_nothing_new


def test_what_a_tenant_was_trained_by_outlives_many_runs(shop: Path) -> None:
    project = open_shop(shop)
    folders = {path.name for path in project.home.runs.iterdir()}
    for _ in range(4):
        project.run(only="audit")
    write_settings(shop, "[behave]\nmin_coverage = 0.02\n")
    project = open_shop(shop)
    record = project.run()
    assert record.passed, record.tenants
    (first,) = folders
    assert (project.home.runs / first / "default" / "recommender").exists()


def test_the_training_of_a_killed_run_is_cleared_away(shop: Path) -> None:
    project = open_shop(shop)
    killed = project.home.runs / "20260101-000000-dead" / "default" / "dataset"
    killed.mkdir(parents=True)
    project.run()
    assert not killed.exists()
    assert not killed.parent.exists()


def test_bad_data_is_blocked_and_says_which_rows(shop: Path, tmp_path: Path) -> None:
    project = open_shop(shop)
    before = state(project)
    (loaded,) = project.import_files(
        "wherry", str(write_events(tmp_path / "bad.parquet", UNKNOWN_WORDS))
    )
    assert loaded.taken == 5000
    record = project.run()
    assert not record.passed
    assert outcomes(record)["audit"] is Outcome.BLOCKED
    assert set(outcomes(record)) == {"load", "transform", "audit"}
    verdict = record.tenants[0].audit
    assert verdict is not None
    failed = next(check for check in verdict.failures if "type" in check.name)
    assert failed.sample
    with project.lake.reader() as con:
        assert con.execute(f"SELECT count(*) FROM ({failed.sql})").fetchone() is not None
    after = state(project)
    for unchanged in ("published", "champion", "releases"):
        assert after[unchanged] == before[unchanged]
    # The remedy: leave the load out, as if it had never come.
    (load_id,) = _newest_load(project)
    write_settings(shop, f"[transform]\nexclude_loads = [{load_id}]\n")
    project = open_shop(shop)
    assert project.run(only="transform").passed
    assert project.run(only="audit").passed


def _newest_load(project: Project) -> tuple[int]:
    with project.lake.reader() as con:
        row = con.execute("SELECT max(load_id) FROM lake.raw.loads").fetchone()
    assert row is not None
    return (row[0],)


def test_rows_that_are_rejected_are_audited_even_if_nothing_else_came(
    shop: Path, tmp_path: Path
) -> None:
    project = open_shop(shop)
    rows = UNKNOWN_WORDS.replace("TIMESTAMP '2026-01-15 12:00:00' + to_seconds(range)", "'never'")
    (loaded,) = project.import_files("wherry", str(write_events(tmp_path / "bad.parquet", rows)))
    assert (loaded.taken, loaded.rejected) == (0, 5000)
    record = project.run()
    assert outcomes(record)["audit"] is Outcome.BLOCKED


@pytest.mark.parametrize("wrong", [{"start": "lern"}, {"only": "lern"}])
def test_a_stage_that_there_is_not_is_refused(shop: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="Did you mean 'learn'"):
        open_shop(shop).run(**wrong)  # type: ignore[arg-type]


def test_from_and_only_exclude_each_other(shop: Path) -> None:
    with pytest.raises(UsageError, match="can't be combined"):
        open_shop(shop).run(start="learn", only="learn")


def test_only_does_one_stage_even_if_nothing_is_new(shop: Path) -> None:
    record = open_shop(shop).run(only="audit")
    assert outcomes(record) == {"audit": Outcome.DONE}


def test_sources_in_the_settings_are_loaded_once(shop: Path) -> None:
    rows = UNKNOWN_WORDS.replace("nonsense", "view").replace("range(5000)", "range(10)")
    write_events(shop / "inbox" / "a.parquet", rows)
    write_settings(shop, '[[sources]]\nimport = "wherry"\npath = "inbox/*.parquet"\n')
    project = open_shop(shop)
    (load,) = project.run(only="load").stages
    assert (load.outcome, load.rows) == (Outcome.DONE, 10)
    (load,) = project.run(only="load").stages
    assert (load.outcome, load.rows) == (Outcome.NOTHING_NEW, 0)


def test_a_source_that_is_missing_fails_the_run_and_is_named(shop: Path) -> None:
    write_settings(shop, '[[sources]]\nimport = "wherry"\npath = "nowhere.parquet"\n')
    record = open_shop(shop).run()
    assert outcomes(record) == {"load": Outcome.FAILED}
    assert "nowhere.parquet" in record.stages[0].note


def test_an_empty_project_has_nothing_to_do(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "shop")
    record = project.run()
    assert record.passed
    assert record.found_nothing_new
    assert record.tenants == ()


def test_an_own_model_can_win_and_answers_after_its_file_has_gone(shop: Path) -> None:
    project = open_shop(shop)
    shutil.copy(Path(__file__).with_name("own_model.py"), project.home.models / "mine.py")
    settings = (shop / "wherry.toml").read_text()
    settings = settings.replace('"rules"]', '"mine"]')
    (shop / "wherry.toml").write_text(settings + "[behave]\nmargin = 1.0\nslice_margin = 1.0\n")
    project = open_shop(shop)
    record = project.run()
    assert record.passed, record
    assert done(record) == {"learn", "behave", "release"}
    assert {each.name for each in record.tenants[0].candidates} == {
        "popularity",
        "mine",
        "champion",
    }
    champion = project.champion()
    assert champion is not None
    assert (champion.version, champion.model) == (2, "mine")
    (project.home.models / "mine.py").unlink()
    assert project.recommend(["nobody knows"]).items
    (items,) = project.newest_sessions(at_most=1)
    assert project.recommend(items[:1]).items


def test_data_that_grows_old_is_audited_again_and_trains_nothing(
    shop: Path, clock: Callable[[datetime], Callable[[], datetime]]
) -> None:
    write_settings(shop, "[audit]\nmax_age_hours = 1000\n")
    soon = Project.open(shop, clock=clock(NOW))
    assert done(soon.run()) == {"audit"}
    late = Project.open(shop, clock=clock(datetime(2027, 1, 1)))
    assert outcomes(late.run())["audit"] is Outcome.BLOCKED


@pytest.fixture
def clock() -> Callable[[datetime], Callable[[], datetime]]:
    return lambda now: lambda: now


def test_a_champion_put_out_by_hand_is_not_measured_as_what_it_is_not(shop: Path) -> None:
    project = open_shop(shop)
    champion = project.champion()
    assert champion is not None
    runs = project.registry.log_candidates(
        champion.tenant,
        [Candidate(name="x", model=champion.model, params={}, seed=1, metrics={})],
        {},
    )
    made = msgspec.structs.replace(champion, snapshot=0)
    folder = project.registry.folder(champion)
    project.registry.release(made, folder, runs["x"], as_champion=True)
    (tenant,) = open_shop(shop).run(start="learn").tenants
    assert "champion" not in {candidate.name for candidate in tenant.candidates}
    assert tenant.behave is not None
    (said,) = (c for c in tenant.behave.checks if c.name == "no worse than the champion")
    assert "recommender@2 was put out by hand" in said.message
    assert not said.is_blocking


def test_a_winner_is_tried_beside_the_champion_where_the_settings_say_so(shop: Path) -> None:
    write_settings(shop, '[release]\nmode = "canary"\nshare = 0.25\n')
    project = Project.open(shop, clock=lambda: NOW)
    (tenant,) = project.run(start="release").tenants
    assert tenant.trial == "is tried: canary, 25% of visitors"
    champion, tried = project.champion(), project.releasing().rollouts.of(tenant.tenant)
    assert champion is not None
    assert tried is not None
    assert (champion.version, tried.release.version) == (1, 2)
    # The next one waits, and nobody's trial is disturbed, whatever the mode.
    write_settings(shop)
    (tenant,) = Project.open(shop, clock=lambda: NOW).run(start="release").tenants
    assert tenant.trial == "waits, since recommender@2 is being tried"
    assert project.champion() == champion
    assert project.releasing().rollouts.of(tenant.tenant) == tried
    acts = [each.act for each in project.releasing().log.read().decisions]
    assert acts == [Act.REGISTERED, Act.STARTED, Act.RELEASED]
