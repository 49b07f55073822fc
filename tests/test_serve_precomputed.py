"""Precomputed lists: written, found by hash, taken out, and answered with over HTTP."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_shop import IDS, Client, answerer, release
from wherry.domain import DEFAULT_TENANT, TenantId, VisitorId
from wherry.errors import ModelError
from wherry.learn.answer import Answerer
from wherry.learn.bulk import heads
from wherry.learn.filling import SPARE
from wherry.learn.questions import Questions
from wherry.serve import Limits, Recommender, create_app
from wherry.serve.precomputed import (
    Kind,
    Lists,
    Precomputed,
    PrecomputedLists,
    Table,
    land,
    read_pointer,
    without,
)

NOW = datetime(2026, 2, 1)
SESSIONS = [["i5", "i21"], ["i30"]]
KEYS, ROWS = ["anna", "bert", "cleo"], [0, 1, 0]


def table(name: str, model: str = "recommender@3", k: int = 3) -> Precomputed:
    return Precomputed(
        kind=Kind.VISITORS, folder=f"visitors-{name}", model=model, snapshot=1, k=k,
        keys=len(KEYS), lists=len(SESSIONS), made_at=NOW,
    )  # fmt: skip


def lists(shop: Answerer, k: int = 3) -> Lists:
    questions = Questions(np.array([5, 21, 30], dtype=np.int32), np.array([0, 2, 3]))
    bought = np.array([True, False, False])
    return Lists(*heads(shop, questions, k), questions.offsets, questions.items, bought)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    land(tmp_path, DEFAULT_TENANT, table("a"), KEYS, ROWS, lists(answerer()))
    return tmp_path


def find(home: Path, visitor: str, model: str = "recommender@3") -> Any:
    return PrecomputedLists(home)(DEFAULT_TENANT, model, VisitorId(visitor))


def test_each_key_finds_its_session_and_its_list(home: Path) -> None:
    found = find(home, "cleo")
    assert found.session.tolist() == [5, 21]
    assert found.bought.tolist() == [5]
    assert np.array_equal(found.made.items, lists(answerer()).items[0])
    assert find(home, "bert").session.tolist() == [30]
    assert find(home, "dora") is None
    assert find(home, "") is None


def test_a_list_says_whether_the_model_ranks_more(tmp_path: Path) -> None:
    for reach, is_all in ((12, False), (4, True)):
        shop = answerer(reach=reach)
        land(tmp_path, DEFAULT_TENANT, table(str(reach)), KEYS, ROWS, lists(shop))
        made = find(tmp_path, "anna").made
        assert made.is_all is is_all
        assert len(made.items) == (min(9, 3 + SPARE) if is_all else 3 + SPARE)


def test_many_keys_are_all_found(tmp_path: Path) -> None:
    keys = [f"visitor {n}" for n in range(5_000)]
    rows = [n % 2 for n in range(5_000)]
    land(tmp_path, DEFAULT_TENANT, table("many"), keys, rows, lists(answerer()))
    lookup = PrecomputedLists(tmp_path)
    found = [lookup(DEFAULT_TENANT, "recommender@3", VisitorId(key)) for key in keys]
    assert [len(each.session) for each in found if each] == [2, 1] * 2_500


def test_keys_with_one_half_of_a_hash_in_common_are_told_apart(home: Path) -> None:
    info = read_pointer(home, DEFAULT_TENANT, Kind.VISITORS)
    assert info is not None
    opened = Table.open(home / DEFAULT_TENANT / info.folder, info)
    at = opened.place("bert")
    assert at is not None
    high = np.repeat(opened.high[at], 3)
    low = np.array([1, 2, opened.low[at]], dtype=np.uint64)
    rows = np.array([0, 0, 1], dtype=np.int32)
    assert Table(info, high, low, rows, opened.lists).place("bert") == 2
    assert Table(info, high[:2], low[:2], rows, opened.lists).place("bert") is None


def test_no_key_is_kept_as_it_is(home: Path) -> None:
    for path in home.rglob("*"):
        assert not path.is_file() or b"anna" not in path.read_bytes()


def test_a_table_speaks_for_the_release_that_made_it_alone(home: Path) -> None:
    assert find(home, "anna", "recommender@4") is None
    assert PrecomputedLists(home)(TenantId("north"), "recommender@3", VisitorId("anna")) is None


def test_a_new_table_is_taken_up_and_the_old_one_goes(home: Path) -> None:
    lookup = PrecomputedLists(home)
    assert lookup(DEFAULT_TENANT, "recommender@3", VisitorId("anna")) is not None
    land(home, DEFAULT_TENANT, table("b", "recommender@4"), ["dora"], [1], lists(answerer()))
    assert lookup(DEFAULT_TENANT, "recommender@3", VisitorId("anna")) is None
    assert lookup(DEFAULT_TENANT, "recommender@4", VisitorId("dora")) is not None
    assert [path.name for path in (home / "default").glob("*/")] == ["visitors-b"]


def test_who_is_taken_out_is_gone_with_the_session_that_nobody_else_had(home: Path) -> None:
    assert without(home, DEFAULT_TENANT, Kind.VISITORS, ["bert", "nobody"], "visitors-b")
    assert find(home, "bert") is None
    assert find(home, "anna").session.tolist() == [5, 21]
    assert find(home, "cleo").bought.tolist() == [5]
    info = read_pointer(home, DEFAULT_TENANT, Kind.VISITORS)
    assert info is not None
    assert (info.keys, info.lists) == (2, 1)
    kept = np.load(home / "default" / "visitors-b" / "session_items.npy")
    assert kept.tolist() == [5, 21]
    assert not without(home, DEFAULT_TENANT, Kind.VISITORS, ["bert"], "visitors-c")
    assert not without(home, DEFAULT_TENANT, Kind.ITEMS, ["bert"], "items-c")


def test_nobody_is_left_after_the_last_is_taken_out(home: Path) -> None:
    assert without(home, DEFAULT_TENANT, Kind.VISITORS, KEYS, "visitors-b")
    assert [find(home, key) for key in KEYS] == [None] * 3


def test_a_damaged_table_is_as_if_it_were_not_there(home: Path) -> None:
    (home / "default" / "visitors-a" / "rows.npy").unlink()
    assert find(home, "anna") is None
    (home / "default" / "visitors.json").write_text("{")
    assert find(home, "anna") is None
    with pytest.raises(ModelError, match="wherry precompute"):
        read_pointer(home, DEFAULT_TENANT, Kind.VISITORS)


class Counting:
    """A recommender whose model counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        shop = answerer(hide_purchased=True)
        ask, score = shop.model.recommend, shop.model.score

        def recommend(*args: Any, **details: Any) -> Any:
            self.asked += 1
            return ask(*args, **details)

        def scores(*args: Any, **details: Any) -> Any:
            self.asked += 1
            return score(*args, **details)

        shop.model.recommend, shop.model.score = recommend, scores  # type: ignore[method-assign]
        self.recommender = Recommender(shop, version=3)


@pytest.mark.parametrize(
    ("rest", "is_asked"),
    [
        ({}, False),
        ({"k": 1}, False),
        ({"exclude": ["i22", "i19"]}, False),
        ({"k": 20}, True),
        ({"filter": {"category": "c1"}}, True),
    ],
)
def test_over_http_it_is_what_the_model_says_of_that_session(
    home: Path, rest: dict[str, Any], is_asked: bool
) -> None:
    counting = Counting()
    app = create_app(
        lambda: {DEFAULT_TENANT: (release(3), Path())},
        lambda *_: counting.recommender,
        limits=Limits(k=3),
        visitors=PrecomputedLists(home),
        refresh_seconds=3600,
    )
    with Client(app) as client:
        counting.asked = 0
        made = client.post("/v1/recommend", json={"visitor_id": "anna", **rest}).json()
        assert (counting.asked > 0) is is_asked
        session = {"session_items": ["i5", "i21"], "purchased": ["i5"], **rest}
        now = client.post("/v1/recommend", json=session).json()
    assert (made["source"], now["source"]) == ("precomputed", "model")
    assert made["model"] == "recommender@3"
    assert {**made, "source": "", "request_id": ""} == {**now, "source": "", "request_id": ""}


def test_over_http_given_items_go_before_and_strangers_get_what_is_popular(home: Path) -> None:
    app = create_app(
        lambda: {DEFAULT_TENANT: (release(3), Path())},
        lambda *_: Recommender(answerer(), version=3),
        limits=Limits(k=3),
        visitors=PrecomputedLists(home),
        refresh_seconds=3600,
    )
    with Client(app) as client:
        given = client.get("/v1/recommend?visitor_id=anna&items=i30").json()
        assert (given["source"], given["items"][0]["item"]) == ("model", "i29")
        stranger = client.get("/v1/recommend?visitor_id=dora").json()
        assert (stranger["source"], stranger["fallback"]) == ("model", "popular")
        told = client.get("/v1/recommend?visitor_id=anna&explain=true").json()
        assert told["items"][0]["item"] == "i21"
        assert "because you looked at it" in told["items"][0]["why"]["words"]
        assert "Item 21" in told["items"][1]["why"]["words"]
    assert len(IDS) == 40
