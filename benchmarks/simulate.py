"""Events a second that the simulator writes to Parquet, beside DuckDB writing random rows.

python benchmarks/simulate.py [events] [days]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb

from wherry.simulate import simulate

RANDOM_ROWS = """
copy (select 'default' as tenant, printf('%05d-%08x', i // 400000, i) as event_id,
    list_element(['page', 'view', 'add', 'search'], (random() * 4)::int % 4 + 1) as event_type,
    timestamp '2026-01-01' + to_milliseconds((i * 216)::bigint) as occurred_at,
    printf('v%07x', (random() * 1e6)::int) as visitor_id, null::varchar as session_id,
    printf('P%06d', (random() * 5e4)::int) as item_id, round(random() * 100, 2) as price,
    1.0::double as quantity, null::varchar as query
    from range(?) t(i)) to '{path}' (format parquet, compression zstd, compression_level 1)
"""


def main() -> None:
    events = int(float(sys.argv[1])) if len(sys.argv) > 1 else 4_000_000
    days = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as folder:
        done = simulate(Path(folder), events=events, seed=1, start=datetime(2026, 1, 1), days=days)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        path = Path(folder) / "random.parquet"
        with duckdb.connect() as database:
            database.execute(RANDOM_ROWS.format(path=path), [done.events])
        reference = time.perf_counter() - began
        size = sum(file.stat().st_size for file in done.files)
        print(f"simulate   {done.events:>12,} events {done.seconds:8.2f} s "
              f"{done.events / done.seconds:>12,.0f} events/s  peak {peak:,.0f} MiB  "
              f"{size / done.events:.1f} bytes/event")  # fmt: skip
        print(f"reference  {done.events:>12,} rows   {reference:8.2f} s "
              f"{done.events / reference:>12,.0f} rows/s    (DuckDB, random rows)")  # fmt: skip
        print(f"ratio      {done.seconds / reference:.2f} of the reference's time")


if __name__ == "__main__":
    main()
