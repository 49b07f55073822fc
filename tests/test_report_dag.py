import re

import msgspec

import report_records as records
from wherry.domain import STAGES, Outcome, TenantId
from wherry.report.dag import draw_stages


def test_every_stage_is_drawn_once_with_its_seconds_and_rows():
    svg = str(draw_stages(records.record()))
    assert re.findall(r'class="name">([^<]+)<', svg) == list(STAGES)
    assert svg.count('class="stage done"') == len(STAGES)
    assert "3.7 s" in svg
    assert "3,094,462 rows" in svg


def test_what_came_after_a_blocked_stage_is_drawn_as_skipped():
    svg = str(draw_stages(records.record(records.blocked_run())))
    assert svg.count('class="stage blocked"') == 1
    assert svg.count('class="stage skipped"') == 4


def test_each_tenant_has_its_row_and_its_name_only_where_there_are_several():
    north, south = (records.tenant_run(TenantId(t)) for t in ("north", "south"))
    assert str(draw_stages(records.record(north))).count('class="tenant"') == 0
    svg = str(draw_stages(records.record(north, south)))
    assert re.findall(r'class="tenant">([^<]+)<', svg) == ["north", "south"]
    assert svg.count('class="stage done"') == 2 + 2 * 5


def test_a_run_that_broke_before_any_tenant_draws_the_rest_as_not_run():
    broken = records.stage("load", 0.1, outcome=Outcome.FAILED)
    record = msgspec.structs.replace(records.record(), stages=(broken,), tenants=())
    svg = str(draw_stages(record))
    assert svg.count('class="stage failed"') == 1
    assert svg.count('class="stage not-run"') == len(STAGES) - 1
