"""A crowd against a server that answers as each test wants."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.http_shop import Asked, Reply, serving

from wherry.errors import UsageError, WherryError
from wherry.simulate import Crowd, Manner, open_shop, send_crowd, simulate
from wherry.simulate.day import Shop

CROWD = Crowd(visits=20, at_once=4, seed=3)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    simulate(folder, events=2_000, seed=1, start=datetime(2026, 1, 1), days=1)
    return open_shop(folder)


def answer(asked: Asked, before: int) -> Reply:
    """Every list is of the same five items, from one of two models by the visitor's number."""
    body = json.loads(asked.body)
    if asked.path != "/v1/recommend":
        return Reply(200, {"taken": len(body), "known": 0, "refused": []})
    odd = int(body["visitor_id"].rpartition("-")[2]) % 2
    items = [{"item": f"P{n:06d}", "name": None, "score": 1.0} for n in range(5)]
    shown = {"model": f"recommender@{1 + odd}", "request_id": f"r{before}", "items": items}
    return Reply(200, shown)


def events_of(asked: list[Asked]) -> list[dict[str, Any]]:
    return [event for each in asked if each.path == "/v1/events" for event in json.loads(each.body)]


def test_every_list_is_reported_and_every_act_sent_once(shop: Shop) -> None:
    with serving(answer) as server:
        visited = send_crowd(server.url, shop, CROWD)
    events = events_of(server.asked)
    assert visited.visits == 20
    assert visited.events == len(events) == len({event["event_id"] for event in events})
    lists = sum(model.lists for model in visited.models.values())
    asked = [each for each in server.asked if each.path == "/v1/recommend"]
    impressions = [event for event in events if event["event_type"] == "impression"]
    assert lists == len(asked) == len(impressions)
    assert {event["properties"]["request_id"] for event in impressions} == {
        f"r{before}" for before, each in enumerate(server.asked) if each in asked
    }
    views = [event for event in events if event["event_type"] == "view"]
    assert len(views) == len(asked)


def test_what_was_done_is_counted_by_the_model_that_answered(shop: Shop) -> None:
    eager = Manner(liked=0.6, near=0.6, other=0.6, add=0.3, buy=1.0)
    with serving(answer) as server:
        visited = send_crowd(server.url, shop, Crowd(visits=20, seed=3, manner=eager))
    events = events_of(server.asked)
    for kind, counted in (("click", "clicks"), ("add", "adds"), ("purchase", "purchases")):
        sent = [event for event in events if event["event_type"] == kind]
        assert sent
        assert sum(getattr(model, counted) for model in visited.models.values()) == len(sent)
    assert set(visited.models) == {"recommender@1", "recommender@2"}
    assert all(0 < model.click_through <= 1 for model in visited.models.values())


def test_the_same_seed_sends_the_same_visitors_and_a_later_crowd_sends_others(shop: Shop) -> None:
    def sent(first: int) -> list[str]:
        with serving(answer) as server:
            send_crowd(server.url, shop, Crowd(visits=5, at_once=1, seed=3, first=first))
        return [event["event_id"] for event in events_of(server.asked)]

    assert sent(0) == sent(0)
    assert not set(sent(0)) & set(sent(5))


def test_what_is_put_off_or_cut_is_sent_again_with_the_same_ids(shop: Shop) -> None:
    def shaky(asked: Asked, before: int) -> Reply | None:
        if before % 5 == 2:
            return None
        return Reply(503, {}, {"Retry-After": "0"}) if before % 5 == 4 else answer(asked, before)

    with serving(shaky) as server:
        visited = send_crowd(server.url, shop, Crowd(visits=3, at_once=1, seed=3))
    assert visited.visits == 3
    assert visited.put_off > 0
    assert visited.errors
    ids = [event["event_id"] for event in events_of(server.asked)]
    assert visited.events == len(set(ids)) < len(ids)


def test_a_failed_recommendation_is_counted_and_the_visit_goes_on(shop: Shop) -> None:
    def broken(asked: Asked, before: int) -> Reply:
        return Reply(500, {}) if asked.path == "/v1/recommend" else answer(asked, before)

    with serving(broken) as server:
        visited = send_crowd(server.url, shop, CROWD)
    assert visited.visits == 20
    assert visited.errors["recommend: status 500"] > 0
    assert not visited.models


def test_it_ends_when_it_is_told(shop: Shop) -> None:
    with serving(answer) as server:
        visited = send_crowd(
            server.url,
            shop,
            Crowd(visits=10_000, at_once=1, seed=3),
            is_over=lambda: len(server.asked) > 30,
        )
    assert 0 < visited.visits < 100


def test_wrong_counts_and_a_folder_without_a_shop_are_told(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at_once is 0: give 1 or more"):
        send_crowd("http://127.0.0.1:1", shop, Crowd(at_once=0))
    with pytest.raises(UsageError, match="wherry simulate"):
        open_shop(tmp_path)


def test_a_server_that_is_not_there_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.simulate.crowd._PATIENCE_SECONDS", 0.0)
    with pytest.raises(WherryError, match="Nothing answered at"):
        send_crowd("http://127.0.0.1:1", shop, CROWD)
