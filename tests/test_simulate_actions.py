import numpy as np

from wherry.simulate import ShopShape
from wherry.simulate.actions import draw_cart, draw_searches
from wherry.simulate.catalogue import build_catalogue
from wherry.simulate.visits import Visits, draw_visits
from wherry.simulate.words import query_words

SHAPE = ShopShape(conversion_scale=3.0)
SHOP = build_catalogue(np.random.default_rng(0), items=400, popularity=SHAPE.popularity)


def visit(rng: np.random.Generator, sessions: int = 3_000) -> Visits:
    begins = np.zeros(sessions, np.int64)
    return draw_visits(rng, SHOP, SHAPE, begins=begins, tastes=rng.random(sessions))


def test_only_what_was_seen_in_the_session_before_is_added_removed_or_bought() -> None:
    rng = np.random.default_rng(1)
    visits = visit(rng)
    owners = np.repeat(np.arange(len(visits.views)), visits.views)
    items = SHOP.slot_items[visits.slots]
    seen: dict[tuple[int, int], int] = {}
    for key in zip(owners.tolist(), items.tolist(), visits.view_times.tolist(), strict=True):
        seen.setdefault(key[:2], key[2])
    for actions in draw_cart(rng, SHOP, SHAPE, visits):
        assert len(actions.times) > 100
        for session, item, time in zip(
            actions.sessions.tolist(),
            actions.subjects.tolist(),
            actions.times.tolist(),
            strict=True,
        ):
            assert seen[session, item] <= time


def test_a_session_buys_all_that_it_added_at_one_time_or_one_item_without() -> None:
    rng = np.random.default_rng(2)
    adds, _, purchases = draw_cart(rng, SHOP, SHAPE, visit(rng))
    straight = 0
    for session in np.unique(purchases.sessions):
        bought = np.sort(purchases.subjects[purchases.sessions == session])
        added = np.sort(adds.subjects[adds.sessions == session])
        assert len(np.unique(purchases.times[purchases.sessions == session])) == 1
        straight += len(added) == 0
        assert len(bought) == 1 if len(added) == 0 else bought.tolist() == added.tolist()
    assert straight > 0


def test_a_search_names_the_item_seen_next() -> None:
    rng = np.random.default_rng(3)
    visits = visit(rng)
    searches = draw_searches(rng, SHOP, SHAPE, visits)
    words = query_words()
    named = 0
    for session, query in zip(searches.sessions, searches.subjects, strict=True):
        first = visits.view_starts[session]
        slots = visits.slots[first : first + visits.views[session]]
        named += len(slots) == 0 or query in SHOP.query[SHOP.slot_items[slots]]
        assert words[query]
    assert named == len(searches.times) > 100


def test_the_words_of_a_query_are_in_the_name_of_its_item() -> None:
    words = query_words()
    for query, name in zip(SHOP.query, SHOP.names, strict=True):
        assert words[query] in name.lower()
