import re

from hypothesis import given
from hypothesis import strategies as st

from wherry.domain import Estimate
from wherry.report.price import BOTTOM, LEFT, RIGHT, TOP, Priced, plot_price

FIGURES = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted).map(
    lambda v: Estimate(v[1], v[0], v[2])
)  # fmt: skip
CANDIDATES = st.lists(
    st.builds(Priced, st.text(min_size=1, max_size=3), FIGURES, st.floats(0.5, 1e6)),
    min_size=1,
    max_size=6,
)


def places(svg, name, unit=""):
    return [float(x) for x in re.findall(rf'{name}="(-?[\d.]+){unit}"', svg)]


@given(CANDIDATES)
def test_every_candidate_lies_within_the_axes(candidates):
    svg = str(plot_price("mrr@20", candidates))
    across, up = places(svg, "cx", "%"), places(svg, "cy")
    assert len(across) == len(up) == len(candidates)
    assert all(LEFT - 0.01 <= x <= RIGHT + 0.01 for x in across)
    assert all(TOP - 0.01 <= y <= BOTTOM + 0.01 for y in up)


def test_slower_lies_further_right_and_better_higher():
    fast = Priced("rules", Estimate(0.2, 0.19, 0.21), 40.0)
    good = Priced("knn", Estimate(0.3, 0.29, 0.31), 400.0, is_winner=True)
    svg = str(plot_price("mrr@20", [fast, good]))
    assert places(svg, "cx", "%") == sorted(places(svg, "cx", "%"))
    low, high = places(svg, "cy")
    assert high < low
    assert svg.count("★") == 1


def test_the_bound_is_drawn_only_where_there_is_one_on_the_axis():
    candidates = [
        Priced("a", Estimate(0.2, 0.1, 0.3), 40.0),
        Priced("b", Estimate(0.3, 0.2, 0.4), 4e4),
    ]
    assert 'class="slo"' in plot_price("mrr@20", candidates, p99_bound=2e4)
    assert 'class="slo"' not in plot_price("mrr@20", candidates)
    assert 'class="slo"' not in plot_price("mrr@20", candidates, p99_bound=1e9)


def test_names_of_equals_do_not_cover_one_another():
    same = Estimate(0.3, 0.29, 0.31)
    svg = str(plot_price("mrr@20", [Priced(name, same, 40.0) for name in "abc"]))
    at = re.findall(r'y="([\d.]+)" dx="(-?11)"', svg)
    assert len(set(at)) == 3
    assert svg.count('class="leader"') >= 1
