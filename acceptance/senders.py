"""A collecting server in a process of its own, and clients that note what it acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_ADDRESS = re.compile(r"http://[^/\s]+")


class Server:
    """``wherry collect`` on a project, to be killed at any moment."""

    def __init__(self, folder: Path, *, setup: Callable[[], None] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wherry", "collect", "--project", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=setup,
        )
        assert self.process.stdout is not None
        found = _ADDRESS.search(self.process.stdout.readline())
        if found is None:
            raise SystemExit("The server did not start.")
        self.host = found[0].removeprefix("http://")

    def stop(self, name: signal.Signals = signal.SIGKILL) -> None:
        """End it; by default in the way that gives it no chance."""
        self.process.send_signal(name)
        self.process.communicate(timeout=60)


@contextmanager
def running(folder: Path, *, setup: Callable[[], None] | None = None) -> Iterator[Server]:
    """A server while the body runs; killed at its end if it still runs."""
    server = Server(folder, setup=setup)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


class Senders:
    """Threads that send batches of events, and those that were not acknowledged again.

    ``sent`` are the ids of all events that ever left, ``acknowledged`` those that were taken or
    known by an answer that came whole. ``statuses`` counts the answers.
    """

    def __init__(self, seed: int, *, threads: int = 4) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self._rng = random.Random(seed)
        self._n_threads = threads
        self._again: list[list[str]] = []
        self._lock = threading.Lock()

    @contextmanager
    def sending(self, host: str) -> Iterator[None]:
        """Send while the body runs; a server that is gone ends it as well."""
        is_over = threading.Event()
        threads = [
            threading.Thread(target=self._send, args=(host, is_over, self._rng.random()))
            for _ in range(self._n_threads)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def _send(self, host: str, is_over: threading.Event, seed: float) -> None:
        rng = random.Random(seed)
        connection = http.client.HTTPConnection(host, timeout=60)
        while not is_over.is_set():
            names = self._next(rng)
            try:
                status = self.post(connection, names)
            except (OSError, http.client.HTTPException):
                self._keep(names)
                break
            if status == 503:
                self._keep(names)
                is_over.wait(0.01)
        connection.close()

    def _next(self, rng: random.Random) -> list[str]:
        with self._lock:
            if self._again and rng.random() < 0.5:
                return self._again.pop()
            return [f"{rng.getrandbits(96):024x}" for _ in range(rng.choice((1, 1, 3, 20)))]

    def _keep(self, names: list[str]) -> None:
        with self._lock:
            self._again.append(names)

    def post(self, connection: http.client.HTTPConnection, names: list[str]) -> int:
        """Send one batch and note its answer; returns the status."""
        now = datetime.now(UTC).isoformat()
        events = [
            {"event_id": name, "event_type": "view", "visitor_id": "v", "occurred_at": now}
            for name in names
        ]
        with self._lock:
            self.sent.update(names)
        body = json.dumps(events)
        connection.request("POST", "/v1/events", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        with self._lock:
            self.statuses[answer.status] += 1
            if answer.status == 200:
                if told["taken"] + told["known"] != len(names) or told["refused"]:
                    raise SystemExit(f"The figures do not add up: {told}")
                self.acknowledged.update(names)
        return answer.status
