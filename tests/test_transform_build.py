from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transform_shop import Shop, random_events, random_loads, sessionise


@pytest.fixture(scope="module")
def used_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(used_shop: Shop) -> Shop:
    return used_shop.empty()


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), together=st.lists(st.integers(1, 2), min_size=4, max_size=4))
def test_any_split_into_increments_equals_the_reference_and_the_rebuild(
    used_shop: Shop, seed: int, together: list[int]
) -> None:
    shop = used_shop.empty()
    loads = random_loads(seed, random_events(seed))
    waiting = iter(together)
    due = next(waiting)
    for load in loads:
        shop.load(load)
        due -= 1
        if due == 0:
            shop.transform()
            due = next(waiting, 1)
    shop.transform()

    found = {
        (t, e): s for t, e, s in shop.rows("SELECT tenant, event_id, session_id FROM marts.events")
    }
    assert found == sessionise(loads)
    lengths = Counter((tenant, session) for (tenant, _), session in found.items())
    assert {
        (t, s): n for t, s, n in shop.rows("SELECT tenant, session_id, events FROM marts.sessions")
    } == lengths

    hashes = shop.hashes()
    shop.transform(full_refresh=True)
    assert shop.hashes() == hashes
