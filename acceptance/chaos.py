"""Workers and runs killed at random while a shop is served at half of what it can take.

Two workers take events in and answer; a client sends each visitor's event and asks for the
list after it, at half the rate that the same client found to be the most. All the while one
worker after the other is killed with SIGKILL, and so are runs that transform, learn and release.
Then what was acknowledged and what was answered is looked for in the lake.

What must hold: no event that was acknowledged is lost or there twice; no answer is there twice,
and one is missing only if it was given in the last moment before a kill (an answer is never
held up for its log); no request gets a 5xx; no run that was left alone breaks. Connections are
cut by a kill; what they carried is sent again.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import uvloop

from wherry.domain import Outcome
from wherry.errors import WherryError
from wherry.project import Project
from wherry.project.workers import HOLDINGS
from wherry.serve import Holdings
from wherry.simulate import simulate
from wherry.simulate.connection import Connection, Target

SEED = 5
CONNECTIONS = 16
WARM_SECONDS, CALM_SECONDS = 5.0, 10.0
VISITS = 20
"""How many events a visitor sends: a session that never ends is nothing that a shop has, and the
audit would rightly refuse it."""
MEMORY_SECONDS = 2.0
"""How long before a kill an answer may have been given whose log was lost with the process."""

_AFTER = (0, 1, 2, 3, 5, 8, 1_000)
_ADDRESS = re.compile(r"http://([^:/]+):(\d+)")


def accept(data: Path) -> bool:
    """A minute of it: as much as a check of every change has time for."""
    return run(60.0)


def accept_long(data: Path) -> bool:
    """Ten minutes of it."""
    return run(600.0)


def run(seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as name:
        project = make_shop(Path(name))
        rng = random.Random(SEED)
        with serving(project) as (process, target):
            client = Client(target)
            capacity = client.closed(WARM_SECONDS)
            rate = capacity / 2
            print(f"the most: {capacity:,.0f} events and answers a second; sent: {rate:,.0f}")
            kills: list[float] = []
            with client.open(rate):
                time.sleep(CALM_SECONDS)
                calm_until = time.time()
                deadline = time.monotonic() + seconds
                with running_runs(project, rng, deadline) as runs:
                    while time.monotonic() < deadline:
                        time.sleep(rng.uniform(2, 12))
                        kills.append(kill_a_worker(process, rng))
                time.sleep(CALM_SECONDS)
        return judge(project, client, kills, runs, calm_until)


def make_shop(folder: Path) -> Project:
    made = simulate(folder / "data", events=20_000, seed=SEED, start=_days_ago(10), days=10)
    project = Project.create(folder / "shop")
    settings = project.home.settings
    text = settings.read_text().replace(', "knn"', "")
    settings.write_text(f"{text}\n[collect]\nload_every = 2\n")
    project = Project.open(folder / "shop")
    project.import_files("wherry-items", str(made.catalogue))
    project.import_files("wherry", str(made.files[0]))
    if not project.run().passed:
        raise SystemExit("The shop's first run did not pass.")
    return project


def _days_ago(days: int) -> datetime:
    now = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return now - timedelta(days=days)


# The server, its workers and the runs


@contextmanager
def serving(project: Project) -> Iterator[tuple[subprocess.Popen[str], Target]]:
    command = [sys.executable, "-m", "wherry", "serve", "--project", str(project.home.root)]
    command += ["--port", "0", "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = _ADDRESS.search(process.stdout.readline())
        if found is None:
            raise SystemExit("The server did not start.")
        yield process, Target(found[1], int(found[2]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def answering(process: subprocess.Popen[str]) -> list[int]:
    """The processes that the server has started and that answer, not those that stand by."""
    found = []
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in map(int, children):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "wherry.project.worker" in words:
            order = json.loads(words[-2])
            if order["number"] in Holdings(Path(order["figures"]) / HOLDINGS).accepting():
                found.append(pid)
    return found


def kill_a_worker(process: subprocess.Popen[str], rng: random.Random) -> float:
    """Kill one of the workers that answer, if one does just now; the moment."""
    alive = answering(process)
    if alive:
        os.kill(rng.choice(alive), signal.SIGKILL)
    return time.time()


@contextmanager
def running_runs(project: Project, rng: random.Random, deadline: float) -> Iterator[Counter[str]]:
    """Runs, one after the other, three of four killed at a random moment."""
    ended: Counter[str] = Counter()
    command = [sys.executable, "-m", "wherry", "run"]

    def go() -> None:
        while time.monotonic() < deadline:
            with tempfile.TemporaryFile() as told:
                process = subprocess.Popen(
                    [*command, "--project", str(project.home.root), "--json"],
                    stdout=told, stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                try:
                    process.wait(rng.choice((rng.uniform(1, 20),) * 3 + (300.0,)))
                    told.seek(0)
                    ended[ending(process.returncode, told.read())] += 1
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    ended["killed"] += 1

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield ended
    finally:
        thread.join()


def ending(code: int, told: bytes) -> str:
    """How a run ended, in words: what stood in its way, if anything did."""
    record = json.loads(told or b"{}")
    stages = [*record.get("stages", ())]
    stages += [stage for tenant in record.get("tenants", ()) for stage in tenant["stages"]]
    reasons = [
        f"{stage['name']} {stage['outcome']}, {stage['note']}"
        for stage in stages
        if stage["outcome"] in (Outcome.BLOCKED, Outcome.FAILED)
    ]
    if "error" in record:
        reasons.append(record["error"]["message"])
    return f"ended with {code}" + (f" ({'; '.join(reasons)})" if reasons else "")


# The client


class Client:
    """Sends events and asks for lists, and notes what was acknowledged and answered.

    ``acknowledged`` are ids of events; ``answered`` maps a request's id to when its answer
    came; ``taken`` are pairs of when a request was due and how long its answer took.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._numbers = iter(range(10**9))
        self.acknowledged: set[str] = set()
        self.answered: dict[str, float] = {}
        self.taken: list[tuple[float, float]] = []
        self.statuses: Counter[str] = Counter()

    def closed(self, seconds: float) -> float:
        """Events and lists a second, each connection going on as soon as it is answered."""
        until = time.monotonic() + seconds

        async def work() -> int:
            async def one() -> int:
                connection, count = Connection(self._target), 0
                while time.monotonic() < until:
                    await self._visit(connection, time.time())
                    count += 1
                connection.close()
                return count

            return sum(await asyncio.gather(*(one() for _ in range(CONNECTIONS))))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            count = runner.run(work())
        self.taken.clear()
        return count / seconds

    @contextmanager
    def open(self, rate: float) -> Iterator[None]:
        """Send at a rate, in a thread, while the body runs."""
        is_over = threading.Event()

        async def work() -> None:
            started, turns = time.time(), iter(range(10**9))

            async def one() -> None:
                connection = Connection(self._target)
                while not is_over.is_set():
                    due = started + next(turns) / rate
                    await asyncio.sleep(max(0.0, due - time.time()))
                    await self._visit(connection, due)
                connection.close()

            await asyncio.gather(*(one() for _ in range(4 * CONNECTIONS)))

        def go() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(work())

        thread = threading.Thread(target=go)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    async def _visit(self, connection: Connection, due: float) -> None:
        """One visitor's event, sent until it is acknowledged, and the list after it."""
        number = next(self._numbers)
        event = {
            "event_id": f"chaos-{number}",
            "event_type": "view",
            "visitor_id": f"visitor-{number % 997}-{number // (997 * VISITS)}",
            "items": [{"id": f"P{number % 300:06d}"}],
        }
        while await self._ask(connection, "/v1/events", event) is None:
            await asyncio.sleep(0.05)
        self.acknowledged.add(f"chaos-{number}")
        body = {"visitor_id": event["visitor_id"], "k": 10}
        answer = await self._ask(connection, "/v1/recommend", body)
        now = time.time()
        if answer is not None:
            self.answered[json.loads(answer)["request_id"]] = now
            self.taken.append((due, now - due))

    async def _ask(self, connection: Connection, path: str, body: object) -> bytes | None:
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        message = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        try:
            answer = await connection.ask(message, 30)
        except OSError:
            self.statuses["cut"] += 1
            return None
        self.statuses[str(answer.status)] += 1
        return answer.body if answer.status == 200 else None


# The verdict


def judge(
    project: Project,
    client: Client,
    kills: list[float],
    runs: Counter[str],
    calm_until: float,
) -> bool:
    project.load(wait_seconds=60)
    with project.lake.reader() as con:
        events = [
            row[0]
            for row in con.execute(
                "SELECT event_id FROM lake.raw.events WHERE event_id LIKE 'chaos-%'"
            ).fetchall()
        ]
        answers = [row[0] for row in con.execute(
            "SELECT request_id FROM lake.raw.answers").fetchall()]  # fmt: skip
    lost = client.acknowledged - set(events)
    twice = len(events) - len(set(events))
    missing = client.answered.keys() - set(answers)
    early = [one for one in missing if not _is_before_a_kill(client.answered[one], kills)]
    doubled = len(answers) - len(set(answers))
    failed = {status: n for status, n in client.statuses.items() if status.startswith("5")}
    broken = [how for how in runs if how.startswith(f"ended with {WherryError.exit_code}")]
    print(f"{len(kills)} workers killed; statuses: {dict(client.statuses)}; runs:")
    for how, count in runs.most_common():
        print(f"    {count} {how}")
    print(f"{len(client.acknowledged):,} events acknowledged: {len(lost)} lost, {twice} twice")
    print(
        f"{len(client.answered):,} answers given: {len(missing)} without a log, {len(early)} of "
        f"them given longer than {MEMORY_SECONDS:g} s before a kill; {doubled} logged twice"
    )
    _tell_latencies(client.taken, kills, calm_until)
    return not (lost or twice or early or doubled or failed or broken)


def _is_before_a_kill(at: float, kills: list[float]) -> bool:
    place = bisect.bisect_left(kills, at - 0.05)
    return place < len(kills) and kills[place] - at <= MEMORY_SECONDS


def _tell_latencies(taken: list[tuple[float, float]], kills: list[float], calm: float) -> None:
    """The latencies by how long ago the last worker was killed."""
    due, late = np.array(taken).T
    since = due - np.array([0.0, *kills])[np.searchsorted(kills, due)]
    print("milliseconds from when an event was due to the list after it: p50, p99")
    rows = [("before the first kill", due < calm)]
    for low, high in pairwise(_AFTER):
        name = f"{low} to {high} s after one" if high < 1_000 else f"later than {low} s after one"
        rows.append((name, (since >= low) & (since < high)))
    for name, chosen in rows:
        if chosen.any():
            p50, p99 = np.percentile(late[chosen], (50, 99)) * 1e3
            print(f"    {name:28}{p50:9.1f}{p99:9.1f}  ({chosen.sum():,})")
