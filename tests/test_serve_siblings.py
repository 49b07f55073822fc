"""Siblings: any worker tells the figures of all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from wherry.serve.metrics import Metrics
from wherry.serve.siblings import Siblings


def worker(folder: Path, number: int, answers: int) -> Siblings:
    metrics = Metrics()
    for _ in range(answers):
        metrics.answered("/v1/recommend", 200, 0.002)
    return Siblings(folder, number, metrics.registry)


def test_one_worker_tells_the_figures_of_all(tmp_path: Path) -> None:
    async def ask() -> str:
        workers = [worker(tmp_path, 1, 3), worker(tmp_path, 2, 5)]
        for each in workers:
            await each.start()
        text = await workers[0].text()
        for each in workers:
            await each.stop()
        return text.decode()

    text = asyncio.run(ask())
    line = 'wherry_requests_total{route="/v1/recommend",status="200",worker="%d"} %.1f'
    assert line % (1, 3) in text
    assert line % (2, 5) in text
    assert text.count("# TYPE wherry_requests_total counter") == 1
    assert 'wherry_request_seconds_count{route="/v1/recommend",worker="2"} 5.0' in text


def test_a_worker_that_was_killed_is_left_out_and_replaced_by_its_successor(
    tmp_path: Path,
) -> None:
    async def ask() -> tuple[str, str]:
        first, killed = worker(tmp_path, 1, 3), worker(tmp_path, 2, 5)
        await first.start()
        await killed.start()
        assert killed._server is not None
        killed._server.close()  # its socket's file stays
        without = await first.text()
        successor = worker(tmp_path, 2, 1)
        await successor.start()
        again = await first.text()
        for each in (first, successor):
            await each.stop()
        return without.decode(), again.decode()

    without, again = asyncio.run(ask())
    assert 'worker="1"' in without
    assert 'worker="2"' not in without
    assert 'worker="2"} 1.0' in again
