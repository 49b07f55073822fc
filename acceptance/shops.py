"""Real shops go through import and run whole: counts agree, and a replay gives the same tables.

The counts come from ``acceptance.counts``, which reads the files by itself.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from acceptance.counts import expected
from wherry.domain import Outcome, RunRecord
from wherry.lake import content_hashes
from wherry.project import Project


@dataclass(frozen=True)
class Shop:
    """A data set, the preset that reads it, and what its shop would set in ``wherry.toml``."""

    folder: str
    preset: str
    settings: str


SHOPS = (
    Shop("rees46_sample", "rees46", ""),
    Shop("retailrocket_sample10k", "retailrocket", ""),
    # This shop is closed on Saturdays and over Christmas.
    Shop("online_retail_ii", "online-retail", "max_gap_hours = 72.0"),
)

_COUNTS = """
SELECT (SELECT count(*) FROM lake.marts.events) AS events,
       (SELECT count(*) FROM lake.marts.sessions) AS sessions,
       (SELECT count(DISTINCT item_id) FROM lake.marts.interactions) AS items
"""


def accept(data: Path) -> bool:
    if not data.is_dir():
        return True
    passed = True
    for shop in SHOPS:
        with tempfile.TemporaryDirectory() as folder:
            passed &= _accept_shop(shop, data / shop.folder, Path(folder) / "shop")
    return passed


def _accept_shop(shop: Shop, data: Path, folder: Path) -> bool:
    project = Project.create(folder)
    text = project.home.settings.read_text()
    project.home.settings.write_text(text.replace("[audit]\n", f"[audit]\n{shop.settings}\n"))
    project = Project.open(folder)
    loads = project.import_files(shop.preset, str(data / "*.parquet"))
    record = project.run()
    with project.lake.reader() as con:
        found = dict(
            zip(("events", "sessions", "items"), con.execute(_COUNTS).fetchall()[0], strict=True)
        )
    wanted = expected(data)
    print(f"\n{shop.folder}: {sum(x.taken for x in loads):,} rows taken, "
          f"{sum(x.known for x in loads):,} known, {sum(x.rejected for x in loads):,} rejected; "
          f"run {record.seconds:.0f} s")  # fmt: skip
    for name, count in wanted.items():
        print(f"  {name:10}{found[name]:>12,}  independent count {count:>12,}"
              f"  {'ok' if found[name] == count else 'DIFFERS'}")  # fmt: skip
    _print_stages(record)
    is_whole = Outcome.FAILED not in record.outcomes and bool(record.tenants)
    again = project.import_files(shop.preset, str(data / "*.parquet"))
    adds_nothing = not any(load.taken for load in again)
    print(f"  importing again adds {sum(load.taken for load in again)} rows")
    return found == wanted and is_whole and adds_nothing and _replays(project)


def _print_stages(record: RunRecord) -> None:
    for stage in (*record.stages, *(s for tenant in record.tenants for s in tenant.stages)):
        print(f"  {stage.name:10}{stage.outcome:>12}  {stage.seconds:6.1f} s  {stage.note}")


def _replays(project: Project) -> bool:
    """Drop every derived table, build them again from the log, and compare the hashes."""
    with project.lake.reader() as con:
        before = content_hashes(con, "marts")
    with project.lake.writer() as con:
        for name in before:
            con.execute(f'DROP TABLE lake.marts."{name}"')
    project.run(only="transform")
    with project.lake.reader() as con:
        after = content_hashes(con, "marts")
    print(f"  replay of {len(before)} tables: {'same hashes' if before == after else 'DIFFER'}")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"    {name}: {before.get(name)} became {after.get(name)}")
    return bool(before) and before == after
