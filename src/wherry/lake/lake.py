"""The lake: DuckLake tables on one machine, one writer, readers on a snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from wherry.errors import LakeError
from wherry.lake.extensions import extension_config

CATALOG = "lake"
"""The name that the lake is attached under, in every connection."""


@dataclass(frozen=True)
class Lake:
    """A lake in one folder: a catalog in SQLite and Parquet files.

    ``folder`` holds ``catalog.sqlite``, ``data/`` and ``extensions/``. ``memory_limit`` is
    DuckDB's own setting (``"8GB"``, ``""`` for its default of 80% of the memory), ``threads``
    the number of threads (0 for all cores).
    """

    folder: Path
    memory_limit: str = ""
    threads: int = 0

    @property
    def catalog_path(self) -> Path:
        """The SQLite file that holds DuckLake's catalog."""
        return self.folder / "catalog.sqlite"

    @property
    def data_path(self) -> Path:
        """The folder of the Parquet files."""
        return self.folder / "data"

    def exists(self) -> bool:
        """Whether anything has been written here yet."""
        return self.catalog_path.exists()

    def connect_config(self) -> dict[str, str]:
        """DuckDB's settings for a connection to this lake; dbt's profile uses the same."""
        config = {
            **extension_config(self.folder / "extensions"),
            "temp_directory": str(self.folder / "temp"),
            "preserve_insertion_order": "false",
        }
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        if self.threads:
            config["threads"] = str(self.threads)
        return config

    @contextmanager
    def writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect to write. The caller holds the project lock (invariant 3).

        Raises:
            LakeError: If the catalog can't be opened.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._use_write_ahead_log()
        with self._connect("") as con:
            yield con

    @contextmanager
    def reader(self, snapshot: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect to read one snapshot (by default the newest), which never changes or blocks.

        Raises:
            LakeError: If there is no lake yet, or no such snapshot.
        """
        if not self.exists():
            raise LakeError(
                f"There is no lake in {self.folder} yet. Import events first: wherry import"
            )
        version = f", SNAPSHOT_VERSION {snapshot}" if snapshot is not None else ""
        with self._connect(f", READ_ONLY{version}") as con:
            yield con

    @contextmanager
    def _connect(self, options: str) -> Iterator[duckdb.DuckDBPyConnection]:
        # The catalog remembers an absolute path; the folder may have been moved since.
        place = f"DATA_PATH '{quote(str(self.data_path))}', OVERRIDE_DATA_PATH true"
        # A few rows would go into the catalog as text, where one item id such as "x}]" makes
        # the whole table unreadable.
        place += ", DATA_INLINING_ROW_LIMIT 0"
        con = duckdb.connect(config={**self.connect_config()})
        try:
            try:
                con.execute("LOAD ducklake")
                con.execute("LOAD sqlite")
                con.execute(f"ATTACH '{self.attach_uri()}' AS {CATALOG} ({place}{options})")
                con.execute(f"USE {CATALOG}")
            except duckdb.Error as error:
                raise LakeError(f"The lake in {self.folder} can't be opened: {error}") from error
            yield con
        finally:
            con.close()

    def attach_uri(self) -> str:
        """What DuckDB's ATTACH takes to reach this lake."""
        return f"ducklake:sqlite:{quote(str(self.catalog_path))}"

    def _use_write_ahead_log(self) -> None:
        # With a rollback journal a writer and a reader of the catalog lock each other out.
        try:
            with sqlite3.connect(self.catalog_path, timeout=60) as con:
                con.execute("PRAGMA journal_mode=WAL")
            con.close()
        except sqlite3.Error as error:
            raise LakeError(f"The catalog {self.catalog_path} can't be opened: {error}") from error


def quote(text: str) -> str:
    """Double the single quotes in a text that goes between single quotes in SQL."""
    return text.replace("'", "''")


def newest_snapshot(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the newest snapshot of the attached lake."""
    row = con.execute(f"SELECT max(snapshot_id) FROM ducklake_snapshots('{CATALOG}')").fetchone()
    return int(row[0]) if row else 0
