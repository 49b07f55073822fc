import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.domain import Estimate
from wherry.report.plot import LEFT, SPAN, Bar, Dot, plot_intervals, plot_seconds

ESTIMATES = st.lists(st.floats(-2, 1e3), min_size=3, max_size=3).map(sorted).map(
    lambda v: Estimate(v[1], v[0], v[2])
)  # fmt: skip


def percents(svg, name):
    return [float(x) for x in re.findall(rf'{name}="([\d.]+)%"', svg)]


@given(st.lists(ESTIMATES, min_size=1, max_size=5))
def test_every_dot_and_whisker_lies_within_the_axis(estimates):
    dots = [Dot(str(n), e) for n, e in enumerate(estimates)]
    svg = str(plot_intervals("mrr@20", dots))
    centres = percents(svg, "cx")
    assert len(centres) == len(dots)
    for x in centres + percents(svg, "x1") + percents(svg, "x2"):
        assert LEFT - 0.01 <= x <= LEFT + SPAN + 0.01


def test_a_better_figure_lies_further_right_and_the_winner_is_marked():
    dots = [Dot("knn", Estimate(0.3, 0.29, 0.31), True), Dot("rules", Estimate(0.2, 0.19, 0.21))]
    svg = str(plot_intervals("mrr@20", dots))
    right, left = percents(svg, "cx")
    assert right > left
    assert svg.count("★") == 1
    assert svg.count('class="dot winner"') == 1


def test_the_baseline_is_drawn_through_all_rows_only_where_it_is_known():
    dots = [Dot("knn", Estimate(0.3, 0.29, 0.31)), Dot("popularity", Estimate(0.0, 0.0, 0.0))]
    assert 'class="baseline"' in plot_intervals("mrr@20", dots, baseline="popularity")
    assert 'class="baseline"' not in plot_intervals("mrr@20", dots, baseline="other")


def test_the_longest_bar_is_full_and_the_others_in_proportion():
    svg = str(plot_seconds("took", [Bar("load", 2.0), Bar("learn", 8.0), Bar("knn", 4.0, True)]))
    widths = [float(w) for w in re.findall(r'<rect[^>]* width="([\d.]+)%"', svg)]
    assert widths == pytest.approx([25, 100, 50])


def test_a_run_without_stages_still_has_a_drawing():
    assert plot_seconds("took", []).startswith("<svg")
