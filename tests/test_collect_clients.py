"""The clients that shops have, unmodified, against a server in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from snowplow_tracker import Emitter, SelfDescribing, SelfDescribingJson, Subject, Tracker
from snowplow_tracker import PageView as SnowplowPageView
from snowplow_tracker import StructuredEvent as SnowplowStructuredEvent

from wherry.collect.drain import drain
from wherry.collect.keys import Keys
from wherry.domain import TenantId
from wherry.lake import Lake
from wherry.project import Project

PROGRAM = """
import sys
from wherry.project import Project
Project.open(sys.argv[1]).collect(port=0, on_ready=lambda address: print(address, flush=True))
"""
MADE = datetime(2026, 2, 1, 10, tzinfo=UTC)


class Row(NamedTuple):
    """What a client's event is in the lake."""

    tenant: str
    event_id: str
    event_type: str
    occurred_at: datetime
    visitor_id: str
    session_id: str | None
    items: list[dict[str, Any]]
    query: str | None
    properties: dict[str, Any]


class Shop:
    """A project whose server runs until its events are looked at."""

    def __init__(self, folder: Path) -> None:
        self.project = Project.create(folder)
        keys = Keys.open(self.project.home.keys)
        self.key, _ = keys.make(TenantId("north"), "write", label="", now=datetime(2026, 1, 1))
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PATH": ""},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.host = self.address.removeprefix("http://")

    def rows(self) -> list[Row]:
        """Stop the server, drain its inbox, and return what the lake then holds, in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        now = datetime.now(UTC).replace(tzinfo=None)
        with Lake(self.project.home.lake).writer() as con:
            loads = drain(con, self.project.home.inbox, now=now)
            assert sum(load.rejected for load in loads) == 0
            found = con.sql(
                f"SELECT {', '.join(Row._fields)} FROM lake.raw.events "
                "ORDER BY event_type, event_id"
            ).fetchall()
            kept = con.sql("SELECT body, context FROM lake.raw.deliveries").fetchall()
        assert kept
        assert not any(self.key in f"{body!r}{context}" for body, context in kept)
        return [Row(*row[:-1], json.loads(row[-1] or "{}")) for row in found]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop")
    try:
        yield shop
    finally:
        shop.process.kill()
        shop.process.communicate()


@pytest.mark.parametrize("module", [segment, rudder], ids=["segment", "rudder"])
def test_the_clients_of_segment_and_rudderstack_send_batches(shop: Shop, module: Any) -> None:
    failures: list[Exception] = []
    client = module.Client(
        shop.key,
        host=shop.address,
        gzip=True,
        max_retries=1,
        on_error=lambda error, batch: failures.append(error),
    )
    order = {
        "order_id": "o1",
        "products": [{"product_id": "tent", "price": 199.0, "quantity": 1}, {"product_id": "mat"}],
    }
    client.track(user_id="anna", event="Order Completed", properties=order, message_id="m1")
    view = {"product_id": "tent", "price": 199.0}
    for _ in range(2):  # sent twice, counted once
        client.track(anonymous_id="d1", event="Product Viewed", properties=view, message_id="m2")
    client.track(
        user_id="anna",
        event="Products Searched",
        properties={"query": "tents"},
        message_id="m3",
        timestamp=MADE,
    )
    client.page(user_id="anna", name="Home", properties={"url": "/"}, message_id="m4")
    client.identify(user_id="anna", traits={"plan": "gold"}, message_id="m5")
    client.flush()
    client.join()
    assert not failures
    rows = {row.event_type: row for row in shop.rows()}
    assert sorted(rows) == ["identify", "page", "purchase", "search", "view"]
    assert {row.tenant for row in rows.values()} == {"north"}
    assert sorted(row.event_id for row in rows.values()) == ["m1", "m2", "m3", "m4", "m5"]
    assert rows["purchase"].items == [
        {"id": "tent", "price": 199.0, "quantity": 1.0},
        {"id": "mat", "price": None, "quantity": None},
    ]
    assert rows["purchase"].properties["transaction_id"] == "o1"
    assert (rows["view"].visitor_id, rows["search"].visitor_id) == ("d1", "anna")
    assert rows["search"].query == "tents"
    # Its time, less the moment that the request took.
    assert timedelta(0) <= rows["search"].occurred_at - MADE.replace(tzinfo=None)
    assert rows["search"].occurred_at - MADE.replace(tzinfo=None) < timedelta(seconds=30)
    assert rows["page"].properties["name"] == "Home"
    assert rows["identify"].properties["plan"] == "gold"


def test_the_client_of_segment_learns_of_a_wrong_key(shop: Shop) -> None:
    failures: list[Exception] = []
    client = segment.Client(
        "wk_wrong", host=shop.address, max_retries=0, on_error=lambda e, batch: failures.append(e)
    )
    client.track(user_id="anna", event="x")
    client.flush()
    client.join()
    assert [getattr(each, "status", None) for each in failures] == [401]


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize("is_encoded", [True, False])
def test_the_tracker_of_snowplow_sends_by_post_and_get(
    shop: Shop, method: Any, is_encoded: bool
) -> None:
    sent: list[Any] = []
    failures: list[Any] = []
    emitter = Emitter(
        shop.host.partition(":")[0],
        protocol="http",
        port=int(shop.host.partition(":")[2]),
        method=method,
        on_success=sent.append,
        on_failure=lambda count, events: failures.append(events),
        session=requests.Session(),
    )
    subject = Subject()
    subject.set_user_id("anna").set_domain_session_id("s1")
    tracker = Tracker("shop", emitter, subject, app_id=shop.key, encode_base64=is_encoded)
    maker = "com.snowplowanalytics.snowplow.ecommerce"
    product = SelfDescribingJson(
        f"iglu:{maker}/product/jsonschema/1-0-0", {"id": "tent", "price": 199, "quantity": 2}
    )
    tracker.track(SnowplowPageView(page_url="https://shop.example/", page_title="Home"))
    tracker.track(SnowplowStructuredEvent(category="shop", action="Zoom", label="tent"))
    schema = f"iglu:{maker}/snowplow_ecommerce_action/jsonschema/1-0-2"
    for kind in ("product_view", "add_to_cart"):
        told = SelfDescribingJson(schema, {"type": kind})
        tracker.track(SelfDescribing(event_json=told, context=[product]))
    tracker.flush()
    emitter.flush()
    assert not failures
    assert sum(len(each) for each in sent) == 4
    ids = {each["eid"] for batch in sent for each in batch}
    rows = {row.event_type: row for row in shop.rows()}
    assert sorted(rows) == ["add", "page", "view", "zoom"]
    assert {row.event_id for row in rows.values()} == ids
    assert {(row.tenant, row.visitor_id, row.session_id) for row in rows.values()} == {
        ("north", "anna", "s1")
    }
    for kind in ("view", "add"):
        assert rows[kind].items == [{"id": "tent", "price": 199.0, "quantity": 2.0}]
    assert rows["page"].properties == {"url": "https://shop.example/", "title": "Home"}
    now = datetime.now(UTC).replace(tzinfo=None)
    assert all(now - row.occurred_at < timedelta(minutes=1) for row in rows.values())


def test_the_measurement_protocol_the_pixel_and_curl_s_way(shop: Shop) -> None:
    session = requests.Session()
    ga4 = {
        "client_id": "c1",
        "timestamp_micros": int(MADE.timestamp() * 1e6),
        "events": [{"name": "add_to_cart", "params": {"items": [{"item_id": "tent", "price": 9}]}}],
    }
    for _ in range(2):
        answer = session.post(f"{shop.address}/mp/collect?api_secret={shop.key}", json=ga4)
        assert (answer.status_code, answer.content) == (204, b"")
    picture = session.get(f"{shop.address}/v1/pixel?visitor_id=p1&item_id=mat&key={shop.key}")
    assert picture.headers["content-type"] == "image/gif"
    event = {"event_type": "click", "visitor_id": "n1", "event_id": "e1", "item_id": "mat"}
    head = {"Authorization": f"Bearer {shop.key}"}
    lines = "\n".join(json.dumps(event | {"event_id": f"e{n}"}) for n in (1, 1, 2))
    answer = session.post(f"{shop.address}/v1/events", data=lines, headers=head)
    told = answer.json()
    assert (told["taken"], told["known"]) == (2, 1)
    session.close()
    rows = shop.rows()
    assert [(row.event_type, row.visitor_id, row.items[0]["id"]) for row in rows] == [
        ("add", "c1", "tent"),
        ("click", "n1", "mat"),
        ("click", "n1", "mat"),
        ("view", "p1", "mat"),
    ]
    assert rows[0].occurred_at == MADE.replace(tzinfo=None)
