"""The transform: full rebuild, one new day and nothing new, beside one bare sort of the log.

    python benchmarks/transform.py [EVENTS] [DAYS]

The reference reads ``raw.events``, sorts it by (tenant, visitor, time) and writes it as a table
of the same lake, in the same run. Import and the kNN's fit are measured on the way, each beside
its own reference. Every part runs in a process of its own, whose peak memory is the operating
system's figure.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 1)
SEED = 7
MEMORY_LIMIT = "6GB"


def simulate(root: Path, events: int, days: int) -> None:
    from wherry.simulate import simulate

    sizes = {"items": max(events // 600, 500), "visitors": max(events // 20, 1000)}
    simulate(root / "data", events=events, seed=SEED, start=START, days=days, **sizes)
    after = START + timedelta(days=days)
    simulate(root / "new", events=events // days, seed=SEED, start=after, days=1, **sizes)


def read(root: Path, *_: int) -> None:
    """The reference of the import: DuckDB reads the same files into a table on disk."""
    import duckdb

    with duckdb.connect(str(root / "read.duckdb")) as con:
        con.execute(f"CREATE TABLE t AS FROM '{root / 'data' / 'events*.parquet'}'")


def load(root: Path, *_: int) -> None:
    from wherry.project import Project

    project = Project.create(root / "shop")
    text = project.home.settings.read_text()
    project.home.settings.write_text(f'{text}\n[lake]\nmemory_limit = "{MEMORY_LIMIT}"\n')
    Project.open(root / "shop").import_files("wherry", str(root / "data" / "events*.parquet"))


def load_day(root: Path, *_: int) -> None:
    from wherry.project import Project

    Project.open(root / "shop").import_files("wherry", str(root / "new" / "events*.parquet"))


def sort(root: Path, *_: int) -> None:
    """The reference of the transform."""
    from wherry.project import Project

    with Project.open(root / "shop").lake.writer() as con:
        con.execute("CREATE SCHEMA IF NOT EXISTS lake.reference")
        con.execute(
            "CREATE OR REPLACE TABLE lake.reference.sorted AS FROM lake.raw.events "
            "ORDER BY tenant, visitor_id, occurred_at"
        )


def transform(root: Path, *_: int) -> None:
    from wherry.project import Project

    record = Project.open(root / "shop").run(only="transform")
    print(json.dumps(record.stages[0].parts), file=sys.stderr)
    if not record.passed:
        raise SystemExit(record.stages[0].note)


def fit(root: Path, *_: int) -> None:
    """From the published tables to a fitted kNN; the reading of sessions is part of it."""
    from wherry.domain import DEFAULT_TENANT
    from wherry.learn.dataset import read_dataset
    from wherry.learn.knn import SessionKNN
    from wherry.project import Project

    with Project.open(root / "shop").lake.reader() as con:
        started = time.perf_counter()
        dataset = read_dataset(con, DEFAULT_TENANT)
        read_in = time.perf_counter() - started
    started = time.perf_counter()
    SessionKNN().fit(dataset.sessions, seed=1)
    words = f"{dataset.sessions.n_events:,} events of {len(dataset.sessions):,} sessions"
    fitted_in = time.perf_counter() - started
    print(f"read {words} {read_in:.1f} s, fit {fitted_in:.1f} s", file=sys.stderr)


PARTS: dict[str, Callable[..., None]] = {
    part.__name__: part for part in (simulate, read, load, sort, transform, load_day, fit)
}


def measured(name: str, root: Path, events: int, days: int) -> tuple[float, float]:
    """Seconds of a part within its process, and that process's peak memory in GiB."""
    command = [sys.executable, __file__, "--part", name, str(root), str(events), str(days)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main(events: int, days: int) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        root = Path(name)
        results: dict[str, tuple[float, float]] = {}
        order = ("simulate", "read", "load", "sort", "transform", "fit", "load_day")
        for part in order:
            results[part] = measured(part, root, events, days)
        results["day"] = measured("transform", root, events, days)
        results["nothing"] = measured("transform", root, events, days)
    rows = (
        ("import", "load", "read", "3 x reading the same files"),
        ("full rebuild", "transform", "sort", "4 x the bare sort, 8 GiB"),
        ("one new day", "day", "transform", "0.05 x the full rebuild"),
        ("kNN: read sessions and fit", "fit", "sort", "1 x the bare sort"),
    )
    print(f"{events:,} simulated events over {days} days, memory limit {MEMORY_LIMIT}")
    for title, part, reference, reach in rows:
        (seconds, peak), (beside, _) = results[part], results[reference]
        ratio = f"{seconds / beside:6.2f} x"
        print(f"{title:28}{seconds:8.1f} s {ratio}  peak {peak:5.2f} GiB   reach: {reach}")
    print(f"{'nothing new':28}{results['nothing'][0]:8.1f} s  (process start excluded)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        _, _, part, root, events, days = sys.argv
        began = time.perf_counter()
        PARTS[part](Path(root), int(events), int(days))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps([time.perf_counter() - began, peak]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000, int((sys.argv[2:] or [90])[0]))
