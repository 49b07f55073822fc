"""The workers of a project's server: one port, one log, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.request import urlopen

import pytest

from wherry.project.workers import HOLDINGS, worker_count
from wherry.serve import Holdings


def test_without_a_number_there_is_a_worker_for_each_core() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) == len(os.sched_getaffinity(0))


def test_two_workers_answer_on_one_port_and_tell_the_figures_of_both(shop: Path) -> None:
    command = ("-m", "wherry", "serve", "--port", "0", "--workers", "2", "--json", "-C", str(shop))
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = "".join(server.stdout.readline() for _ in range(3))
            address = json.loads(told)["address"]
            with urlopen(f"{address}/v1/recommend?k=3", timeout=20) as answer:
                assert len(json.load(answer)["items"]) == 3
            with urlopen(f"{address}/metrics", timeout=20) as answer:
                figures = answer.read().decode()
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    for number in (1, 2):
        assert f'version="1",worker="{number}"' in figures
    assert len(list((shop / ".wherry" / "inbox").glob("serve*.sqlite"))) >= 2  # and the spare's


def workers_of(server: subprocess.Popen[str]) -> dict[int, tuple[int, Path]]:
    """The processes of the workers by their numbers, and where their connections are counted."""
    found = {}
    for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "wherry.project.worker" in words:
            order = json.loads(words[-2])
            found[order["number"]] = (int(pid), Path(order["figures"]) / HOLDINGS)
    return found


def ask_until(is_enough: Callable[[], bool], connections: list[HTTPConnection]) -> list[object]:
    """Ask on each connection in turn; those that were cut are the answer."""
    cut: list[object] = []
    while not is_enough():
        for connection in connections:
            try:
                connection.request("GET", "/v1/recommend?k=3")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
            except (ConnectionError, HTTPException) as error:
                cut.append(error)
                connection.close()
    return cut


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
def test_a_spare_answers_for_a_killed_worker_and_gets_its_share_of_the_clients(shop: Path) -> None:
    command = ("-m", "wherry", "serve", "--port", "0", "--workers", "2", "--json", "-C", str(shop))
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as server:
        connections: list[HTTPConnection] = []
        try:
            assert server.stdout is not None
            told = "".join(server.stdout.readline() for _ in range(3))
            host = json.loads(told)["address"].removeprefix("http://")
            connections += [HTTPConnection(host, timeout=20) for _ in range(16)]
            holdings = Holdings(workers_of(server)[1][1])

            def are_spread(*workers: int) -> bool:
                held = holdings.accepting()
                return set(held) == set(workers) and min(held.values()) >= 4

            assert ask_until(partial(are_spread, 1, 2), connections) == []
            while not workers_of(server)[1][1].with_name("3.sock").exists():
                pass  # the spare is being started
            os.kill(workers_of(server)[1][0], signal.SIGKILL)
            rounds = iter((False, True))
            assert ask_until(lambda: next(rounds), connections)  # those that it held
            # The spare gets its share: who is to move over is told to, and loses no request.
            assert ask_until(partial(are_spread, 2, 3), connections) == []
        finally:
            for connection in connections:
                connection.close()
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_a_worker_that_nobody_ordered_says_how_it_is_started() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wherry.project.worker"],
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "wherry serve --workers" in done.stderr


@pytest.mark.parametrize("count", ["-1", "257"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(count: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "serve", "--workers", count],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
