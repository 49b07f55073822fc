"""Start-up: ``wherry --help`` beside ``python -c pass``, and a run that finds nothing new.

    python -m benchmarks.startup

Whole processes, medians of several, in turn, so that a change of the machine's speed meets
both sides alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from wherry.project import Project
from wherry.simulate import simulate

RUNS = 11
EVENTS = 100_000


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def in_turn(*commands: list[str], runs: int = RUNS) -> list[float]:
    """The median seconds of each command, run one after the other, several times."""
    times = [[seconds(command) for command in commands] for _ in range(runs + 1)][1:]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def main() -> None:
    python = sys.executable
    wherry = str(Path(python).with_name("wherry"))
    nothing, help_ = in_turn([python, "-c", "pass"], [wherry, "--help"])
    print(f"python -c pass       {nothing * 1e3:7.1f} ms")
    print(f"wherry --help        {help_ * 1e3:7.1f} ms   {help_ / nothing:5.1f} x   reach: 10 x")
    with tempfile.TemporaryDirectory() as folder:
        project = _shop(Path(folder))
        run = [wherry, "run", "--project", str(project.home.root)]
        start, nothing_new = in_turn([python, "-c", "pass"], run, runs=5)
    print(
        f"nothing new          {nothing_new:7.2f} s    {nothing_new - start:.2f} s more than "
        "process start   reach: 3 s more"
    )


def _shop(folder: Path) -> Project:
    made = simulate(folder / "data", events=EVENTS, seed=1, start=datetime(2026, 1, 1), days=10)
    project = Project.create(folder / "shop")
    project.import_files("wherry", str(made.files[0]))
    record = project.run()
    if not record.passed:
        raise SystemExit(f"The run did not pass: {record.tenants}")
    return project


if __name__ == "__main__":
    main()
