from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.collect import keys as module
from wherry.collect.keys import Keys
from wherry.domain import tenant_id
from wherry.errors import UsageError, WherryError

NOW = datetime(2026, 11, 24, 3)
NORTH, SOUTH = tenant_id("north"), tenant_id("south")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture(autouse=True)
def _looks_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)


def test_a_project_without_keys_is_open(path: Path) -> None:
    keys = Keys.open(path)
    assert keys.is_open
    assert not keys.guards("read")
    assert keys.tenant_of("", "write") is None


def test_a_key_opens_its_own_tenant_and_its_own_kind(path: Path) -> None:
    keys = Keys.open(path)
    write, _ = keys.make(NORTH, "write", label="shop", now=NOW)
    read, _ = keys.make(SOUTH, "read", label="", now=NOW)
    assert write.startswith("wk_")
    assert read.startswith("rk_")
    assert keys.tenant_of(write, "write") == NORTH
    assert keys.tenant_of(write, "read") is None
    assert keys.tenant_of(read, "read") == SOUTH
    assert keys.tenant_of(read, "write") is None
    assert not keys.is_open


def test_one_kind_of_key_guards_that_kind_alone(path: Path) -> None:
    keys = Keys.open(path)
    keys.make(NORTH, "write", label="", now=NOW)
    assert keys.guards("write")
    assert not keys.guards("read")


def test_the_key_itself_is_kept_nowhere(path: Path) -> None:
    key, made = Keys.open(path).make(NORTH, "write", label="shop", now=NOW)
    kept = path.read_text()
    assert key not in kept
    assert key[len(made.name) :] not in kept
    assert key.startswith(made.name)
    assert "shop" in kept


def test_a_revoked_key_opens_nothing_and_the_project_stays_closed(path: Path) -> None:
    keys = Keys.open(path)
    key, made = keys.make(NORTH, "write", label="", now=NOW)
    assert keys.revoke(made.name, now=NOW).revoked_at == NOW
    assert keys.tenant_of(key, "write") is None
    assert not keys.is_open
    assert not Keys.open(path).is_open


def test_a_key_can_be_revoked_by_all_of_it_or_by_its_beginning(path: Path) -> None:
    keys = Keys.open(path)
    first, _ = keys.make(NORTH, "write", label="", now=NOW)
    second, made = keys.make(NORTH, "write", label="", now=NOW)
    keys.revoke(first, now=NOW)
    keys.revoke(made.name[:6], now=NOW)
    assert keys.tenant_of(first, "write") is None
    assert keys.tenant_of(second, "write") is None


@pytest.mark.parametrize("name", ["", "wk_nothing", "zk_"])
def test_a_name_that_no_key_has_is_told(path: Path, name: str) -> None:
    keys = Keys.open(path)
    keys.make(NORTH, "write", label="", now=NOW)
    with pytest.raises(UsageError, match="wherry keys list"):
        keys.revoke(name, now=NOW)


def test_a_name_that_several_keys_have_is_told_and_revokes_none(path: Path) -> None:
    keys = Keys.open(path)
    texts = [keys.make(NORTH, "write", label="", now=NOW)[0] for _ in range(2)]
    with pytest.raises(UsageError, match="2 keys begin with 'wk_'"):
        keys.revoke("wk_", now=NOW)
    assert [keys.tenant_of(text, "write") for text in texts] == [NORTH, NORTH]


def test_a_running_server_sees_new_and_revoked_keys(path: Path) -> None:
    server, command = Keys.open(path), Keys.open(path)
    key, made = command.make(NORTH, "write", label="", now=NOW)
    assert server.tenant_of(key, "write") == NORTH
    command.revoke(made.name, now=NOW)
    assert server.tenant_of(key, "write") is None


def test_the_disk_is_not_asked_for_every_request(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 3600.0)
    server = Keys.open(path)
    assert server.is_open
    key, _ = Keys.open(path).make(NORTH, "write", label="", now=NOW)
    assert server.tenant_of(key, "write") is None
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    assert server.tenant_of(key, "write") == NORTH


def test_losing_the_file_closes_a_running_server(path: Path) -> None:
    server = Keys.open(path)
    key, _ = server.make(NORTH, "write", label="", now=NOW)
    path.unlink()
    assert server.tenant_of(key, "write") is None
    assert not server.is_open


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'[{"name": "x"}]'])
def test_a_spoiled_file_is_an_error_and_never_an_open_project(path: Path, content: bytes) -> None:
    server = Keys.open(path)
    key, _ = server.make(NORTH, "write", label="", now=NOW)
    path.write_bytes(content)
    with pytest.raises(WherryError, match="wherry keys make"):
        Keys.open(path)
    assert server.tenant_of(key, "write") == NORTH


def test_a_digest_of_another_shape_is_refused(path: Path) -> None:
    Keys.open(path).make(NORTH, "write", label="", now=NOW)
    path.write_text(path.read_text().replace('"digest": "', '"digest": "zz'))
    with pytest.raises(WherryError, match="digest"):
        Keys.open(path)


def test_keys_made_at_once_are_all_kept(path: Path) -> None:
    made: list[str] = []

    def make() -> None:
        made.append(Keys.open(path).make(NORTH, "write", label="", now=NOW)[0])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = Keys.open(path)
    assert len(set(made)) == 8
    assert {keys.tenant_of(key, "write") for key in made} == {NORTH}
    assert len(keys.all()) == 8


@given(st.text())
def test_no_text_is_a_key(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-keys.json"
    keys = Keys.open(path)
    if keys.is_open:
        keys.make(NORTH, "write", label="", now=NOW)
    assert keys.tenant_of(text, "write") is None
    assert keys.tenant_of("wk_" + "\udcff" + text, "write") is None
    assert keys.tenant_of(keys.all()[0].name, "write") is None
