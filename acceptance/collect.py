"""Servers and loads killed with SIGKILL under load: what was acknowledged is in the log, once.

In each trial a server takes events from several clients and is killed at a random moment. In
every other trial a load runs at the same time and is killed at a random moment too. After every
few trials, and at the end, the ids in the lake are compared with those that were acknowledged.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from acceptance.senders import Senders, running
from wherry.collect.inbox import find_set_aside
from wherry.project import Project

SEED = 200
_COMPARED_EVERY = 10

LOADING = """
import sys
from wherry.project import Project

project = Project.open(sys.argv[1])
print("ready", flush=True)
while True:
    project.load(wait_seconds=10)
"""
"""A process that loads again and again, as a server with ``load_every`` does."""


def accept(data: Path) -> bool:
    """As many kills as a check of every change has time for."""
    return accept_kills(40)


def accept_all(data: Path) -> bool:
    """As many kills as it takes to trust it."""
    return accept_kills(200)


def accept_kills(count: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        project = Project.create(Path(name) / "shop")
        trials = Trials(project, SEED)
        passed = True
        for number in range(1, count + 1):
            trials.kill_once(with_load=number % 2 == 0)
            if number % _COMPARED_EVERY == 0:
                passed = trials.compare() and passed
        print(f"loads killed: {trials.killed_loads}; statuses: {dict(trials.senders.statuses)}")
        return passed


class Trials:
    """Kills on one project, and the comparison of what was acknowledged with the lake."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project = project
        self.senders = Senders(seed)
        self.killed = 0
        self.killed_loads = 0
        self._rng = random.Random(seed)

    def kill_once(self, *, with_load: bool) -> None:
        """One server, killed at a random moment, and a load killed at another."""
        loading = self._start_load() if with_load else None
        with running(self.project.home.root) as server, self.senders.sending(server.host):
            time.sleep(self._rng.uniform(0.02, 0.4))
            if loading is not None and self._rng.random() < 0.5:
                self._kill_load(loading)
                time.sleep(self._rng.uniform(0, 0.2))
            server.stop()
            self.killed += 1
        if loading is not None and loading.poll() is None:
            time.sleep(self._rng.uniform(0, 0.2))
            self._kill_load(loading)

    def _start_load(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", LOADING, str(self.project.home.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def _kill_load(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()
        self.killed_loads += 1

    def compare(self) -> bool:
        """Load the rest and compare the set and the number of ids; print what was found."""
        self.project.load(wait_seconds=10)
        with self.project.lake.reader() as con:
            ids = [row[0] for row in con.execute("SELECT event_id FROM lake.raw.events").fetchall()]
        lost = self.senders.acknowledged - set(ids)
        twice = len(ids) - len(set(ids))
        strange = set(ids) - self.senders.sent
        aside = find_set_aside(self.project.home.inbox)
        print(
            f"{self.killed} kills: {len(self.senders.acknowledged):,} events acknowledged, "
            f"{len(ids):,} in the lake, {len(lost)} lost, {twice} twice, "
            f"{len(strange)} never sent, {len(aside)} files set aside",
            flush=True,
        )
        return not (lost or twice or strange or aside)
