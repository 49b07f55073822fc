from __future__ import annotations

from datetime import datetime
from pathlib import Path

from wherry.domain import DEFAULT_TENANT, Act, Decision, TenantId
from wherry.project.decisions import DecisionLog


def decision(release: str, tenant: TenantId = DEFAULT_TENANT) -> Decision:
    return Decision(
        decided_at=datetime(2026, 1, 1),
        tenant=tenant,
        act=Act.STOPPED,
        by="guard",
        release=release,
        champion="recommender@1",
        why="click-through\nis down",
        figures={"difference": -0.2},
    )


def test_decisions_are_read_as_they_were_taken_the_newest_first(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "shop" / "decisions.ndjson")
    assert log.read().decisions == ()
    north = decision("recommender.north@1", TenantId("north"))
    for each in (decision("recommender@2"), north, decision("recommender@3")):
        log.add(each)
    assert log.read(DEFAULT_TENANT).decisions == (
        decision("recommender@3"),
        decision("recommender@2"),
    )
    assert log.read().decisions[1] == north


def test_half_a_line_costs_nothing_but_itself_and_is_counted(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.ndjson")
    log.add(decision("recommender@2"))
    log.path.write_bytes(log.path.read_bytes()[:-40])
    log.add(decision("recommender@3"))
    found = log.read()
    assert (found.decisions, found.damaged) == ((decision("recommender@3"),), 1)
