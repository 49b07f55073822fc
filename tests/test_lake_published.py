"""The published snapshot of each tenant."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from wherry.domain import RunId, TenantId
from wherry.errors import LakeError
from wherry.lake import Published, publish, read_published

NORTH, SOUTH = TenantId("north"), TenantId("south")


def _published(snapshot: int) -> Published:
    return Published(snapshot, RunId(f"run-{snapshot}"), datetime(2026, 1, 1))


def test_nothing_is_published_at_first(tmp_path: Path) -> None:
    assert read_published(tmp_path / "published.json") == {}


def test_publishing_moves_one_tenant_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "state" / "published.json"
    publish(path, NORTH, _published(1))
    publish(path, SOUTH, _published(2))
    publish(path, NORTH, _published(3))
    assert read_published(path) == {NORTH: _published(3), SOUTH: _published(2)}


def test_a_file_that_is_broken_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    path.write_text("{")
    with pytest.raises(LakeError, match=r"published\.json"):
        read_published(path)
