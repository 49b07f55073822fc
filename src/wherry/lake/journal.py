"""The journal that makes a whole transform one transaction.

dbt commits after every model, so a run killed halfway would leave tables that do not fit
together. The Parquet files of a lake never change once written: its state is its catalog.
So the catalog (a few MB) is copied before a transform and put back if the transform did not
end, by whichever process writes next. The loads that came before are in the copy and stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from wherry.errors import LakeError
from wherry.lake.lake import CATALOG, Lake

_TIMEOUT_SECONDS = 60


def journal_path(lake: Lake) -> Path:
    """Where the copy lies while a transform is under way."""
    return lake.folder / "catalog.before"


@contextmanager
def transaction(lake: Lake) -> Iterator[None]:
    """Make the body's writes to the lake all or nothing, even over a SIGKILL.

    The caller holds the project lock and no open connection to the lake.
    """
    path = journal_path(lake)
    unfinished = path.with_suffix(".copying")
    unfinished.unlink(missing_ok=True)
    _copy(lake.catalog_path, unfinished)
    unfinished.replace(path)
    try:
        yield
    except BaseException:
        recover(lake)
        raise
    path.unlink()


def recover(lake: Lake) -> bool:
    """Put the lake back to where the last unfinished transform began.

    Returns whether there was anything to put back. The caller holds the project lock.
    """
    path = journal_path(lake)
    if not path.exists():
        return False
    _copy(path, lake.catalog_path)
    path.unlink()
    _drop_orphans(lake)
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a SQLite database page by page in one transaction of the target's."""
    try:
        with (
            closing(sqlite3.connect(source, timeout=_TIMEOUT_SECONDS)) as origin,
            closing(sqlite3.connect(target, timeout=_TIMEOUT_SECONDS)) as copy,
        ):
            origin.backup(copy)
    except sqlite3.Error as error:
        raise LakeError(
            f"The catalog {source} can't be copied to {target}: {error}. Make room or give the "
            "rights that are missing, then run again: nothing is lost."
        ) from error


def _drop_orphans(lake: Lake) -> None:
    with lake.writer() as con:
        con.execute(f"CALL ducklake_delete_orphaned_files('{CATALOG}', cleanup_all => true)")
