from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from wherry.domain import DEFAULT_TENANT
from wherry.serve.metrics import Metrics
from wherry.serve.shadow import ShadowQueue


def test_what_is_put_is_done_in_order_and_requests_go_in_between() -> None:
    done: list[str] = []

    async def life() -> None:
        queue = ShadowQueue(Metrics())
        running = asyncio.create_task(queue.run())
        for name in "ab":
            queue.put(DEFAULT_TENANT, lambda name=name: done.append(name))
        assert done == []
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(lambda: done.append("request")))
        while len(done) < 3:
            await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(life())
    assert [each for each in done if each != "request"] == ["a", "b"]
    assert done[-1] != "request"


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    metrics = Metrics()
    queue = ShadowQueue(metrics, most_waiting=2)
    done: list[int] = []
    for number in range(5):
        queue.put(DEFAULT_TENANT, lambda number=number: done.append(number))
    assert b'wherry_shadow_dropped_total{tenant="default"} 3.0' in metrics.text()
    queue.do_next()
    queue.do_next()
    assert done == [0, 1]


def test_what_fails_is_told_and_the_next_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    queue = ShadowQueue(metrics)
    queue.put(DEFAULT_TENANT, lambda: 1 / 0)
    done: list[int] = []
    queue.put(DEFAULT_TENANT, lambda: done.append(1))
    queue.do_next()
    queue.do_next()
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text
