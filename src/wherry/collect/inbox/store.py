"""One file of the inbox: pages in SQLite, written by one process, read and emptied by a load."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from uuid import uuid4

import msgspec

from wherry.collect.inbox.recovery import PAGE_BYTES

SUFFIX = ".sqlite"
_WAIT_SECONDS = 60
_CHECKPOINT_PAGES = 2_000
_DELETED_AT_ONCE, _DELETED_BYTES = 64, 1_000_000
_VACUUMED_AT_ONCE = 500
_PAUSE_SECONDS = 0.002
_LEAP = 1_000_000
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
PRAGMA page_size = {page_bytes};
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS inbox (id TEXT NOT NULL, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
    number INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    began_at TEXT NOT NULL,
    content BLOB NOT NULL
);
INSERT INTO inbox SELECT '{id}', 0 WHERE NOT EXISTS (SELECT * FROM inbox);
COMMIT;
"""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """A page as it lies in the file: so many events, the first of which came at ``began_at``."""

    number: int
    events: int
    began_at: str
    content: bytes


class Waiting(msgspec.Struct, frozen=True):
    """What one file of the inbox holds: events not loaded yet, and when the oldest came."""

    name: str
    events: int
    pages: int
    oldest: datetime | None


class Store:
    """The pages of one file. Numbers only ever rise, also over a restart of an empty file.

    ``synchronous`` is SQLite's: ``FULL`` puts every commit on disk (one fsync of the log),
    ``NORMAL`` leaves that to whoever calls fsync, ``OFF`` to the system.
    """

    def __init__(self, path: Path, *, synchronous: str = "FULL", may_create: bool = False) -> None:
        self.path = path
        self._beside: list[BinaryIO] = []
        self._con = connect(path, "rwc" if may_create else "rw")
        try:
            if not self._has_schema():  # looking needs no room on the disk
                self._con.executescript(_SCHEMA.format(id=uuid4().hex, page_bytes=PAGE_BYTES))
            self._con.execute(f"PRAGMA synchronous = {synchronous}")
            self._con.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            self.id, self.last = self._read_place()
        except BaseException:
            self._con.close()
            raise

    def _has_schema(self) -> bool:
        found = self._con.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        if found.fetchone()[0] < 2:
            return False
        return bool(self._con.execute("SELECT count(*) FROM inbox").fetchone()[0])

    def _read_place(self) -> tuple[str, int]:
        row = self._con.execute(
            "SELECT id, max(done, coalesce((SELECT max(number) FROM pages), 0)) FROM inbox"
        ).fetchone()
        return str(row[0]), int(row[1])

    def append(self, content: bytes, events: int, began_at: str) -> int:
        """Add a page and return its number; it is on disk when this returns."""
        number = self.last + 1
        self._con.execute(
            "INSERT INTO pages VALUES (?, ?, ?, ?)", (number, events, began_at, content)
        )
        self.last = number
        return number

    def pages(self, after: int = 0) -> Iterator[Page]:
        """The pages after a number, in order."""
        while row := self._con.execute(
            "SELECT number, events, began_at, content FROM pages WHERE number > ? "
            "ORDER BY number LIMIT 1",
            (after,),
        ).fetchone():
            page = Page(*row)
            after = page.number
            yield page

    def newest_pages(self) -> Iterator[Page]:
        """All pages, the newest first."""
        before = self.last + 1
        while row := self._con.execute(
            "SELECT number, events, began_at, content FROM pages WHERE number < ? "
            "ORDER BY number DESC LIMIT 1",
            (before,),
        ).fetchone():
            page = Page(*row)
            before = page.number
            yield page

    def delete_to(self, number: int) -> None:
        """Delete the pages up to a number, in steps that hold up the writer for a moment only."""
        while (last := self._some_to(number)) is not None:
            with self._giving_way():
                self._con.execute("DELETE FROM pages WHERE number <= ?", (last,))
                self._con.execute("UPDATE inbox SET done = max(done, ?)", (last,))

    def _some_to(self, number: int) -> int | None:
        """The last of the first pages up to a number that are deleted at once; None: no more."""
        last, size = None, 0
        for page, length in self._con.execute(
            "SELECT number, length(content) FROM pages WHERE number <= ? ORDER BY number LIMIT ?",
            (number, _DELETED_AT_ONCE),
        ):
            size += length
            if last is None or size <= _DELETED_BYTES:
                last = int(page)
        return last

    @contextmanager
    def _giving_way(self) -> Iterator[None]:
        """A transaction, and a pause as long as it was, in which the writer gets in.

        SQLite has it ask again after pauses of up to a tenth of a second: whoever begins the
        next step at once is always there first.
        """
        self._con.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        try:
            yield
            self._con.execute("COMMIT")
        except BaseException:
            if self._con.in_transaction:
                self._con.execute("ROLLBACK")
            raise
        time.sleep(max(time.perf_counter() - began, _PAUSE_SECONDS))

    def shrink(self) -> None:
        """Give the room of deleted pages back to the disk, once they are most of the file."""
        self._con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        while self._free() > max(_VACUUMED_AT_ONCE, self._size() // 2):
            with self._giving_way():
                self._con.execute(f"PRAGMA incremental_vacuum({_VACUUMED_AT_ONCE})").fetchall()
        self._con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _free(self) -> int:
        return int(self._con.execute("PRAGMA freelist_count").fetchone()[0])

    def _size(self) -> int:
        return int(self._con.execute("PRAGMA page_count").fetchone()[0])

    def leap(self) -> None:
        """Let the next number be one that no page has ever had, known to this file or not."""
        self.last += _LEAP
        self._con.execute("UPDATE inbox SET done = max(done, ?)", (self.last,))

    def frames(self) -> int:
        """How many frames SQLite found whole in the file's log."""
        return int(self._con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])

    def read_beside(self) -> BinaryIO:
        """The file itself, to be read past SQLite; it is closed with the store and not before.

        To close it takes away the locks of this process on it, SQLite's own among them: another
        process would take its connection for the last one, and delete the log that is written.
        """
        file = self.path.open("rb")
        self._beside.append(file)
        return file

    def close(self) -> None:
        """Close the file."""
        self._con.close()
        while self._beside:
            self._beside.pop().close()

    def remove(self) -> None:
        """Close the file and delete it; its pages have all been loaded, and it is the caller's."""
        self.close()
        for ending in ("-wal", "-shm", ""):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Connect to a file of the inbox; each statement is a transaction of its own.

    ``mode`` is SQLite's: ``rw`` for a file that exists, ``rwc`` to create it, ``ro``.
    """
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room on the disk."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_FULL


def store_paths(folder: Path) -> list[Path]:
    """The files of an inbox folder, each written by a process of its own."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file itself is broken, not the disk or the rights."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


def read_waiting(folder: Path) -> list[Waiting]:
    """What waits in each file of an inbox folder; a file that can't be read is left out."""
    found = []
    for path in store_paths(folder):
        try:
            with closing(connect(path, "ro")) as con:
                events, pages, oldest = con.execute(
                    "SELECT coalesce(sum(events), 0), count(*), "
                    "min(CASE WHEN events > 0 THEN began_at END) FROM pages"
                ).fetchone()
        except sqlite3.Error:
            continue
        found.append(Waiting(path.stem, events, pages, _time(oldest)))
    return found


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:  # spoiled on the disk
        return None


def read_pages(path: Path, after: Callable[[str], int]) -> Iterator[tuple[str, Page]]:
    """The pages that wait in a file, in order, each with the file's id; only to look at them.

    ``after`` says of an id after which page to begin. A file that is damaged, or goes away, ends
    here without a word: to mend it is the load's.
    """
    try:
        with closing(connect(path, "ro")) as con:
            (name,) = con.execute("SELECT id FROM inbox").fetchone()
            number = after(name)
            while row := con.execute(
                "SELECT number, events, began_at, content FROM pages WHERE number > ? "
                "ORDER BY number LIMIT 1",
                (number,),
            ).fetchone():
                page = Page(*row)
                number = page.number
                yield name, page
    except (sqlite3.Error, TypeError):
        return
