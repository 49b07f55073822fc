import report_records as records
from wherry.domain import Check, Verdict
from wherry.report.slices import slice_tables


def verdict(*checks):
    return Verdict(subject="behave", tenant=records.DEFAULT, checks=checks)


def test_a_check_without_both_figures_is_no_comparison():
    shown = Check(name="never_unavailable", passed=False, sample=({"item_id": "7"},))
    assert slice_tables(verdict(shown, Check(name="coverage", passed=True))) == ()


def test_slices_stand_together_by_dimension_in_the_order_of_the_verdict():
    (table,) = slice_tables(
        verdict(
            records.comparison("all", 0.3, 0.3, 9),
            records.comparison("length: short", 0.3, 0.3, 9),
            records.comparison("weekday: Mon", 0.3, 0.3, 9),
            records.comparison("length: long", 0.3, 0.3, 9),
        )
    )
    found = [(row.dimension, row.slice) for row in table.rows]
    assert found == [("", "all"), ("length", "short"), ("length", "long"), ("weekday", "Mon")]


def test_each_check_has_a_table_of_its_own_and_names_what_it_is_held_against():
    against_baseline = Check(
        name="beats_baseline", passed=True, sample=({"baseline": 0.01, "challenger": 0.3},)
    )
    tables = slice_tables(verdict(records.comparison("all", 0.3, 0.3, 9), against_baseline))
    assert [(t.name, t.reference) for t in tables] == [
        ("no_worse_than_champion", "champion"),
        ("beats_baseline", "baseline"),
    ]


def test_heat_follows_the_relative_change_on_both_sides():
    changes = {0.3: 0, 0.302: 1, 0.31: 2, 0.36: 3, 0.298: -1, 0.285: -2, 0.2: -3}
    tables = slice_tables(verdict(*(records.comparison("all", 0.3, c, 9) for c in changes)))
    assert [row.heat for row in tables[0].rows] == list(changes.values())


def test_a_figure_that_is_missing_or_no_number_has_no_change():
    odd = Check(name="x", passed=True, sample=({"champion": None, "challenger": float("nan")},))
    (row,) = slice_tables(verdict(odd))[0].rows
    assert (row.reference, row.challenger, row.change, row.heat) == (None, None, None, 0)
    assert row.sessions is None


def moved(challenger, allowed, detectable=0.08):
    sample = {"champion": 0.3, "challenger": challenger, "sessions": 9, "allowed": allowed}
    return Check(name="x", passed=True, sample=({**sample, "detectable": detectable},))


def test_a_change_is_sure_where_it_is_more_than_is_let_pass():
    tables = slice_tables(verdict(moved(0.27, 0.02), moved(0.27, 0.04), moved(0.33, 0.02)))
    assert [row.is_sure for row in tables[0].rows] == [True, False, True]
    assert tables[0].rows[0].detectable == 0.08


def test_rows_stand_under_their_dimension():
    (table,) = slice_tables(
        verdict(
            records.comparison("all", 0.3, 0.3, 9),
            records.comparison("weekday: Mon", 0.3, 0.3, 9),
            records.comparison("weekday: Tue", 0.3, 0.3, 9),
        )
    )
    found = {name: [row.slice for row in rows] for name, rows in table.dimensions.items()}
    assert found == {"": ["all"], "weekday": ["Mon", "Tue"]}
