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
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest

from serve_shop import write_release
from wherry.errors import UsageError, WherryError
from wherry.serve import serve

PROGRAM = """
import sys
from pathlib import Path
from serve_shop import load, release
from wherry.serve import SessionItems, create_app, serve

folder = Path(sys.argv[1])

def champions():
    version = int((folder / "champion").read_text())
    return {"default": (release(version), folder / f"v{version}")}

def slow(tenant, session):
    (folder / "asked").touch()
    while not (folder / "go on").exists():
        pass
    return SessionItems(("i21",))

app = create_app(champions, load, sessions=slow, refresh_seconds=0.05)
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
    for version in (1, 2):
        write_release(tmp_path / f"v{version}")
    choose(tmp_path, 1)
    server = Running(tmp_path)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def models_seen(host: str, is_over: threading.Event, seen: list[object]) -> None:
    """Ask over one connection that is kept, until told to stop; keep what answered."""
    connection = http.client.HTTPConnection(host, timeout=10)
    while not is_over.is_set():
        try:
            connection.request("GET", "/v1/recommend?items=i21")
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
