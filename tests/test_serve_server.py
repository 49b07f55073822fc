from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import uvicorn

from serve_shop import release, write_release
from wherry.domain import DEFAULT_TENANT, Mode, Rollout, draw
from wherry.errors import UsageError, WherryError
from wherry.registry import Challenger, Rollouts
from wherry.serve import serve

PROGRAM = """
import sys
from pathlib import Path
from typing import Any
from serve_shop import load, release
from wherry.registry import Rollouts
from wherry.serve import Recommender, SessionItems, create_app, serve

folder = Path(sys.argv[1])

rollouts = Rollouts(folder / "rollouts", folder)

def champions():
    version = int((folder / "champion").read_text())
    return {"default": (release(version), folder / f"v{version}")}

class Failing(Recommender):
    def recommend_json(self, query, **more):
        raise ZeroDivisionError

def load_one(release, folder):
    found = load(release, folder)
    if release.version == 3:
        return Failing(found.answerer, tenant=found.tenant, version=3)
    return found

def slow(tenant, session):
    (folder / "asked").touch()
    while not (folder / "go on").exists():
        pass
    return SessionItems(("i21",))

app = create_app(
    champions, load_one, sessions=slow, refresh_seconds=0.05, rollouts=rollouts.read
)
serve(app, port=0, on_ready=lambda address: print(address, flush=True))
print("stopped", flush=True)
"""


def choose(folder: Path, version: int) -> None:
    """Move the champion in one step, as a registry does."""
    (folder / "next").write_text(str(version))
    (folder / "next").replace(folder / "champion")


class Running:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parent
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": f"{here}:{here.parent / 'src'}", "PATH": ""},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.host = self.address.removeprefix("http://")

    def stop(self, name: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(name)
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, out.strip()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    for version in (1, 2, 3):
        write_release(tmp_path / f"v{version}")
    choose(tmp_path, 1)
    server = Running(tmp_path)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def models_seen(host: str, is_over: threading.Event, seen: list[object], more: str = "") -> None:
    """Ask over one connection that is kept, until told to stop; keep what answered."""
    connection = http.client.HTTPConnection(host, timeout=10)
    while not is_over.is_set():
        try:
            connection.request("GET", f"/v1/recommend?items=i21{more}")
            answer = connection.getresponse()
            body = json.loads(answer.read())
            seen.append(body["model"] if answer.status == 200 else answer.status)
        except (OSError, http.client.HTTPException) as error:
            seen.append(error)
            return
    connection.close()


def wait_for(seen: list[object], model: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not (seen and seen[-1] == model):
        assert time.monotonic() < deadline, f"{model} never answered; last: {seen[-1:]}"
        threading.Event().wait(0.01)


def test_champions_are_swapped_under_load_and_no_request_is_dropped(running: Running) -> None:
    is_over = threading.Event()
    lists: list[list[object]] = [[], [], []]
    threads = [
        threading.Thread(target=models_seen, args=(running.host, is_over, seen)) for seen in lists
    ]
    for thread in threads:
        thread.start()
    for version in (2, 1, 2):
        choose(running.folder, version)
        for seen in lists:
            wait_for(seen, f"recommender@{version}")
    is_over.set()
    for thread in threads:
        thread.join()
    for seen in lists:
        assert set(seen) == {"recommender@1", "recommender@2"}
        swaps = sum(one != other for one, other in pairwise(seen))
        assert swaps == 3  # never back and forth: a swap holds for every request after it
    assert running.stop(signal.SIGTERM) == (0, "stopped")


def try_release(folder: Path, version: int, share: float = 0.5) -> Rollouts:
    """Begin to try a version beside the champion."""
    rollouts = Rollouts(folder / "rollouts", folder)
    rollout = Rollout(
        rollout_id="r1",
        tenant=DEFAULT_TENANT,
        mode=Mode.CANARY,
        version=version,
        share=share,
        started_at=datetime(2026, 1, 1),
    )
    rollouts.start(Challenger(rollout, release(version), folder / f"v{version}"))
    return rollouts


def drawn_visitors(share: float = 0.5) -> tuple[str, str]:
    """One visitor that falls to the challenger of the rollout above, and one that doesn't."""
    names = [f"visitor-{number}" for number in range(50)]
    tried = [name for name in names if draw("r1", f"v:{name}") < share]
    return tried[0], next(name for name in names if name not in tried)


def test_no_request_is_dropped_while_a_release_is_tried_promoted_and_another_withdrawn(
    running: Running,
) -> None:
    tried, other = drawn_visitors()
    is_over = threading.Event()
    lists: dict[str, list[object]] = {tried: [], other: []}
    threads = [
        threading.Thread(
            target=models_seen, args=(running.host, is_over, seen, f"&visitor_id={visitor}")
        )
        for visitor, seen in lists.items()
    ]
    for thread in threads:
        thread.start()
    rollouts = try_release(running.folder, 2)
    wait_for(lists[tried], "recommender@2")
    assert set(lists[other]) <= {"recommender@1"}
    choose(running.folder, 2)  # promoted: first the champion moves, then the rollout ends
    wait_for(lists[other], "recommender@2")
    rollouts.end(DEFAULT_TENANT, "r1")
    try_release(running.folder, 1)  # tried again, and withdrawn
    wait_for(lists[tried], "recommender@1")
    rollouts.end(DEFAULT_TENANT, "r1")
    wait_for(lists[tried], "recommender@2")
    is_over.set()
    for thread in threads:
        thread.join()
    for seen in lists.values():
        assert set(seen) <= {"recommender@1", "recommender@2"}  # no error, none dropped
    changes = [sum(one != two for one, two in pairwise(seen)) for seen in lists.values()]
    assert changes == [3, 1]  # each visitor stays with a release until it is decided otherwise


def test_two_servers_draw_the_same_visitors(running: Running) -> None:
    try_release(running.folder, 2)
    again = Running(running.folder)
    try:
        answers = []
        for server in (running, again):
            for visitor, model in zip(drawn_visitors(), ("@2", "@1"), strict=True):
                seen: list[object] = []
                is_over = threading.Event()
                asked = (server.host, is_over, seen, f"&visitor_id={visitor}")
                thread = threading.Thread(target=models_seen, args=asked)
                thread.start()
                wait_for(seen, f"recommender{model}")
                is_over.set()
                thread.join()
                answers.append(seen[-1])
    finally:
        again.stop(signal.SIGTERM)
    assert answers == ["recommender@2", "recommender@1"] * 2


def test_no_visitor_sees_the_errors_of_a_challenger(running: Running) -> None:
    try_release(running.folder, 3)
    tried, _ = drawn_visitors()
    deadline = time.monotonic() + 20
    while failures(running) < 5:
        assert time.monotonic() < deadline
        url = f"{running.address}/v1/recommend?items=i21&visitor_id={tried}"
        with urlopen(url, timeout=10) as answer:
            assert json.load(answer)["model"] == "recommender@1"


def failures(running: Running) -> float:
    """How many answers the challenger has failed to give."""
    with urlopen(f"{running.address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("wherry_challenger_failures_total{")]
    return float(counts[0].split()[-1]) if counts else 0.0


def test_a_torn_release_leaves_the_old_one_answering(running: Running) -> None:
    (running.folder / "v2" / "popularity.npy").write_bytes(b"torn")
    choose(running.folder, 2)
    deadline = time.monotonic() + 20
    while (status := ready(running))["error"] is None:
        assert time.monotonic() < deadline
    assert status["model"] == "recommender@1"
    assert "popularity.npy" in status["error"]


def ready(running: Running) -> dict[str, str]:
    with urlopen(f"{running.address}/readyz", timeout=10) as answer:
        status: dict[str, str] = json.load(answer)["tenants"]["default"]
    return status


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_is_being_answered_is_finished_before_the_server_stops(
    running: Running, name: signal.Signals
) -> None:
    connection = http.client.HTTPConnection(running.host, timeout=20)
    connection.request("GET", "/v1/recommend?session_id=s1")
    deadline = time.monotonic() + 20
    while not (running.folder / "asked").exists():
        assert time.monotonic() < deadline
    running.process.send_signal(name)
    (running.folder / "go on").touch()
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["items"][0]["item"] == "i21"
    connection.close()
    out, _ = running.process.communicate(timeout=30)
    assert (running.process.returncode, out.strip()) == (0, "stopped")


def test_a_port_in_use_is_said_at_once_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} .* Choose another"):
            serve(nothing, port=port)


def test_a_host_that_is_not_this_machine_is_said() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        serve(nothing, host="192.0.2.1", port=0)


def test_an_application_that_does_not_start_is_an_error() -> None:
    with pytest.raises(WherryError, match="did not start"):
        serve(nothing, port=0)


async def nothing(scope: object, receive: object, send: object) -> None:
    raise RuntimeError("no application")


def test_no_thread_keeps_the_interpreter_for_long_while_requests_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("Nobody asks.")

    seen: list[float] = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda *_, **__: seen.append(sys.getswitchinterval())
    )
    before = sys.getswitchinterval()
    serve(app, port=0)
    assert seen == [pytest.approx(0.0005)]
    assert sys.getswitchinterval() == pytest.approx(before)
