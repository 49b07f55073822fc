"""A drain: what the inbox holds into the log, whole and exactly once, whatever is killed.

The pages of a round, and the number of the last of them, go into the lake in one transaction;
only then are they deleted. Whoever is killed in between leaves pages that the lake says it has:
the next drain deletes them unread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from wherry.collect.batch import Batch
from wherry.collect.inbox import (
    Ownership,
    Store,
    ask_to_mend,
    is_damage,
    is_full,
    mend,
    open_whole,
    store_paths,
)
from wherry.collect.load import Loaded
from wherry.collect.values import literal
from wherry.errors import WherryError
from wherry.lake import create_raw_tables


def drain(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    now: datetime,
    excluded: Collection[int] = (),
    round_bytes: int = 64_000_000,
    on_progress: Callable[[str], None] | None = None,
) -> list[Loaded]:
    """Load everything that the inbox holds by now into the log, one load a round.

    ``con`` is a writer's connection to the lake, ``folder`` the inbox's, ``now`` the time of
    the load (UTC, without a zone). What the loads ``excluded`` brought counts as never come.
    A round takes about ``round_bytes`` of pages, which bounds the memory. The processes that
    fill the inbox may go on meanwhile. The caller holds the project lock and has recovered the
    lake from what was killed before.

    Raises:
        LakeError: If the lake can't be written; the inbox then keeps what was not loaded.
        WherryError: If the inbox can't be read.
    """
    create_raw_tables(con)
    work = _Drain(con, folder, now, excluded, round_bytes, on_progress or (lambda step: None))
    while work.is_to_go_on:
        work.go()
    return work.loads


class _Drain:
    """The rounds of one drain; once more from the start where a damaged file was mended."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        folder: Path,
        now: datetime,
        excluded: Collection[int],
        round_bytes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.con = con
        self.folder = folder
        self.now = now
        self.excluded = excluded
        self.round_bytes = round_bytes
        self.tell = tell
        self.loads: list[Loaded] = []
        self.is_to_go_on = True
        self._mended: set[Path] = set()

    def go(self) -> None:
        """Open every file of the inbox and load what they hold."""
        self.is_to_go_on = False
        with ExitStack() as stack:
            sources = []
            for path in store_paths(self.folder):
                opened = self._open(path)
                if opened is not None:
                    store, owned = opened
                    if owned is not None:
                        stack.callback(owned.give_up)
                    stack.callback(store.close)
                    sources.append(_Source(self.con, store, owned))
            self._load(sources)
        for source in sources:
            if source.is_broken:
                self._mend(source.store.path, source.taken_to)

    def _load(self, sources: list[_Source]) -> None:
        for source in sources:
            source.forget_loaded()
        while (batch := self._next_batch(sources)) is not None:
            self.tell(f"{batch.n_deliveries:,} requests")
            self.loads.append(batch.load({source.name: source.taken_to for source in sources}))
            for source in sources:
                source.forget_loaded()
        for source in sources:
            source.shrink()

    def _next_batch(self, sources: list[_Source]) -> Batch | None:
        """The next pages of all files, about a round's bytes; ``None`` where there are none."""
        batch, size = Batch(self.con, self.now, self.excluded), 0
        before = [source.taken_to for source in sources]
        for source in sources:
            if size >= self.round_bytes or source.is_broken:
                continue
            for content in source.pages():
                size += len(content)
                batch.take(source.store.path, content)
                if size >= self.round_bytes:
                    break
        return None if [source.taken_to for source in sources] == before else batch

    def _open(self, path: Path) -> tuple[Store, Ownership | None] | None:
        try:
            return _open_store(path)
        except sqlite3.Error as error:
            if is_damage(error):
                self._mend(path, 0)
                return None
            if not path.exists():  # its owner is replacing it; the next drain will find it
                return None
            raise WherryError(f"The inbox {path} can't be read: {error}") from error

    def _mend(self, path: Path, loaded_to: int) -> None:
        """Replace a damaged file, or ask the process that owns it to."""
        owned = Ownership.of(path)
        if owned is None:
            ask_to_mend(path, loaded_to=loaded_to)
            return
        try:
            mend(path, loaded_to=loaded_to)
        finally:
            owned.give_up()
        if path not in self._mended:
            self.is_to_go_on = True
            self._mended.add(path)


class _Source:
    """One file of the inbox, and how far it has been taken.

    ``owned`` is there if nobody wrote the file when it was opened. ``is_broken`` says that it
    turned out to be damaged: nothing more is taken from it.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, store: Store, owned: Ownership | None
    ) -> None:
        self.store = store
        self._owned = owned
        self.name = store.id
        self.is_broken = False
        row = con.execute(
            f"SELECT max(page) FROM lake.raw.inbox WHERE inbox = {literal(store.id)}"
        ).fetchone()
        self.taken_to = int(row[0] or 0) if row else 0
        self._until = store.last  # what comes later is the next drain's

    def pages(self) -> Iterator[bytes]:
        """The pages that are left; each counts as taken once it has been given."""
        with self._noting_damage():
            for page in self.store.pages(self.taken_to):
                if page.number > self._until:
                    return
                self.taken_to = page.number
                yield page.content

    def forget_loaded(self) -> None:
        """Delete the pages that the log has."""
        with self._noting_damage():
            self.store.delete_to(self.taken_to)

    def shrink(self) -> None:
        """Give the room of loaded pages back to the disk, with the file if nobody writes it."""
        if self.is_broken:
            return
        if self._owned is not None:
            with self._noting_damage():
                self._remove()
            return
        owned = Ownership.of(self.store.path)
        with self._noting_damage():
            if owned is None:
                self.store.shrink()
                return
            try:
                self._remove()
            finally:
                owned.give_up()

    def _remove(self) -> None:
        """Delete the file, unless it is another by now or holds more: its owner came and went."""
        self.store.close()
        if self.store.path.exists():
            now = Store(self.store.path)
            if now.id == self.name and next(now.pages(self.taken_to), None) is None:
                now.remove()
            else:
                now.close()

    @contextmanager
    def _noting_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                self.is_broken = True
            elif not is_full(error):  # what can't be deleted now is the next drain's
                path = self.store.path
                raise WherryError(f"The inbox {path} can't be read: {error}") from error


def _open_store(path: Path) -> tuple[Store, Ownership | None]:
    """Open a file; one that nobody writes is first seen to be whole, and is owned from then on.

    Whoever begins to write it meanwhile would look at a log that changes under its eyes, and take
    that for damage.
    """
    owned = Ownership.of(path)
    if owned is None:
        # Deleting need not wait for the disk: what a power cut brings back is known to be loaded.
        return Store(path, synchronous="NORMAL"), None
    try:
        return open_whole(path), owned
    except BaseException:
        owned.give_up()
        raise
