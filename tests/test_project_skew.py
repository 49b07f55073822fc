"""The skew proof of a whole project: its own server, its registry, its transform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import write_settings
from serve_shop import Client
from wherry.domain import DEFAULT_TENANT
from wherry.project import Project, skew
from wherry.project.collecting import utc_microseconds
from wherry.project.skew import KeptReleases
from wherry.watch.skew import Cause


def view(client: Client, visitor: str, item: str, occurred_at: str) -> None:
    event = {"event_type": "view", "visitor_id": visitor, "items": [{"id": item}]}
    answer = client.post("/v1/events", json={**event, "occurred_at": occurred_at})
    assert answer.json()["taken"] == 1, answer.text


def test_a_project_proves_its_answers_and_finds_that_it_called_a_session_something_else(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skew, "WINDOW", timedelta(0))
    project = Project.open(shop, clock=utc_microseconds)
    items = [each for items in project.newest_sessions(at_most=20) for each in items]
    now = datetime.now(UTC)
    with Client(project.serving()) as client:
        for visitor in ("ann", "bob"):
            for minutes, item in zip((20, 10, 1), items, strict=False):
                view(client, visitor, item, (now - timedelta(minutes=minutes)).isoformat())
            asked = client.get(f"/v1/recommend?visitor_id={visitor}")
            assert asked.status_code == 200
        client.get(f"/v1/recommend?items={items[0]}")
    project.load()
    project.run(only="transform")

    found = project.skew()
    assert found.differences == ()
    assert (found.answers, found.same, found.sessions, found.rankings) == (3, 3, 2, 3)

    write_settings(shop, "[sessions]\ngap_minutes = 5\n")
    (fault,) = Project.open(shop).skew().faults
    assert (fault.cause, fault.count) == (Cause.GAP, 2)
    assert "by the settings it is 5" in fault.words
    project.live_store.close()


def test_a_release_that_is_not_in_the_registry_is_told(shop: Path) -> None:
    kept = KeptReleases(Project.open(shop).registry, DEFAULT_TENANT, ())
    assert kept.answerer(99) == "version 99 is not in the registry any more"
    assert kept.answerer(1) is kept.answerer(1) is kept.without_rules(1)
    assert not isinstance(kept.answerer(1), str)
    assert (kept.others(2), kept.others(1), kept.rule_names()) == ([1], [], frozenset())
