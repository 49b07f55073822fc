from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from serve_shop import Client, answerer, release
from wherry.collect import keys as module
from wherry.collect.keys import Keys
from wherry.domain import Release, TenantId, tenant_id
from wherry.serve import Recommender, create_app

NOW = datetime(2026, 11, 24)
ROUTE = "/v1/recommend"


def load(release: Release, folder: Path) -> Recommender:
    return Recommender(answerer(), tenant=release.tenant, name="r", version=1)


def champions() -> dict[TenantId, tuple[Release, Path] | None]:
    names = [tenant_id("default"), tenant_id("north")]
    return {name: (msgspec.structs.replace(release(1), tenant=name), Path()) for name in names}


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    return Keys.open(tmp_path / "keys.json")


@pytest.fixture
def client(keys: Keys) -> Iterator[Client]:
    with Client(create_app(champions, load, refresh_seconds=3600, keys=keys)) as client:
        yield client


def make(keys: Keys, tenant: str = "north", kind: module.Kind = "read") -> str:
    return keys.make(tenant_id(tenant), kind, label="", now=NOW)[0]


def test_without_a_read_key_everybody_is_answered(client: Client, keys: Keys) -> None:
    make(keys, kind="write")
    assert client.get(ROUTE).status_code == 200
    assert client.get(ROUTE, params={"tenant": "north"}).status_code == 200


def test_once_there_is_one_it_is_asked_for(client: Client, keys: Keys) -> None:
    key, write = make(keys), make(keys, kind="write")
    for headers in ({}, {"x-api-key": "rk_wrong"}, {"x-api-key": write}, {"x-api-key": ""}):
        answer = client.get(ROUTE, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["message"]
    assert client.get(ROUTE, headers={"x-api-key": key}).status_code == 200


def test_a_key_is_taken_wherever_it_may_stand(client: Client, keys: Keys) -> None:
    key = make(keys)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"Basic {basic}"},
        {"x-api-key": key},
    ):
        assert client.get(ROUTE, headers=headers).status_code == 200
        assert client.post(ROUTE, headers=headers, json={"k": 2}).status_code == 200
    assert client.get(ROUTE, params={"key": key, "k": "2"}).status_code == 200
    assert client.post(f"{ROUTE}?key={key}", json={"k": 2}).status_code == 200


def test_a_key_answers_for_its_own_tenant_alone(client: Client, keys: Keys) -> None:
    headers = {"x-api-key": make(keys)}
    assert client.get(ROUTE, headers=headers).json()["tenant"] == "north"
    own = client.get(ROUTE, headers=headers, params={"tenant": "north"})
    assert own.json()["tenant"] == "north"
    other = client.post(ROUTE, headers=headers, json={"tenant": "south"})
    assert other.status_code == 403
    assert other.json()["error"]["field"] == "tenant"


def test_a_revoked_key_is_none(client: Client, keys: Keys) -> None:
    key = make(keys)
    assert client.get(ROUTE, headers={"x-api-key": key}).status_code == 200
    keys.revoke(key, now=NOW)
    assert client.get(ROUTE, headers={"x-api-key": key}).status_code == 401


@pytest.mark.parametrize(
    "given", ["Bearer", "Bearer ", "Basic !!!", "Basic /w==", "Digest x", "Bearer \xff\xfe"]
)
def test_no_header_upsets_the_guard(client: Client, keys: Keys, given: str) -> None:
    make(keys)
    answer = client.get(ROUTE, headers={"authorization": given.encode("latin-1")})
    assert answer.status_code == 401
