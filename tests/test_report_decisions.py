import msgspec
import pytest

import report_records as records
from wherry.domain import Act, TenantId
from wherry.report import render_card
from wherry.report.decisions import MOST, decision_lines


def test_decisions_are_told_in_plain_words_the_newest_first():
    found = decision_lines(records.decisions())
    told = [f"{line.release} {line.words}" for line in found.lines]
    assert told == [
        "recommender@2 was brought back by anna to answer all",
        "recommender@4 was stopped by the guard; recommender@3 answered all again",
        "recommender@4 had its trial changed by anna",
        "recommender@4 was put on trial by anna",
        "recommender@3 was promoted by anna to answer all",
        "recommender@3 was found better by the guard and went on being tried",
        "recommender@3 was put on trial by run 20261121-031500-2e",
        "recommender@2 was released by run 20261120-031500-1f to answer all",
    ]
    assert [line.tone for line in found.lines[:3]] == ["so-so", "bad", ""]
    assert found.lines[1].why.startswith("its click-through is 3.90%")
    assert found.earlier == 0


@pytest.mark.parametrize("act", Act)
def test_every_act_has_its_words_also_where_nobody_knows_the_champion(act):
    decision = msgspec.structs.replace(records.decisions()[0], act=act, champion="")
    (line,) = decision_lines([decision]).lines
    assert "by anna" in line.words
    assert "@" not in line.words


def test_what_was_done_by_hand_is_said_so_once():
    decision = msgspec.structs.replace(records.decisions()[0], act=Act.RELEASED, by="by hand")
    (line,) = decision_lines([decision]).lines
    assert line.words == "was released by hand to answer all"


def test_no_more_than_the_newest_are_shown_and_the_card_says_how_many_are_not():
    many = records.decisions() * 4
    page = render_card(records.record(), decisions={records.DEFAULT: many})
    assert page.count(">was put on trial by ") == sum(
        decision.act is Act.STARTED for decision in many[:MOST]
    )
    assert f"{len(many) - MOST} earlier decisions: <code>wherry decisions</code>" in page


def test_each_tenant_has_its_own_decisions():
    north, south = TenantId("north"), TenantId("south")
    record = records.record(records.tenant_run(north), records.tenant_run(south))
    decisions = {north: records.decisions(north) * 2, south: records.decisions(south)[:1]}
    page = render_card(record, decisions=decisions)
    assert "wherry decisions --tenant north" in page
    assert "--tenant south" not in page
    assert page.count("was brought back") == 3
    assert "decisions" not in render_card(record).partition("</style>")[2]


def test_who_decided_and_why_are_shown_as_they_are():
    (first, *_) = records.decisions()
    hostile = msgspec.structs.replace(first, by="<b>", why="<script>", release="<i>")
    page = render_card(records.record(), decisions={records.DEFAULT: [hostile]})
    assert "&lt;b&gt;" in page
    assert "<script>" not in page
