from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.domain import DEFAULT_TENANT, TenantId
from wherry.live.pages import ShownOnPages
from wherry.live.store import LiveStore, Noun

T = DEFAULT_TENANT


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LiveStore]:
    store = LiveStore(tmp_path, boot="b1")
    yield store
    store.close()


def test_what_a_page_has_shown_is_known_to_all(store: LiveStore) -> None:
    one, other = ShownOnPages(store), ShownOnPages(store)
    assert one.of(T, "p1", now=0) == []
    assert one.claim(T, "p1", ["a", "b"], [], now=0) is None
    assert other.of(T, "p1", now=1) == ["a", "b"]
    assert other.claim(T, "p1", ["c"], ["a", "b"], now=1) is None
    assert one.of(T, "p1", now=2) == ["a", "b", "c"]
    assert one.of(T, "p2", now=2) == one.of(TenantId("north"), "p1", now=2) == []


def test_who_did_not_see_what_was_shown_meanwhile_is_told_and_nothing_is_noted(
    store: LiveStore,
) -> None:
    pages = ShownOnPages(store)
    pages.claim(T, "p1", ["a"], [], now=0)
    assert pages.claim(T, "p1", ["a"], [], now=0) == ["a"]
    assert pages.of(T, "p1", now=0) == ["a"]


def test_a_page_is_over_some_time_after_its_last_answer(store: LiveStore) -> None:
    pages = ShownOnPages(store, keep_seconds=1.0)
    pages.claim(T, "p1", ["a"], [], now=0)
    pages.claim(T, "p1", ["b"], ["a"], now=900)
    assert pages.of(T, "p1", now=1_899) == ["a", "b"]
    assert pages.of(T, "p1", now=1_900) == []
    assert pages.claim(T, "p1", ["c"], [], now=1_900) is None


def test_pages_that_are_over_leave_nothing_behind(store: LiveStore) -> None:
    pages = ShownOnPages(store, keep_seconds=1.0)
    for n in range(50):
        pages.claim(T, f"p{n}", ["a"], [], now=n)
    for n in range(20):
        pages.claim(T, f"q{n}", ["a"], [], now=10_000)
    assert store.update(lambda changes: changes.count(Noun.SHOWN)) == 2 * 20


def test_no_more_pages_and_items_are_kept_than_may_be(store: LiveStore) -> None:
    pages = ShownOnPages(store, most_pages=10, most_items=3)
    for n in range(50):
        pages.claim(T, f"p{n}", ["a", "b", "c", "d"], [], now=n)
    assert pages.of(T, "p49", now=50) == ["b", "c", "d"]
    assert pages.of(T, "p0", now=50) == []
    assert (store.update(lambda changes: changes.count(Noun.SHOWN)) or 0) <= 2 * 11


def test_a_store_that_can_not_be_used_holds_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("a file where the folder should be")
    pages = ShownOnPages(LiveStore(tmp_path / "live", boot="b1"))
    assert pages.of(T, "p1", now=0) == []
    assert pages.claim(T, "p1", ["a"], [], now=0) is None
