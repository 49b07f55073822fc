import msgspec

import report_records as records
from wherry.domain import Estimate
from wherry.report import Previous, render_card
from wherry.report.changes import changes


def found(previous, run=None, **of_record):
    run = run or records.tenant_run()
    record = msgspec.structs.replace(records.record(run), **of_record)
    winner = next((c for c in run.candidates if c.name == run.winner), None)
    return changes(previous, record, run, winner)


def same(**changed):
    """The release that the run of the records would repeat, but for some changes."""
    knn = records.candidates()[2]
    release = msgspec.structs.replace(
        records.release(3), params=knn.params, metrics=knn.metrics, **changed
    )
    return Previous(release=release, facts=records.tenant_run().facts)


def told(changed):
    return [(c.kind, c.name, c.before, c.after) for c in changed if c.kind != "figure"]


def test_a_release_that_is_repeated_has_no_changes_but_its_figures_are_shown():
    changed = found(same())
    assert told(changed) == []
    assert [(c.name, c.share) for c in changed] == [("mrr@20", 0), ("hr@20", 0)]


def test_another_model_is_named_and_its_parameters_are_not_compared():
    assert told(found(same(model="rules"))) == [("model", "model", "rules", "knn")]


def test_parameters_code_snapshot_and_packages_are_told_where_they_differ():
    packages = {**records.PACKAGES, "duckdb": "1.5.4", "polars": "2.0"}
    previous = same(seed=7, code="0.0.9", snapshot=37, packages=packages)
    assert told(found(previous)) == [
        ("parameter", "seed", "7", "1"),
        ("data", "snapshot", "37", "41"),
        ("code", "code", "0.0.9", "0.1.0+586a447"),
        ("package", "duckdb", "1.5.4", "1.5.5"),
        ("package", "polars", "2.0", "–"),
    ]


def test_figures_and_facts_say_by_how_much_they_moved():
    metrics = {"mrr@20": Estimate(0.25, 0.24, 0.26)}
    previous = same()
    release = msgspec.structs.replace(previous.release, metrics=metrics)
    facts = {**previous.facts, "sessions": 77_924, "last_day": "2017-12-31"}
    changed = {c.name: c for c in found(Previous(release=release, facts=facts))}
    assert changed["mrr@20"].before == ".250 ± .010"
    assert round(changed["mrr@20"].share, 3) == 0.292
    assert changed["sessions"].share == 1.0
    assert (changed["last day"].before, changed["last day"].share) == ("2017-12-31", None)
    assert "hr@20" not in changed


def test_facts_that_nobody_kept_are_left_out():
    assert all(c.kind != "data" for c in found(Previous(release=same().release)))


def test_the_card_shows_what_changed_under_its_own_tenant():
    page = render_card(records.record(), previous=(same(model="rules"),))
    assert "Since the last release" in page
    assert "rules v3" in page
    elsewhere = msgspec.structs.replace(same().release, tenant="elsewhere")
    page = render_card(records.record(), previous=(Previous(release=elsewhere),))
    assert "Since the last release" not in page
