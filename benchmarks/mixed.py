"""Everything at once on one project: collecting, recommending, loads, runs and status.

    python benchmarks/mixed.py [--seconds 60] [--rate 500] [--recommend 50]

A server takes simulated events and answers recommendations, and loads its inbox by itself;
meanwhile ``wherry run`` and ``wherry status`` come by now and then. Reported are the latencies
of both routes, from when each request was due, beside those of the same load a moment before
with no run and no status; the server's memory; how every command ended;
whatever in answers and logs speaks of a lock; and whether each acknowledged event is in the log
exactly once when all is done. The exit code is 1 if one is not, or if there was such an error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wherry.lake import Lake
from wherry.project import Project
from wherry.simulate import simulate

ALONE_SECONDS = 15.0
HISTORY_DAYS = 7
HISTORY_EVENTS = 140_000
BATCH = 10
LOAD_EVERY = 5
LOCK_WORDS = re.compile(r"database is locked|LockHeld|Another process is writing|SQLITE_BUSY", re.I)
FAILURE_WORDS = re.compile(r"Traceback|can't be answered", re.I)

SETTINGS = f"""\
shop = "mixed"
[lake]
memory_limit = "2GB"
[learn]
candidates = ["popularity", "rules"]
max_validation_sessions = 300
[audit]
volume_low = -1
volume_high = -1
mean_session_length_low = -1
mean_session_length_high = -1
max_gap_hours = -1
[collect]
load_every = {LOAD_EVERY}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--recommend", type=float, default=50.0, help="recommendations a second")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--run-every", type=float, default=30.0, help="seconds between runs")
    parser.add_argument("--status-every", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wherry-mixed-") as folder:
        return measure(Path(folder), options)


def measure(folder: Path, options: argparse.Namespace) -> int:
    before, live = prepare(folder, options)
    shop, log, acknowledged = folder / "shop", folder / "server.log", folder / "acknowledged"
    with serving(shop, log) as (address, pid), Memory(pid) as memory:
        alone = pump(before, address, folder / "before", options, ALONE_SECONDS)
        busy = [os.getloadavg()[0]]
        over = threading.Event()
        runs = Repeated(shop, ("run",), options.run_every, over)
        looks = Repeated(shop, ("status",), options.status_every, over)
        pumped = pump(live, address, acknowledged, options, options.seconds)
        busy.append(os.getloadavg()[0])
        over.set()
        for each in (runs, looks):
            each.join()
    last = wherry(shop, "run")
    missing, twice = compare(shop, acknowledged)
    told = log.read_text(errors="replace")
    texts = [told, *runs.texts, *looks.texts, last.text, json.dumps(pumped)]
    locks = sum(len(LOCK_WORDS.findall(text)) for text in texts)
    failures = sum(len(FAILURE_WORDS.findall(text)) for text in texts)
    report_pump("alone", alone)
    report_pump("mixed", pumped)
    print(f"the machine's load: {busy[0]:.1f} at the start, {busy[1]:.1f} at the end")
    memory.report()
    for name, each in (("run", runs), ("status", looks)):
        each.report(name)
    print(f"lock errors: {locks}; failures in logs: {failures}")
    print(f"acknowledged events missing in the log: {missing:,}; there more than once: {twice:,}")
    fives = sum(n for what, n in pumped["errors"].items() if "status 5" in what)
    is_bad = locks or failures or fives or missing or twice or pumped["problem"]
    if is_bad:
        print("\n".join(line for line in told.splitlines()[-20:]))
    return 1 if is_bad else 0


def prepare(folder: Path, options: argparse.Namespace) -> tuple[Path, Path]:
    """A project with a release, and the two files of the events that are to come live."""
    day = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=HISTORY_DAYS + 2)
    same: dict[str, Any] = {"seed": 1, "items": 3_000, "visitors": 50_000, "sessions_given": True}
    made = simulate(folder / "history", events=HISTORY_EVENTS, start=day, days=HISTORY_DAYS, **same)
    coming = [
        simulate(
            folder / "live", events=int(options.rate * seconds * 1.3) + 1_000, days=1,
            start=day + timedelta(days=HISTORY_DAYS + place), duplicates=0.0, **same,
        ).files[0]
        for place, seconds in enumerate((ALONE_SECONDS, options.seconds))
    ]  # fmt: skip
    project = Project.create(folder / "shop")
    (folder / "shop" / "wherry.toml").write_text(SETTINGS)
    project = Project.open(folder / "shop")
    project.import_files("wherry-items", str(made.catalogue))
    for path in made.files:
        project.import_files("wherry", str(path))
    record = project.run()
    assert record.passed, record
    return coming[0], coming[1]


# What goes on at once


@contextlib.contextmanager
def serving(shop: Path, log: Path) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "wherry", "serve", "--port", "0", "-C", str(shop)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            raise SystemExit(f"The server did not start: {line}{log.read_text()}")
        yield found[0], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def pump(
    live: Path, address: str, acknowledged: Path, options: argparse.Namespace, seconds: float
) -> Any:
    words = {
        "--from": live,
        "--stop-at": int(options.rate * seconds),
        "--rate": options.rate,
        "--batch": BATCH,
        "--connections": options.connections,
        "--recommend": options.recommend / options.rate,
        "--acknowledged": acknowledged,
    }
    pairs = [str(word) for pair in words.items() for word in pair]
    command = [sys.executable, "-m", "wherry", "pump", address, *pairs, "--now", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout)


class Ended:
    """How a command ended."""

    def __init__(self, code: int, text: str, seconds: float) -> None:
        self.code, self.text, self.seconds = code, text, seconds


def wherry(shop: Path, *words: str) -> Ended:
    started = time.monotonic()
    command = [sys.executable, "-m", "wherry", *words, "-C", str(shop), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout + done.stderr, time.monotonic() - started)


class Repeated(threading.Thread):
    """A command, again and again until it is over."""

    def __init__(
        self, shop: Path, words: tuple[str, ...], every: float, over: threading.Event
    ) -> None:
        super().__init__()
        self._call: Callable[[], Ended] = lambda: wherry(shop, *words)
        self._every, self._over = every, over
        self.done: list[Ended] = []
        self.start()

    def run(self) -> None:
        while not self._over.wait(self._every):
            self.done.append(self._call())

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.done]

    def report(self, name: str) -> None:
        codes = Counter(each.code for each in self.done)
        seconds = [each.seconds for each in self.done] or [0.0]
        print(
            f"wherry {name}: {len(self.done)} times, exit codes {dict(codes)}, "
            f"{statistics.median(seconds):.1f} s in the median, {max(seconds):.1f} s at most"
        )
        for each in self.done:
            if each.code:
                print(f"  ended with {each.code}: {each.text.strip()[-300:]}")


class Memory(threading.Thread):
    """A process's resident memory, from Linux' /proc, once a second."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self.megabytes: list[float] = []

    def run(self) -> None:
        while not self._over.wait(1.0):
            self.look()

    def look(self) -> None:
        found = re.search(r"VmRSS:\s+(\d+) kB", self._status.read_text())
        if found:
            self.megabytes.append(int(found[1]) / 1024)

    def __enter__(self) -> Memory:
        self.look()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self.look()

    def report(self) -> None:
        seen = self.megabytes
        quarter = max(len(seen) // 4, 1)
        parts = [statistics.mean(seen[n : n + quarter]) for n in range(0, len(seen), quarter)][:4]
        print(
            f"server's memory, MB: {seen[0]:.0f} at the start, {seen[-1]:.0f} at the end, "
            f"{max(seen):.0f} at most; by quarters {', '.join(f'{part:.0f}' for part in parts)}"
        )


# What is found


def compare(shop: Path, acknowledged: Path) -> tuple[int, int]:
    """How many acknowledged events the log does not hold, and how many more than once."""
    project = Project.open(shop)
    lake: Lake = project.lake
    with lake.reader() as con:
        con.execute(
            f"CREATE TEMP TABLE sent AS SELECT column0 AS event_id FROM read_csv('{acknowledged}', "
            "header = false, columns = {'column0': 'VARCHAR'})"
        )
        row = con.execute(
            "SELECT count(*) FILTER (rows IS NULL), count(*) FILTER (rows > 1) FROM temp.sent "
            "LEFT JOIN (SELECT event_id, count(*) AS rows FROM lake.raw.events GROUP BY 1) "
            "USING (event_id)"
        ).fetchall()[0]
    return int(row[0]), int(row[1])


def report_pump(name: str, done: Any) -> None:
    print(
        f"{name}: {done['events']:,} events in {done['seconds']:.0f} s: {done['taken']:,} taken, "
        f"{done['known']:,} known, {done['refused']:,} refused, {done['failed']:,} failed, "
        f"{done['unanswered']:,} unanswered"
    )
    print(f"put off: {done['put_off'] or 'none'}; errors: {done['errors'] or 'none'}")
    for name, key in (("collect", "latency"), ("recommend", "recommend_latency")):
        each = done[key]
        marks = ", ".join(
            f"{mark} {each[mark]:.1f}" for mark in ("p50", "p90", "p99", "p999", "max")
        )
        print(f"{name}, ms from when due, {each['count']:,} answers: {marks}")


if __name__ == "__main__":
    sys.exit(main())
