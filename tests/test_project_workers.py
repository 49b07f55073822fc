"""The workers of a project's server: one port, one log, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from wherry.project.workers import worker_count


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
    assert len(list((shop / ".wherry" / "inbox").glob("serve*.sqlite"))) == 2


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
