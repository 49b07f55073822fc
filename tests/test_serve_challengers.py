from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from serve_shop import answerer, release
from wherry.domain import DEFAULT_TENANT, Mode, Release, Rollout, TenantId
from wherry.errors import RegistryError
from wherry.registry import Challenger
from wherry.serve.challengers import Challengers
from wherry.serve.metrics import Metrics
from wherry.serve.recommender import Recommender

NORTH = TenantId("north")


def challenger(
    version: int, rollout_id: str = "r1", *, tenant: TenantId = DEFAULT_TENANT, share: float = 0.5
) -> Challenger:
    rollout = Rollout(
        rollout_id=rollout_id,
        tenant=tenant,
        mode=Mode.CANARY,
        version=version,
        share=share,
        started_at=datetime(2026, 1, 1),
    )
    return Challenger(rollout, release(version, tenant), Path(f"v{version}"))


class Bench:
    """Rollouts that a test can move; it counts what is loaded of them."""

    def __init__(self) -> None:
        self.tried: dict[TenantId, Challenger] = {}
        self.loaded: list[int] = []
        self.broken: set[int] = set()
        self.metrics = Metrics()

    def put(self, challenger: Challenger) -> None:
        self.tried[challenger.rollout.tenant] = challenger

    def load(self, release: Release, folder: Path) -> Recommender:
        self.loaded.append(release.version)
        if release.version in self.broken:
            raise OSError(f"{folder} is torn")
        return Recommender(answerer(), tenant=release.tenant, version=release.version)

    def open(self) -> Challengers:
        return Challengers(lambda: self.tried, self.load, self.metrics, patience=2)


def test_what_is_tried_is_followed_until_it_has_ended() -> None:
    bench = Bench()
    challengers = bench.open()
    challengers.refresh()
    assert challengers.get(DEFAULT_TENANT) is None
    bench.put(challenger(2))
    challengers.refresh()
    contest = challengers.get(DEFAULT_TENANT)
    assert contest is not None
    assert contest.recommender is not None
    assert contest.recommender.label == "recommender@2"
    assert b'wherry_challenger_info{name="recommender",tenant="default",version="2"} 1.0' in (
        bench.metrics.text()
    )
    bench.tried.clear()
    challengers.refresh()
    assert challengers.get(DEFAULT_TENANT) is None
    assert b"wherry_challenger_info{" not in bench.metrics.text()


def test_another_share_loads_nothing_anew() -> None:
    bench = Bench()
    challengers = bench.open()
    for share in (0.1, 0.5):
        bench.put(challenger(2, share=share))
        challengers.refresh()
        contest = challengers.get(DEFAULT_TENANT)
        assert contest is not None
        assert contest.rollout.share == share
    assert bench.loaded == [2]


def test_a_challenger_that_cannot_be_loaded_is_told_and_tried_again() -> None:
    bench = Bench()
    bench.put(challenger(2))
    bench.broken.add(2)
    challengers = bench.open()
    challengers.refresh()
    contest = challengers.get(DEFAULT_TENANT)
    assert contest is not None
    assert contest.recommender is None
    assert contest.error == "recommender@2: v2 is torn"
    bench.broken.clear()
    for _ in range(3):
        challengers.refresh()
    contest = challengers.get(DEFAULT_TENANT)
    assert contest is not None
    assert contest.recommender is not None
    assert contest.error == ""


def test_the_next_rollout_never_answers_by_the_release_of_the_one_before() -> None:
    bench = Bench()
    challengers = bench.open()
    bench.put(challenger(2))
    challengers.refresh()
    bench.put(challenger(3, "r2"))
    bench.broken.add(3)
    challengers.refresh()
    contest = challengers.get(DEFAULT_TENANT)
    assert contest is not None
    assert contest.recommender is None


def test_each_tenant_tries_its_own() -> None:
    bench = Bench()
    challengers = bench.open()
    bench.put(challenger(2))
    bench.put(challenger(3, "r2", tenant=NORTH))
    challengers.refresh()
    del bench.tried[DEFAULT_TENANT]
    challengers.refresh()
    assert challengers.get(DEFAULT_TENANT) is None
    north = challengers.get(NORTH)
    assert north is not None
    assert north.rollout.version == 3


def test_rollouts_that_cannot_be_read_go_on_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.put(challenger(2))
    is_spoiled = False

    def source() -> dict[TenantId, Challenger]:
        if is_spoiled:
            raise RegistryError("spoiled")
        return bench.tried

    challengers = Challengers(source, bench.load, bench.metrics)
    challengers.refresh()
    is_spoiled = True
    challengers.refresh()
    assert challengers.get(DEFAULT_TENANT) is not None
    assert "Can't look for rollouts" in caplog.text
