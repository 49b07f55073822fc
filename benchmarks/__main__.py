"""Run every benchmark, one after the other, in a process of its own.

python -m benchmarks            sizes for a coffee: minutes
python -m benchmarks --full     the sizes of docs/performance.md: most of an hour
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

SMALL: tuple[tuple[str, ...], ...] = (
    ("startup.py",),
    ("import.py",),
    ("transform.py", "1000000"),
    ("knn.py",),
    ("serve.py",),
    ("state.py",),
    ("precompute.py",),
    ("collect.py",),
    ("simulate.py",),
    ("gate.py", "--runs", "40"),
    ("mixed.py",),
)
FULL = (
    *SMALL,
    ("transform.py", "10000000"),
    ("transform.py", "36000000"),
    ("mixed.py", "--seconds", "600"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="10 and 36 million events too")
    failed = []
    for name, *arguments in FULL if parser.parse_args().full else SMALL:
        print(f"\n== {' '.join([name, *arguments])} ".ljust(80, "="), flush=True)
        if subprocess.run([sys.executable, str(HERE / name), *arguments], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nThese could not be measured: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
