"""Sessions by their id, as published: known ones are found, others cost nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.domain import DEFAULT_TENANT, SessionId
from wherry.project import Project, sessions
from wherry.project.sessions import PublishedSessions


@pytest.mark.parametrize("most_ids", [500_000, 0])
def test_a_known_session_is_found_whether_or_not_all_ids_can_be_held(
    shop: Path, monkeypatch: pytest.MonkeyPatch, most_ids: int
) -> None:
    monkeypatch.setattr(sessions, "_MOST_IDS", most_ids)
    project = Project.open(shop)
    published = PublishedSessions(project.lake, project.home.published)
    with project.lake.reader() as con:
        newest = con.execute(
            "SELECT session_id FROM lake.marts.sessions WHERE items > 0 ORDER BY ended_at DESC"
        ).fetchone()
    assert newest is not None
    found = published(DEFAULT_TENANT, SessionId(newest[0]))
    assert found is not None
    assert found.items
    assert published(DEFAULT_TENANT, SessionId("never heard of")) is None
