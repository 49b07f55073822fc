from __future__ import annotations

import gc
from pathlib import Path

from serve_shop import answerer, release
from wherry.domain import DEFAULT_TENANT, Release, TenantId
from wherry.domain.rule import Block
from wherry.learn.answer import Query
from wherry.serve.recommender import Recommender
from wherry.serve.taking import InService, LoadedOnce, Outcome


class Shelf:
    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.broken: set[int] = set()

    def load(self, release: Release, folder: Path) -> Recommender:
        self.loaded.append(release.version)
        if release.version in self.broken:
            raise OSError("torn")
        return Recommender(answerer(), version=release.version)


def test_a_release_is_taken_once_and_a_failed_one_again_after_some_patience() -> None:
    shelf = Shelf()
    service = InService(shelf.load, patience=1)
    assert service.follow(DEFAULT_TENANT, release(1), Path("v1")) is Outcome.SWAPPED
    assert service.follow(DEFAULT_TENANT, release(1), Path("v1")) is Outcome.SAME
    shelf.broken.add(2)
    outcomes = [service.follow(DEFAULT_TENANT, release(2), Path("v2")) for _ in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.SAME, Outcome.FAILED]
    assert service.answering[DEFAULT_TENANT].version == 1
    assert service.error(DEFAULT_TENANT) == "recommender@2: torn"
    service.withdraw(DEFAULT_TENANT)
    assert service.tenants() == set()


def test_a_release_that_is_held_is_not_read_again_and_one_that_nobody_holds_is_let_go() -> None:
    shelf = Shelf()
    load = LoadedOnce(shelf.load)
    held = load(release(1), Path("v1"))
    assert load(release(1), Path("v1")) is held
    assert load(release(1), Path("elsewhere")) is not held
    del held
    gc.collect()
    load(release(1), Path("v1"))
    assert shelf.loaded == [1, 1, 1]


def test_other_rules_hold_at_the_next_look_and_nothing_is_read_for_them() -> None:
    shelf, rules = Shelf(), [Block(name="gone", items=("i39",))]
    service = InService(LoadedOnce(shelf.load), patience=1, rules=lambda: rules)

    def look() -> tuple[Outcome, bool]:
        outcome = service.follow(DEFAULT_TENANT, release(1), Path("v1"))
        shown = service.answering[DEFAULT_TENANT].recommend(Query([], k=5)).items
        return outcome, "i39" in [each.item for each in shown]

    assert look() == (Outcome.SWAPPED, False)
    assert look() == (Outcome.SAME, False)
    rules.clear()
    assert look() == (Outcome.RULED, True)
    rules.append(Block(name="of another", items=("i39",), tenant=TenantId("north")))
    assert look() == (Outcome.RULED, True)
    rules[:] = [Block(name="gone", items=("i39",))]
    assert look() == (Outcome.RULED, False)
    assert shelf.loaded == [1]
