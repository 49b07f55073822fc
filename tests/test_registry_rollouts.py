from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from serve_shop import release
from wherry.domain import DEFAULT_TENANT, Mode, Rollout, TenantId
from wherry.errors import RegistryError, UsageError
from wherry.registry import Challenger, Rollouts, in_words

NOW = datetime(2026, 1, 1)
LATER = datetime(2026, 1, 2)


def challenger(
    home: Path, version: int, rollout_id: str, tenant: TenantId = DEFAULT_TENANT
) -> Challenger:
    rollout = Rollout(
        rollout_id=rollout_id,
        tenant=tenant,
        mode=Mode.CANARY,
        version=version,
        share=0.1,
        started_at=NOW,
    )
    return Challenger(rollout, release(version, tenant), home / f"v{version}")


def opened(folder: Path) -> Rollouts:
    return Rollouts(folder / "rollouts", folder / "mlflow")


def test_what_is_started_is_read_and_what_is_ended_is_not(tmp_path: Path) -> None:
    rollouts = opened(tmp_path)
    assert rollouts.read() == {}
    one = challenger(rollouts.home, 2, "r1")
    rollouts.start(one)
    assert opened(tmp_path).read() == {DEFAULT_TENANT: one}
    assert rollouts.end(DEFAULT_TENANT, "r1") == one
    assert rollouts.read() == {}


def test_one_is_tried_at_a_time_but_each_tenant_has_its_own(tmp_path: Path) -> None:
    rollouts = opened(tmp_path)
    rollouts.start(challenger(rollouts.home, 2, "r1"))
    with pytest.raises(UsageError, match=r"recommender@2 is being tried already \(canary, 10%"):
        rollouts.start(challenger(rollouts.home, 3, "r2"))
    north = challenger(rollouts.home, 3, "r3", TenantId("north"))
    rollouts.start(north)
    assert rollouts.of(TenantId("north")) == north
    assert len(rollouts.read()) == 2


def test_who_ends_a_rollout_that_another_has_ended_ends_nothing_else(tmp_path: Path) -> None:
    rollouts = opened(tmp_path)
    rollouts.start(challenger(rollouts.home, 2, "r1"))
    assert rollouts.end(DEFAULT_TENANT, "r1") is not None
    rollouts.start(challenger(rollouts.home, 3, "r2"))
    assert rollouts.end(DEFAULT_TENANT, "r1") is None
    assert rollouts.of(DEFAULT_TENANT) == challenger(rollouts.home, 3, "r2")


def test_another_share_is_the_next_phase_of_the_same_draw(tmp_path: Path) -> None:
    rollouts = opened(tmp_path)
    rollouts.start(challenger(rollouts.home, 2, "r1"))
    changed = rollouts.ramp(DEFAULT_TENANT, "r1", mode=Mode.CANARY, share=0.5, now=LATER)
    rollout = changed.rollout
    assert (rollout.rollout_id, rollout.share, rollout.phase) == ("r1", 0.5, 2)
    assert (rollout.started_at, rollout.phase_started_at) == (NOW, LATER)
    assert rollouts.of(DEFAULT_TENANT) == changed
    with pytest.raises(UsageError, match="r0 has ended"):
        rollouts.ramp(DEFAULT_TENANT, "r0", mode=Mode.CANARY, share=0.5, now=LATER)


def test_a_project_that_has_moved_finds_the_releases_where_they_are_now(tmp_path: Path) -> None:
    rollouts = opened(tmp_path / "here")
    rollouts.start(challenger(rollouts.home, 2, "r1"))
    (tmp_path / "here").rename(tmp_path / "there")
    found = opened(tmp_path / "there").of(DEFAULT_TENANT)
    assert found is not None
    assert found.folder == tmp_path / "there" / "mlflow" / "v2"


def test_a_file_that_was_spoiled_is_named_with_a_remedy(tmp_path: Path) -> None:
    rollouts = opened(tmp_path)
    rollouts.start(challenger(rollouts.home, 2, "r1"))
    path = rollouts.folder / "default.json"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RegistryError, match="Remove it"):
        rollouts.read()


def test_a_rollout_is_told_in_words(tmp_path: Path) -> None:
    rollout = challenger(tmp_path, 2, "r1").rollout
    assert in_words(rollout) == "canary, 10% of visitors"
    shadow = msgspec.structs.replace(rollout, mode=Mode.SHADOW, share=1.0)
    assert in_words(shadow) == "shadow, 100% of visitors' answers, unseen"
