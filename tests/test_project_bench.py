"""The bench: a shop's own server measured, and nothing of it left in the shop."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import msgspec
import pytest

from wherry.cli.benching import bench_report
from wherry.domain import ItemId, TenantId
from wherry.errors import UsageError
from wherry.project import Project
from wherry.project.bench import Bench, run_bench, visits
from wherry.simulate.connection import Target


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_bench_measures_and_leaves_the_shop_as_it_was(shop: Path) -> None:
    state = shop / ".wherry"
    before = contents(state)
    found = run_bench(Project.open(shop), seconds=2.8, p99=10_000, workers=1)
    assert {name for name in contents(state) if name.startswith(("inbox", "live"))} == {
        name for name in before if name.startswith(("inbox", "live"))
    }
    assert contents(state / "lake") == {
        name.removeprefix("lake/"): each for name, each in before.items() if name.startswith("lake")
    }
    first = found.steps[0]
    assert first.rate == 100
    assert first.recommend.count == first.events.count == 20
    assert found.peak_to_mean > 1
    assert found.microseconds > 0
    assert sum(found.parts.values()) == pytest.approx(1, abs=0.01)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Bench) == found


def test_sessions_are_replayed_a_step_at_a_time_an_event_before_its_question() -> None:
    target = Target("127.0.0.1", 1)
    sessions = [(ItemId("a"), ItemId("b")), (ItemId("c"),)]
    told = list(islice(visits(target, sessions, TenantId("t")), 10))
    assert [shot.kind for shot in told] == ["events", "recommend"] * 5
    events = [msgspec.json.decode(shot.message.split(b"\r\n\r\n")[1]) for shot in told[::2]]
    seen = [(each["session_id"], each["items"][0]["id"]) for each in events]
    assert seen[:4] == [("bench-1", "a"), ("bench-2", "c"), ("bench-1", "b"), ("bench-3", "a")]
    asked = [shot.message.split(b"session_id=")[1].split(b"&")[0] for shot in told[1::2]]
    assert asked == [b"bench-1", b"bench-1", b"bench-2", b"bench-1", b"bench-3"]
    assert b"visitor_id=bench-1&tenant=t" in told[1].message


def test_a_shop_without_sessions_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wherry run"):
        run_bench(Project.create(tmp_path / "new"))


def test_a_report_says_what_limits_and_what_failed() -> None:
    step = {"rate": 100, "errors": 2, "unanswered": 1, "load": 0.95, "passed": False}
    none = {"count": 0, "p50": 0, "p90": 0, "p99": 0, "p999": 0, "max": 0}
    facts = {
        "model": "recommender@1 (knn)", "items": 5, "sessions": 2, "workers": 1, "cores": 2,
        "load_average": 0.1, "p99": 5, "steps": [{**step, "recommend": none, "events": none}],
        "rate": None, "peak_to_mean": 2, "requests_per_day": None, "microseconds": 300,
        "parts": {"the model": 1.0}, "is_load_bound": True,
    }  # fmt: skip
    words = " ".join(str(part) for part in bench_report(msgspec.convert(facts, Bench)))
    assert "Not even 100 recommendations a second" in words
    served = {**facts, "rate": 100.0, "requests_per_day": 4_320_000}
    words = " ".join(str(part) for part in bench_report(msgspec.convert(served, Bench)))
    assert "4,320,000 a day" in words
    assert "Asking took all of a core" in words
