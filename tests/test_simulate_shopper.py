import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.simulate import ShopShape
from wherry.simulate.catalogue import build_catalogue
from wherry.simulate.effect import measure_effect
from wherry.simulate.shopper import Act, Manner, Page, visit

SHOP = build_catalogue(np.random.default_rng(0), items=400, popularity=ShopShape().popularity)
CURIOUS = Manner(attention=1.0, liked=1.0, near=1.0, other=1.0, fatigue=1.0, known=1.0)
BLIND = Manner(liked=0.0, near=0.0, other=0.0)


def walked(
    manner: Manner, shown: list[int], seed: int = 1, taste: float = 0.3
) -> tuple[list[Page], tuple[Act, ...]]:
    walk = visit(SHOP, manner, taste, 1.0, np.random.default_rng(seed))
    pages = [next(walk)]
    while True:
        try:
            pages.append(walk.send(shown))
        except StopIteration as end:
            return pages, end.value


@given(seed=st.integers(0, 10_000))
def test_every_page_is_of_an_item_of_the_shop_and_begins_with_its_view(seed: int) -> None:
    pages, _ = walked(Manner(), [1, 2, 3], seed)
    for page in pages:
        assert 0 <= page.item < SHOP.size
        assert page.acts[-1] == Act("view", page.item)


def test_the_same_seed_walks_the_same_way() -> None:
    assert walked(Manner(), [1, 2, 3], 5) == walked(Manner(), [1, 2, 3], 5)


def test_who_likes_all_clicks_the_first_item_and_lands_on_its_page() -> None:
    pages, _ = walked(CURIOUS, [7, 9])
    assert len(pages) == CURIOUS.most_pages
    for page in pages[1:]:
        assert page.item == 7
        assert Act("click", 7, 0) in page.acts


def test_who_likes_nothing_never_clicks() -> None:
    for seed in range(30):
        pages, last = walked(BLIND, [1, 2, 3], seed)
        acts = [act for page in pages for act in page.acts] + list(last)
        assert not [act for act in acts if act.kind == "click"]


def test_an_empty_list_and_an_item_of_no_shop_are_borne() -> None:
    assert walked(Manner(), [])[0]
    assert walked(CURIOUS, [-1])[0]


def test_what_is_bought_was_added_before() -> None:
    manner = Manner(add=0.5, buy=1.0)
    bought = 0
    for seed in range(50):
        pages, last = walked(manner, [1, 2, 3], seed)
        acts = [act for page in pages for act in page.acts] + list(last)
        added = {act.item for act in acts if act.kind == "add"}
        purchased = [act.item for act in acts if act.kind == "purchase"]
        assert set(purchased) == (added if purchased else set())
        bought += bool(purchased)
    assert bought > 10


def test_places_further_down_are_clicked_less() -> None:
    manner = Manner(fatigue=1.0, known=1.0, liked=0.1, near=0.1, other=0.1, following=1.0)
    places = []
    for seed in range(400):
        pages, last = walked(manner, list(range(10)), seed)
        acts = [act for page in pages for act in page.acts] + list(last)
        places += [act.position for act in acts if act.position is not None]
    counts = np.bincount(places, minlength=10)
    assert counts[0] > counts[4] > counts[9]


def test_what_was_shown_before_tires() -> None:
    one = measure_effect(
        SHOP, lambda session: [1, 2, 3], visits=300, seed=1, manner=Manner(fatigue=1.0, near=0.2)
    )
    tired = measure_effect(
        SHOP, lambda session: [1, 2, 3], visits=300, seed=1, manner=Manner(fatigue=0.2, near=0.2)
    )
    assert tired.click_through < one.click_through


def test_shoppers_like_what_belongs_to_their_theme_better_than_anything() -> None:
    themes = {int(item): place for place, item in enumerate(SHOP.slot_items)}

    def fitting(session: list[int]) -> list[int]:
        slot = themes[session[-1]]
        return SHOP.slot_items[SHOP.theme_low[slot] : SHOP.theme_high[slot]][:10].tolist()

    rng = np.random.default_rng(0)
    good = measure_effect(SHOP, fitting, visits=300, seed=1)
    blind = measure_effect(
        SHOP, lambda session: rng.integers(0, SHOP.size, 10).tolist(), visits=300, seed=1
    )
    assert good.click_through > 1.5 * blind.click_through


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_crowd_does_the_same_with_the_same_answers(seed: int) -> None:
    one, other = (
        measure_effect(SHOP, lambda session: [1, 2, 3], visits=50, seed=seed) for _ in range(2)
    )
    assert (one.shown == other.shown).all()
    assert (one.clicks == other.clicks).all()
    assert one.error() == other.error() > 0
