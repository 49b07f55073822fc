from itertools import pairwise

import numpy as np
import pytest

from wherry.domain import DEFAULT_TENANT
from wherry.simulate import ShopShape
from wherry.simulate.catalogue import DRIFT, LEAP, THEME, Catalogue, build_catalogue

POPULARITY = ShopShape().popularity


def shop(items: int = 2_000, seed: int = 3) -> Catalogue:
    return build_catalogue(np.random.default_rng(seed), items=items, popularity=POPULARITY)


@pytest.mark.parametrize("items", [1, 5, 100, 3_000])
def test_every_item_of_a_shop_of_any_size_fills_a_slot(items: int) -> None:
    made = shop(items)
    assert set(made.slot_items.tolist()) == set(range(items))
    assert len(made.edges) == len(made.slot_items) + 1
    assert (np.diff(made.edges) > 0).all()


def test_draws_follow_the_curve_of_popularity() -> None:
    made = shop()
    slots = made.draw_anywhere(np.random.default_rng(1).random(200_000))
    counts = np.sort(np.bincount(made.slot_items[slots], minlength=made.size))[::-1]
    for share, taken in POPULARITY:
        assert counts[: int(share * made.size)].sum() / counts.sum() == pytest.approx(
            taken, abs=0.02
        )


@pytest.mark.parametrize("way", [THEME, DRIFT, LEAP])
def test_a_draw_stays_in_its_range(way: int) -> None:
    made = shop()
    slots = np.arange(len(made.slot_items), dtype=np.int32)
    low, high = made.ranges(slots, np.full(len(slots), way))
    for uniform in (0.0, 0.5, np.nextafter(1.0, 0.0)):
        drawn = made.draw(low, high, np.full(len(slots), uniform))
        assert ((low <= drawn) & (drawn < high)).all()
    assert ((low <= slots) & (slots < high)).all()


def test_themes_lie_within_departments_and_departments_within_the_shop() -> None:
    made = shop()
    slots = np.arange(len(made.slot_items), dtype=np.int32)
    bounds = [made.ranges(slots, np.full(len(slots), way)) for way in (THEME, DRIFT, LEAP)]
    for (low, high), (wider_low, wider_high) in pairwise(bounds):
        assert (wider_low <= low).all()
        assert (high <= wider_high).all()
        assert (high - low).mean() < (wider_high - wider_low).mean()


def test_an_item_fills_a_theme_once_and_a_popular_item_many_themes() -> None:
    made = shop()
    theme = made.theme_low
    pairs = set(zip(theme.tolist(), made.slot_items.tolist(), strict=True))
    assert len(pairs) == len(made.slot_items)
    assert np.bincount(made.slot_items).max() > 10


def test_names_are_unique_even_when_words_run_out() -> None:
    assert len(set(shop(3_000).names)) == 3_000
    rng = np.random.default_rng(0)
    many = build_catalogue(rng, items=160_000, popularity=POPULARITY).names
    assert len(set(many)) == 160_000
    assert any(name.endswith(" Mk 2") for name in many)


def test_the_table_is_the_catalogue_of_items() -> None:
    table = shop(50).table(DEFAULT_TENANT)
    assert table.column_names == ["tenant", "item_id", "name", "category", "price", "available"]
    assert table["item_id"][7].as_py() == "P000007"
    assert min(table["price"].to_pylist()) > 0
