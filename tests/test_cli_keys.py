"""The commands about keys, and what a server without keys refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wherry.cli import main
from wherry.domain import tenant_id
from wherry.errors import UsageError
from wherry.project import Project
from wherry.serve import require_loopback

AsJson = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path)


@pytest.fixture
def ask(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsJson:
    """Runs a command in the project with ``--json``; its one document."""

    def run(*words: str, code: int = 0) -> Any:
        monkeypatch.chdir(project.home.root)
        monkeypatch.setattr(sys, "argv", ["wherry", *words, "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == code
        return json.loads(capsys.readouterr().out)

    return run


def test_a_key_is_shown_once_and_listed_by_its_beginning(ask: AsJson, project: Project) -> None:
    made = ask("keys", "make", "write", "--tenant", "north", "--label", "web")
    (listed,) = ask("keys", "list")
    assert made["key"].startswith(listed["name"])
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert (listed["kind"], listed["tenant"], listed["label"]) == ("write", "north", "web")
    assert project.keys.tenant_of(made["key"], "write") == tenant_id("north")


def test_a_key_is_revoked_by_its_beginning(ask: AsJson, project: Project) -> None:
    made = ask("keys", "make", "read")
    assert ask("keys", "revoke", made["name"])["revoked_at"] is not None
    assert project.keys.tenant_of(made["key"], "read") is None
    assert ask("keys", "revoke", "nothing", code=2)["error"]["kind"] == "UsageError"


def test_a_kind_or_a_tenant_that_there_is_not_is_wrong_use(ask: AsJson) -> None:
    assert "Did you mean 'read'" in ask("keys", "make", "reed", code=2)["error"]["message"]
    assert "tenant" in ask("keys", "make", "read", "--tenant", "a/b", code=2)["error"]["message"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "::ffff:127.0.0.1"])
def test_this_machine_alone_may_be_listened_to_without_a_key(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "::ffff:192.0.2.1"])
def test_anything_else_is_refused_without_a_key(host: str) -> None:
    with pytest.raises(UsageError, match="wherry keys make write"):
        require_loopback(host)


def test_a_server_without_keys_refuses_to_be_reached(ask: AsJson) -> None:
    told = ask("serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "No key is set" in told["error"]["message"]


def test_a_server_with_a_key_gets_past_that(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.keys.make(tenant_id("default"), "write", label="", now=project._clock())
    heard: list[str] = []
    monkeypatch.setattr(
        "wherry.project.servers.serve", lambda app, *, host, port, on_ready: heard.append(host)
    )
    project.serve(host="0.0.0.0")
    assert heard == ["0.0.0.0"]
