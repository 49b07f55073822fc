import msgspec

import report_records as records
from wherry.domain import Check, Severity, Verdict
from wherry.report import render_card
from wherry.report.character import is_character, traits


def figure(name, value, champion=None, **details):
    return Check(
        name=name, passed=True, figure=value, sample=({"winner": value, "champion": champion},),
        severity=Severity.WARN, **details,
    )  # fmt: skip


VERDICT = Verdict(
    subject="behave",
    tenant=records.DEFAULT,
    checks=(
        figure("novelty", 6.5, 6.38),
        figure("diversity", 0.9),
        figure("price ratio", None),
        Check(name="coverage", passed=True, figure=0.5),
        records.comparison("all", 0.3, 0.3, 9),
    ),
)


def test_figures_of_character_are_told_from_other_checks_and_those_unknown_left_out():
    assert [(t.check.name, t.champion) for t in traits(VERDICT)] == [
        ("novelty", 6.38),
        ("diversity", None),
    ]
    assert [is_character(check) for check in VERDICT.checks] == [True, True, True, False, False]


def test_the_card_shows_them_once_in_a_table_of_their_own():
    run = msgspec.structs.replace(records.tenant_run(), behave=VERDICT)
    page = render_card(records.record(run))
    assert page.count("novelty") == 1
    assert page.index("Character") < page.index("novelty")


def test_one_that_breaks_its_bound_stands_among_the_failures_as_well():
    broken = msgspec.structs.replace(
        figure("novelty", 2.0, bound="≥ 3"), passed=False, severity=Severity.BLOCK
    )
    verdict = Verdict(subject="behave", tenant=records.DEFAULT, checks=(broken,))
    run = msgspec.structs.replace(records.tenant_run(), behave=verdict)
    assert render_card(records.record(run)).count("novelty") == 2
