"""Workers: processes that are replaced where they end, and drained together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import WherryError
from wherry.serve.workers import LONGEST_PAUSE, Workers, pause_after

OBEYS = """
import signal, sys, threading
from pathlib import Path
folder, number = Path(sys.argv[1]), sys.argv[2]
with (folder / f"born-{number}").open("a") as file:
    file.write("x")
is_over, may_go = threading.Event(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: is_over.set())
def listen():
    for line in sys.stdin:
        assert line == "go\\n"
        may_go.set()
    is_over.set()
threading.Thread(target=listen, daemon=True).start()
while number == "2" and not (folder / "fell").exists():
    is_over.wait(0.02)  # the first one ends before this one is ready
print("warm", flush=True)
while not may_go.wait(0.02) and not is_over.is_set():
    pass
if may_go.is_set():
    print("ready", flush=True)
    with (folder / f"went-{number}").open("a") as file:
        file.write("x")
    if number == "1" and not (folder / "fell").exists():
        (folder / "fell").touch()
        sys.exit(7)
while not is_over.wait(0.02):
    if (folder / f"fall-{number}").exists():
        (folder / f"fall-{number}").unlink()
        sys.exit(8)
(folder / f"drained-{number}").touch()
"""


def crew(folder: Path, program: str, count: int, **more: Any) -> Workers:
    return Workers(lambda n: [sys.executable, "-c", program, str(folder), str(n)], count, **more)


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_worker_that_ends_is_started_again_and_all_are_drained(tmp_path: Path) -> None:
    workers, told = crew(tmp_path, OBEYS, 2), threading.Event()
    running = threading.Thread(target=workers.run, args=(told.set,))
    running.start()
    assert told.wait(20)  # both were ready once
    while not (tmp_path / "born-1").exists() or (tmp_path / "born-1").read_text() != "xx":
        assert running.is_alive()
        running.join(0.02)
    workers.stop()
    running.join(30)
    assert not running.is_alive()
    assert (tmp_path / "born-2").read_text() == "x"
    assert (tmp_path / "drained-2").exists()


def test_a_spare_takes_the_place_of_a_worker_that_ends_and_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "fell").touch()
    ended: list[int] = []
    asked: list[bool] = []

    def rank(pid: int, is_behind: bool) -> bool:
        asked.append(is_behind)
        return len(asked) != 2  # it can't be done just then

    told = threading.Event()
    workers = crew(tmp_path, OBEYS, 2, spares=1, on_end=ended.append, rank=rank)
    running = threading.Thread(target=workers.run, args=(told.set,))
    running.start()

    def wait_until(is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + 30
        while not is_so():
            assert running.is_alive()
            assert time.monotonic() < until
            running.join(0.02)

    def wait_for(name: str, times: int) -> None:
        wait_until(lambda: text(tmp_path / name) == "x" * times)

    assert told.wait(20)
    wait_for("born-3", 1)
    wait_until(lambda: asked == [True, False, False])  # it got ready behind those that answer
    assert not (tmp_path / "went-3").exists()  # it stands by
    (tmp_path / "fall-1").touch()
    wait_for("went-3", 1)
    wait_for("born-1", 2)
    assert ended == [1]
    assert text(tmp_path / "went-1") == "x"  # what was started anew stands by in its turn
    (tmp_path / "fall-3").touch()
    wait_for("went-1", 2)
    workers.stop()
    running.join(30)
    assert not running.is_alive()


def test_a_worker_that_never_was_ready_ends_all_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(WherryError, match="Worker 1 ended with code 3"):
        crew(tmp_path, "import sys; sys.exit(3)", 1).run()


def test_workers_end_when_the_process_that_started_them_has_gone(tmp_path: Path) -> None:
    (tmp_path / "fell").touch()
    program = f"""
import os, sys
from wherry.serve.workers import Workers
Workers(lambda n: [sys.executable, "-c", {OBEYS!r}, {str(tmp_path)!r}, str(n)], 2).run(
    lambda: os.kill(os.getpid(), 9))
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    gone = threading.Event()
    for _ in range(500):
        if all((tmp_path / f"drained-{n}").exists() for n in (1, 2)):
            break
        gone.wait(0.02)
    assert all((tmp_path / f"drained-{n}").exists() for n in (1, 2))


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses = [pause_after(failures) for failures in range(10)]
    assert pauses[:4] == [0.0, 0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST_PAUSE
