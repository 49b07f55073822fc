"""One file of the inbox: pages in SQLite, written by one process, read and emptied by a load."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from wherry.errors import WherryError

SUFFIX = ".sqlite"
_WAIT_SECONDS = 60
_CHECKPOINT_PAGES = 4_000
_DELETED_AT_ONCE = 16
_VACUUMED_AT_ONCE = 500
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
PRAGMA page_size = 8192;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE IF NOT EXISTS inbox (id TEXT NOT NULL, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
    number INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    began_at TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    content BLOB NOT NULL
);
INSERT INTO inbox SELECT '{id}', 0 WHERE NOT EXISTS (SELECT * FROM inbox);
COMMIT;
"""


class Page(msgspec.Struct, frozen=True):
    """A page as it lies in the file; ``is_whole`` unless its checksum is wrong."""

    number: int
    content: bytes
    is_whole: bool


class Waiting(msgspec.Struct, frozen=True):
    """What one file of the inbox holds: events not loaded yet, and when the oldest came."""

    name: str
    events: int
    pages: int
    oldest: str | None


class Store:
    """The pages of one file. Numbers only ever rise, also over a restart of an empty file.

    ``synchronous`` is SQLite's: ``FULL`` puts every commit on disk (one fsync of the log),
    ``NORMAL`` leaves that to whoever calls fsync, ``OFF`` to the system.
    """

    def __init__(self, path: Path, synchronous: str = "FULL") -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._con = connect(path)
        try:
            self._con.executescript(_SCHEMA.format(id=uuid4().hex))
            self._con.execute(f"PRAGMA synchronous = {synchronous}")
            self._con.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self.id, self._last = self._read_place()
        except BaseException:
            self._con.close()
            raise

    def _read_place(self) -> tuple[str, int]:
        row = self._con.execute(
            "SELECT id, max(done, coalesce((SELECT max(number) FROM pages), 0)) FROM inbox"
        ).fetchone()
        return str(row[0]), int(row[1])

    def append(self, content: bytes, events: int, began_at: str) -> int:
        """Add a page and return its number; it is on disk when this returns."""
        number = self._last + 1
        self._con.execute(
            "INSERT INTO pages VALUES (?, ?, ?, ?, ?)",
            (number, events, began_at, zlib.crc32(content), content),
        )
        self._last = number
        return number

    def pages(self, after: int, max_bytes: int) -> Iterator[Page]:
        """The pages after a number, in order, until they hold ``max_bytes`` (at least one)."""
        size = 0
        while size < max_bytes:
            row = self._con.execute(
                "SELECT number, checksum, content FROM pages WHERE number > ? "
                "ORDER BY number LIMIT 1",
                (after,),
            ).fetchone()
            if row is None:
                return
            after, checksum, content = row
            size += len(content)
            yield Page(after, content, zlib.crc32(content) == checksum)

    def newest_pages(self) -> Iterator[Page]:
        """All pages, the newest first."""
        before = self._last + 1
        while row := self._con.execute(
            "SELECT number, checksum, content FROM pages WHERE number < ? "
            "ORDER BY number DESC LIMIT 1",
            (before,),
        ).fetchone():
            before, checksum, content = row
            yield Page(before, content, zlib.crc32(content) == checksum)

    def delete_to(self, number: int) -> None:
        """Delete the pages up to a number, in steps that hold up the writer for a moment only."""
        while True:
            step = self._con.execute(
                "SELECT max(number) FROM (SELECT number FROM pages WHERE number <= ? "
                "ORDER BY number LIMIT ?)",
                (number, _DELETED_AT_ONCE),
            ).fetchone()[0]
            if step is None:
                return
            self._con.execute("BEGIN IMMEDIATE")
            self._con.execute("DELETE FROM pages WHERE number <= ?", (step,))
            self._con.execute("UPDATE inbox SET done = max(done, ?)", (step,))
            self._con.execute("COMMIT")

    def shrink(self) -> None:
        """Give the room of deleted pages back to the disk."""
        while self._con.execute("PRAGMA freelist_count").fetchone()[0] > _VACUUMED_AT_ONCE:
            self._con.execute(f"PRAGMA incremental_vacuum({_VACUUMED_AT_ONCE})").fetchall()
        self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._con.close()


def connect(path: Path) -> sqlite3.Connection:
    """Connect to a file of the inbox; each statement is a transaction of its own."""
    return sqlite3.connect(
        path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file itself is broken, not the disk or the rights."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


@contextmanager
def open_for_loading(path: Path) -> Iterator[Store]:
    """Open a file to load and empty it, also while its own process writes.

    Raises:
        WherryError: If it can't be read.
    """
    try:
        with closing(Store(path)) as store:
            yield store
    except sqlite3.Error as error:
        raise WherryError(f"The inbox {path} can't be read: {error}") from error


def read_waiting(folder: Path) -> list[Waiting]:
    """What waits in each file of an inbox folder; reads only."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with closing(connect(path)) as con:
                events, pages, oldest = con.execute(
                    "SELECT coalesce(sum(events), 0), count(*), min(began_at) FROM pages"
                ).fetchone()
        except sqlite3.Error:
            continue
        found.append(Waiting(path.stem, events, pages, oldest))
    return found
