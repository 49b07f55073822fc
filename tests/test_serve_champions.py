from __future__ import annotations

from pathlib import Path

import pytest

from serve_shop import answerer, load, release, write_release
from wherry.domain import Release, TenantId
from wherry.errors import RegistryError
from wherry.serve.champions import Champions
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import Recommender

DEFAULT, NORTH = TenantId("default"), TenantId("north")


class Shelf:
    """A registry of releases that a test can move; it counts what is loaded from it."""

    def __init__(self) -> None:
        self.champions: dict[TenantId, tuple[Release, Path] | None] = {}
        self.loaded: list[tuple[str, int]] = []
        self.broken: set[int] = set()
        self.metrics = Metrics()

    def put(self, version: int, tenant: TenantId = DEFAULT) -> None:
        self.champions[tenant] = (release(version, tenant), Path(f"v{version}"))

    def load(self, release: Release, folder: Path) -> Recommender:
        self.loaded.append((release.tenant, release.version))
        if release.version in self.broken:
            raise OSError(f"{folder} is torn")
        return Recommender(answerer(), tenant=release.tenant, version=release.version)

    def open(self) -> Champions:
        return Champions(lambda: self.champions, self.load, self.metrics, patience=2)


def test_a_new_champion_answers_after_the_next_refresh_and_so_does_an_older_one() -> None:
    shelf = Shelf()
    champions = shelf.open()
    assert not champions.is_ready
    labels = []
    for version in (1, 2, 2, 1):
        shelf.put(version)
        champions.refresh()
        recommender = champions.get(DEFAULT)
        labels.append(recommender.label if recommender else None)
    assert labels == ["recommender@1", "recommender@2", "recommender@2", "recommender@1"]
    assert shelf.loaded == [("default", 1), ("default", 2), ("default", 1)]


def test_a_release_that_cannot_be_loaded_leaves_the_old_one_answering(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf()
    champions = shelf.open()
    shelf.put(1)
    champions.refresh()
    shelf.put(2)
    shelf.broken.add(2)
    champions.refresh()
    status = champions.statuses()[DEFAULT]
    assert status.model == "recommender@1"
    assert status.error == "recommender@2: v2 is torn"
    assert "can't be loaded" in caplog.text
    figures = shelf.metrics.text()
    assert b'wherry_champion_reloads_total{outcome="failed",tenant="default"} 1.0' in figures
    assert b'wherry_champion_info{name="recommender",tenant="default",version="1"} 1.0' in figures


def test_a_failed_release_is_tried_again_but_not_at_once() -> None:
    shelf = Shelf()
    shelf.put(1)
    shelf.broken.add(1)
    champions = shelf.open()
    for _ in range(3):
        champions.refresh()
    assert len(shelf.loaded) == 1
    shelf.broken.clear()
    champions.refresh()
    assert champions.statuses()[DEFAULT].model == "recommender@1"
    assert champions.statuses()[DEFAULT].error is None


def test_going_back_from_a_failed_release_clears_its_error() -> None:
    shelf = Shelf()
    shelf.put(1)
    champions = shelf.open()
    champions.refresh()
    shelf.put(2)
    shelf.broken.add(2)
    champions.refresh()
    shelf.put(1)
    champions.refresh()
    assert champions.statuses()[DEFAULT].error is None
    assert shelf.loaded == [("default", 1), ("default", 2)]


def test_one_tenants_failure_does_not_touch_another() -> None:
    shelf = Shelf()
    shelf.put(1, DEFAULT)
    shelf.put(2, NORTH)
    shelf.broken.add(1)
    champions = shelf.open()
    champions.refresh()
    assert champions.get(DEFAULT) is None
    recommender = champions.get(NORTH)
    assert recommender is not None
    assert recommender.tenant == NORTH


def test_a_tenant_may_have_no_champion_yet_and_may_lose_the_one_it_has() -> None:
    shelf = Shelf()
    champions = shelf.open()
    shelf.champions[NORTH] = None
    champions.refresh()
    assert champions.is_known(NORTH)
    assert champions.is_known(DEFAULT)
    assert not champions.is_known(TenantId("south"))
    shelf.put(1, NORTH)
    champions.refresh()
    assert champions.get(NORTH) is not None
    del shelf.champions[NORTH]
    champions.refresh()
    assert champions.get(NORTH) is None
    assert not champions.is_known(NORTH)
    assert b'tenant="north",version' not in shelf.metrics.text()


def test_a_registry_that_cannot_be_asked_leaves_everything_as_it_is() -> None:
    shelf = Shelf()
    shelf.put(1)
    is_down = False

    def source() -> dict[TenantId, tuple[Release, Path] | None]:
        if is_down:
            raise RegistryError("The registry is away.")
        return shelf.champions

    champions = Champions(source, shelf.load, shelf.metrics)
    champions.refresh()
    is_down = True
    champions.refresh()
    assert champions.get(DEFAULT) is not None
    assert b"wherry_champion_polls_failed_total 1.0" in shelf.metrics.text()


def test_a_release_is_read_from_its_folder(tmp_path: Path) -> None:
    found = (release(5), write_release(tmp_path))
    champions = Champions(lambda: {DEFAULT: found}, load, Metrics())
    champions.refresh()
    assert champions.statuses()[DEFAULT].model == "recommender@5"


def test_the_old_champion_answers_for_as_long_as_the_new_one_warms_up() -> None:
    answering: list[str | None] = []

    class Watching(Recommender):
        def warm_up(self) -> None:
            answering.append(champions.statuses()[DEFAULT].model)

    shelf = Shelf()
    champions = Champions(
        lambda: shelf.champions,
        lambda release, folder: Watching(answerer(), version=release.version),
        shelf.metrics,
    )
    for version in (1, 2, 3):
        shelf.put(version)
        champions.refresh()
    assert answering == [None, "recommender@1", "recommender@2"]
