import io

import msgspec
import pytest
from rich.console import Console

import report_records as records
from wherry.domain import Outcome, TenantId
from wherry.report import (
    leaderboard_table,
    releases_table,
    run_summary,
    stage_table,
    verdict_table,
)


def shown(renderable):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def long_named():
    knn = records.candidates()[2]
    return msgspec.structs.replace(knn, name="self-attentive-gru-with-a-repeat-prior-" * 2)


def everything(tenant="default"):
    run = records.tenant_run(TenantId(tenant))
    record = records.record(run, records.blocked_run(TenantId("b" * 64)))
    failing = records.audit(records.unknown_types())
    return [
        run_summary(record),
        stage_table(record),
        leaderboard_table((*records.candidates(), long_named()), "knn"),
        verdict_table(failing),
        verdict_table(records.behave(0.2)),
        releases_table([records.release(v) for v in (1, 2, 12)], champion=2),
    ]


@pytest.mark.parametrize("n", range(6))
def test_every_table_fits_eighty_columns(n):
    lines = shown(everything()[n]).splitlines()
    assert lines
    assert max(len(line) for line in lines) <= 80


def test_figures_are_whole_in_eighty_columns():
    text = shown(leaderboard_table((*records.candidates(), long_named()), "knn"))
    for told in (".593 ±.009", ".323 ±.009", "124 ms", "310 µs", "3 min 32 s", "popularity"):
        assert told in text


def test_outcomes_are_told_without_colour():
    text = shown(stage_table(records.record(records.blocked_run())))
    assert "✗ blocked" in text
    assert "✓ done" in text
    assert "– skipped" in text
    assert "1,469,307" in text
    assert "380 ms" in text


def test_a_note_has_room_beside_the_figures():
    record = records.record(records.tenant_run(TenantId("north")), records.tenant_run())
    text = shown(stage_table(record))
    assert "…" not in text
    assert len(text.splitlines()) == 2 + 4 + 2 * 7


def test_tenants_are_named_only_where_there_are_several():
    assert "default" not in shown(stage_table(records.record()))
    two = records.record(records.tenant_run(TenantId("north")), records.tenant_run())
    assert "north" in shown(stage_table(two))


def test_the_winner_stands_first_with_a_star():
    lines = shown(leaderboard_table(records.candidates(), "rules")).splitlines()
    assert [line.split()[:2] for line in lines if "★" in line] == [["★", "rules"]]
    assert "rules" in lines[2]


def test_a_candidate_that_failed_says_why_below():
    failed = msgspec.structs.replace(
        records.candidates()[1], metrics={}, error="ModelError: it is [bold]broken"
    )
    assert "✗ rules: ModelError: it is [bold]broken" in shown(leaderboard_table([failed]))


def test_failing_checks_come_first_and_passing_slices_share_a_line():
    lines = shown(verdict_table(records.behave(0.2))).splitlines()[2:]
    assert lines[0].startswith("✗  no_worse_than_champion")
    assert "[items: rare]" in lines[1]
    assert sum("weekday" in line for line in lines) == 0
    assert any("[10 slices]" in line for line in lines)


def test_the_champion_is_starred_among_the_releases_newest_first():
    lines = shown(releases_table([records.release(v) for v in (1, 2, 3)], champion=2)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["v3", "★", "v1"]


def test_no_word_of_a_shop_reaches_the_terminal_as_a_command():
    text = shown(run_summary(records.hostile("\x1b[2J[red]\x07bell")))
    text += shown(stage_table(records.hostile("\x1b[2J[red]\x07bell")))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "�[2J[red]" in text


def test_a_summary_tells_the_verdict_and_who_goes_on_answering():
    text = shown(run_summary(records.record(records.blocked_run()), champion=records.release(3)))
    assert text.startswith("✗ Blocked by the audit")
    assert "The champion, knn v3, goes on answering." in " ".join(text.split())


def test_a_run_with_nothing_to_do_shows_no_seconds_that_it_did_not_take():
    idle = records.stage("load", 0.0, outcome=Outcome.NOTHING_NEW)
    record = msgspec.structs.replace(records.record(), stages=(idle,), tenants=())
    assert shown(stage_table(record)).splitlines()[2].split() == [
        "load",
        "○",
        "nothing",
        "new",
        "–",
        "–",
    ]
