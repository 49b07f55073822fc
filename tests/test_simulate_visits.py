import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherry.simulate import ShopShape
from wherry.simulate.catalogue import build_catalogue
from wherry.simulate.visits import Visits, draw_visits, pauses

SHAPE = ShopShape()
SHOP = build_catalogue(np.random.default_rng(0), items=400, popularity=SHAPE.popularity)


def visit(seed: int, sessions: int, shape: ShopShape = SHAPE) -> Visits:
    rng = np.random.default_rng(seed)
    begins = np.sort(rng.integers(0, 86_400_000, sessions))
    return draw_visits(rng, SHOP, shape, begins=begins, tastes=rng.random(sessions))


@given(seed=st.integers(0, 10_000), sessions=st.integers(1, 300))
def test_the_counts_of_moments_and_views_agree(seed: int, sessions: int) -> None:
    visits = visit(seed, sessions)
    assert (visits.moments + visits.views == visits.lengths).all()
    owners = np.repeat(np.arange(sessions), visits.moments)
    marked = np.bincount(owners, visits.is_view, minlength=sessions)
    assert (marked == visits.views).all()
    assert len(visits.slots) == visits.views.sum() == len(visits.view_times)


@given(seed=st.integers(0, 10_000))
def test_time_goes_forward_within_a_session_and_never_idles_half_an_hour(seed: int) -> None:
    visits = visit(seed, 200)
    owners = np.repeat(np.arange(200), visits.moments)
    gaps = np.diff(visits.moment_times)[owners[1:] == owners[:-1]]
    assert (gaps >= 0).all()
    assert (gaps < 1_800_000).all()


def test_pauses_have_the_median_asked_for() -> None:
    drawn = pauses(np.random.default_rng(0), 20.0, 1.0, 50_000)
    assert abs(np.median(drawn) - 20_000) < 500


def test_a_visitor_who_only_comes_back_sees_one_item() -> None:
    shape = ShopShape(back=1.0, follow=0.0, theme=0.0, department=0.0)
    visits = visit(1, 300, shape)
    first = visits.view_starts[visits.views > 0]
    owners = np.repeat(np.arange(len(first)), visits.views[visits.views > 0])
    assert (visits.slots == visits.slots[first][owners]).all()


def test_a_visitor_who_keeps_to_a_theme_sees_no_other() -> None:
    shape = ShopShape(back=0.0, follow=0.0, theme=1.0, department=0.0)
    visits = visit(1, 300, shape)
    themes = SHOP.theme_low[visits.slots]
    first = visits.view_starts[visits.views > 0]
    owners = np.repeat(np.arange(len(first)), visits.views[visits.views > 0])
    kept = themes == themes[first][owners]
    # What would show one item twice in a row is drawn from the department instead.
    assert 0.8 < kept.mean() < 1
