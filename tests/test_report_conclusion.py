import msgspec

import report_records as records
from wherry.domain import Outcome, TenantId
from wherry.report.conclusion import Ending, conclude


def ended(record, champion=None):
    return conclude(record, {champion.tenant: champion} if champion else {})


def test_a_release_is_told_with_the_checks_that_it_passed():
    conclusion = ended(records.record())
    assert (conclusion.ending, conclusion.title) == (Ending.RELEASED, "Released v4")
    assert conclusion.detail == "knn answers now. 24 of 25 checks passed."


def test_a_release_that_is_tried_goes_beside_the_champion_until_it_is_the_champion_itself():
    run = msgspec.structs.replace(records.tenant_run(), trial="is tried: canary, 10% of visitors")
    beside = ended(records.record(run), records.release(3))
    assert (beside.ending, beside.title) == (Ending.RELEASED, "Registered v4")
    assert beside.detail == (
        "knn is tried: canary, 10% of visitors. The champion, knn v3, goes on answering."
    )
    promoted = ended(records.record(run), records.release(4))
    assert promoted.detail == "knn was tried first, and is the champion by now."


def test_a_failed_audit_is_told_with_its_checks_and_who_goes_on_answering():
    conclusion = ended(records.record(records.blocked_run()), records.release(3))
    assert (conclusion.ending, conclusion.title) == (Ending.BLOCKED, "Blocked by the audit")
    assert conclusion.detail == (
        "1 of 8 checks failed: unknown_type_share. The champion, knn v3, goes on answering."
    )


def test_a_failed_behaviour_is_told_apart_from_a_failed_audit():
    run = records.tenant_run()
    stages = (*run.stages[:3], records.stage("behave", 3.1, outcome=Outcome.BLOCKED))
    run = msgspec.structs.replace(run, stages=stages, behave=records.behave(0.2), release=None)
    conclusion = ended(records.record(run))
    assert conclusion.title == "Blocked by behaviour"
    assert conclusion.detail.endswith("no_worse_than_champion. No model has been released yet.")


def test_a_stage_that_broke_is_told_with_its_note_even_before_there_are_tenants():
    broken = records.stage("load", 0.2, outcome=Outcome.FAILED, note="events.csv is not there.")
    record = msgspec.structs.replace(records.record(), stages=(broken,), tenants=())
    conclusion = ended(record)
    assert (conclusion.ending, conclusion.title) == (Ending.FAILED, "Failed in load")
    assert conclusion.detail == "events.csv is not there. No model has been released yet."


def test_a_run_that_found_no_event_says_nothing_new():
    idle = tuple(records.stage(n, 0.01, outcome=Outcome.NOTHING_NEW) for n in ("load", "transform"))
    tenant = msgspec.structs.replace(records.tenant_run(), stages=(), release=None)
    record = msgspec.structs.replace(records.record(tenant), stages=idle)
    assert ended(record, records.release(2)).ending is Ending.NOTHING_NEW
    assert ended(record, records.release(2)).detail == "The champion, knn v2, goes on answering."


def test_a_run_that_stopped_before_the_release_is_not_called_released():
    run = msgspec.structs.replace(records.tenant_run(), release=None)
    assert ended(records.record(run)).ending is Ending.NOT_RELEASED


def test_several_tenants_are_counted_and_the_gravest_ending_sets_the_tone():
    north = records.tenant_run(TenantId("north"))
    conclusion = ended(records.record(north, records.blocked_run(TenantId("south"))))
    assert conclusion.ending is Ending.BLOCKED
    assert conclusion.title == "1 released, 1 blocked"
