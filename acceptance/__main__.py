"""Run every acceptance part, print what was found, and end with 1 if any of it falls short.

python -m acceptance --data ../shared/data
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from acceptance import chaos, collect, kills, retailrocket, shops

PARTS: dict[str, Callable[[Path], bool]] = {
    "retailrocket": retailrocket.accept,
    "shops": shops.accept,
    "kills": kills.accept,
    "collect": collect.accept,
}
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
    if not data.is_dir():
        print(f"{data} is absent: the parts that need real data are passed over.")
    passed = {}
    for name in arguments.parts or PARTS:
        print(f"\n== {name} ".ljust(100, "="), flush=True)
        started = time.perf_counter()
        passed[name] = (PARTS | LONG)[name](data)
        print(f"{'passed' if passed[name] else 'FAILED'} in {time.perf_counter() - started:.0f} s")
    print(f"\n{sum(passed.values())} passed, {len(passed) - sum(passed.values())} failed")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
