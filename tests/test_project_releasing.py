from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from serve_shop import release
from wherry.domain import DEFAULT_TENANT, Act, Mode, Release, TenantId
from wherry.errors import RegistryError, UsageError
from wherry.project.decisions import DecisionLog
from wherry.project.releasing import Releasing, read_share
from wherry.registry import Registry, Rollouts

NOW = datetime(2026, 1, 1)


class Shelf:
    """A registry of four releases, of which a test can say that it is away."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.version: int | None = 2
        self.named: int | None = None
        self.is_away = False

    def _look(self) -> None:
        if self.is_away:
            raise RegistryError("MLflow is away")

    def champion(self, tenant: TenantId) -> Release | None:
        self._look()
        return release(self.version) if self.version else None

    def releases(self, tenant: TenantId) -> list[tuple[Release, bool]]:
        return [(release(version), False) for version in (4, 3, 2, 1)]

    def folder(self, release: Release) -> Path:
        return self.home / f"v{release.version}"

    def promote(self, release: Release) -> None:
        self._look()
        self.version = release.version

    def name_challenger(self, tenant: TenantId, version: int | None) -> None:
        self._look()
        self.named = version

    def rollback(self, tenant: TenantId, to: int | None = None) -> Release:
        self.version = to or 1
        return release(self.version)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "mlflow")


@pytest.fixture
def releasing(shelf: Shelf, tmp_path: Path) -> Releasing:
    return Releasing(
        registry=cast(Registry, shelf),
        rollouts=Rollouts(tmp_path / "rollouts", shelf.home),
        log=DecisionLog(tmp_path / "decisions.ndjson"),
        load=lambda release, folder: None,
        clock=lambda: NOW,
        by="anna",
    )


def acts(releasing: Releasing) -> list[tuple[Act, str, str]]:
    found = releasing.log.read().decisions
    return [(each.act, each.release, each.champion) for each in reversed(found)]


def test_a_release_is_tried_and_promoted_and_each_step_is_noted(
    releasing: Releasing, shelf: Shelf
) -> None:
    begun = releasing.start(releasing.find(DEFAULT_TENANT, 3), Mode.CANARY)
    assert begun.rollout.share == 0.1
    assert releasing.rollouts.of(DEFAULT_TENANT) == begun
    assert shelf.named == 3
    wider = releasing.start(release(3), Mode.CANARY, 0.25)
    assert (wider.rollout.share, wider.rollout.phase) == (0.25, 2)
    assert releasing.promote(DEFAULT_TENANT).version == 3
    assert (shelf.version, shelf.named) == (3, None)
    assert releasing.rollouts.read() == {}
    assert acts(releasing) == [
        (Act.STARTED, "recommender@3", "recommender@2"),
        (Act.RAMPED, "recommender@3", "recommender@2"),
        (Act.PROMOTED, "recommender@3", "recommender@3"),
    ]
    assert {each.by for each in releasing.log.read().decisions} == {"anna"}


def test_a_rollback_ends_what_is_tried_and_only_the_next_one_moves_the_champion(
    releasing: Releasing, shelf: Shelf
) -> None:
    releasing.start(release(3), Mode.AB)
    assert releasing.rollback(DEFAULT_TENANT).version == 2
    assert (shelf.version, shelf.named) == (2, None)
    assert releasing.rollback(DEFAULT_TENANT).version == 1
    assert [act for act, _, _ in acts(releasing)] == [
        Act.STARTED,
        Act.WITHDRAWN,
        Act.ROLLED_BACK,
    ]


def test_a_rollback_to_a_version_does_both(releasing: Releasing, shelf: Shelf) -> None:
    releasing.start(release(3), Mode.SHADOW)
    assert releasing.rollback(DEFAULT_TENANT, 1).version == 1
    assert releasing.rollouts.read() == {}
    assert shelf.version == 1


def test_the_guard_can_stop_a_release_while_mlflow_is_away(
    releasing: Releasing, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    begun = releasing.start(release(3), Mode.CANARY)
    shelf.is_away = True
    assert releasing.stop(begun, "click-through is down", {"difference": -0.2})
    assert releasing.rollouts.read() == {}
    stopped = releasing.log.read().decisions[0]
    assert (stopped.act, stopped.why) == (Act.STOPPED, "click-through is down")
    assert stopped.figures == {"difference": -0.2}
    assert "could not be moved" in caplog.text


def test_what_somebody_else_has_ended_is_not_stopped_again(releasing: Releasing) -> None:
    begun = releasing.start(release(3), Mode.CANARY)
    releasing.withdraw(DEFAULT_TENANT, why="a bad name")
    assert not releasing.stop(begun, "click-through is down", {})
    assert [act for act, _, _ in acts(releasing)] == [Act.STARTED, Act.WITHDRAWN]


def test_what_makes_no_sense_is_said(releasing: Releasing, shelf: Shelf) -> None:
    with pytest.raises(UsageError, match="recommender@2 is the champion already"):
        releasing.start(release(2), Mode.CANARY)
    with pytest.raises(UsageError, match=r"no version 9\. There are: 4, 3, 2, 1"):
        releasing.find(DEFAULT_TENANT, 9)
    with pytest.raises(UsageError, match="Nothing is being tried"):
        releasing.promote(DEFAULT_TENANT)
    for mode, share in ((Mode.CANARY, 1.0), (Mode.AB, 0.0), (Mode.SHADOW, 1.5)):
        with pytest.raises(UsageError, match="can't be tried"):
            releasing.start(release(3), mode, share)
    releasing.start(release(3), Mode.CANARY)
    with pytest.raises(UsageError, match="tried so already"):
        releasing.start(release(3), Mode.CANARY)
    with pytest.raises(UsageError, match="recommender@3 is being tried already"):
        releasing.start(release(4), Mode.CANARY)
    shelf.version = None
    with pytest.raises(UsageError, match="Nothing answers"):
        releasing.start(release(4), Mode.CANARY)
    assert [act for act, _, _ in acts(releasing)] == [Act.STARTED]


def test_a_release_that_cannot_be_loaded_is_not_tried(
    releasing: Releasing,
) -> None:
    def torn(release: Release, folder: Path) -> None:
        raise RegistryError(f"{folder} is torn")

    with pytest.raises(RegistryError, match="torn"):
        replace(releasing, load=torn).start(release(3), Mode.CANARY)
    assert releasing.rollouts.read() == {}


def test_shares_are_read_as_people_write_them() -> None:
    assert [read_share(word) for word in ("10%", "0.1", "2.5%")] == [0.1, 0.1, 0.025]
    with pytest.raises(UsageError, match="'ten' is no share"):
        read_share("ten")
