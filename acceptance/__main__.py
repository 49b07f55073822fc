"""Run every acceptance part, print what was found, and end with 1 if any of it falls short.

    python -m acceptance --data ../shared/data

All parts run side by side, as many as there are cores, each in a process of its own whose words
are printed when it ends. Parts that are named run one after the other, in this process: a figure
of time is of a calm machine then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from acceptance import chaos, collect, kills, retailrocket, shops

PARTS: dict[str, Callable[[Path], bool]] = {
    "kills": kills.accept,
    "retailrocket": retailrocket.accept,
    "shops": shops.accept,
    "collect": collect.accept,
}
"""The longest first, which is begun first."""
LONG: dict[str, Callable[[Path], bool]] = {
    "collect-200": collect.accept_all,
    "chaos": chaos.accept,
    "chaos-600": chaos.accept_long,
    "retailrocket-neural": retailrocket.accept_neural,
}
"""Done only where they are named."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m acceptance", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    names = ", ".join([*PARTS, *LONG])
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        choices=[[], *PARTS, *LONG],
        help=f"{names}; all but {', '.join(LONG)} unless named",
    )
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    passed = _one_by_one(arguments.parts, data) if arguments.parts else _side_by_side(PARTS, data)
    if len(passed) > 1:
        failed = [name for name in passed if not passed[name]]
        print(f"\n{len(passed) - len(failed)} passed, {len(failed)} failed", *failed)
    return 0 if all(passed.values()) else 1


def _one_by_one(names: Iterable[str], data: Path) -> dict[str, bool]:
    passed = {}
    if not data.is_dir():
        print(f"{data} is absent: the parts that need real data are passed over.")
    for name in names:
        print(f"\n== {name} ".ljust(100, "="), flush=True)
        started = time.perf_counter()
        passed[name] = (PARTS | LONG)[name](data)
        print(f"{'passed' if passed[name] else 'FAILED'} in {time.perf_counter() - started:.0f} s")
    return passed


def _side_by_side(names: Iterable[str], data: Path) -> dict[str, bool]:
    passed = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for part in as_completed([pool.submit(_apart, name, data) for name in names]):
            name, done = part.result()
            print(done.stdout, end="", flush=True)
            passed[name] = done.returncode == 0
    return passed


def _apart(name: str, data: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
    """One part in a process of its own, and what it printed."""
    command = [sys.executable, "-m", "acceptance", "--data", str(data), name]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return name, done


if __name__ == "__main__":
    sys.exit(main())
