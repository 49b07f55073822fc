"""The inbox of one process: many requests wait while one commit puts all of them on disk."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Literal

import msgspec

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox.damage import asked_to_mend, mend, open_whole
from wherry.collect.inbox.owner import Ownership
from wherry.collect.inbox.page import (
    Entry,
    decode_page,
    encode_answers,
    encode_entry,
    ids_of,
    write_page,
)
from wherry.collect.inbox.recent import RecentIds
from wherry.collect.inbox.store import Store, is_damage
from wherry.domain import Event, LoggedAnswer
from wherry.errors import InboxUnavailable

logger = logging.getLogger("wherry.collect")

Fsync = Literal["always", "interval", "never"]
"""When what was acknowledged is forced to disk: before the answer, every second, or whenever
the system likes. All three outlive a killed process; only the first a power cut."""

_SYNCHRONOUS = {"always": "FULL", "interval": "NORMAL", "never": "OFF"}
_PAGE_BYTES = 4_000_000
_TICK_SECONDS = 1.0
_FEW = 64
"""How many events may be told of on the event loop at once: a millisecond's worth."""

_EPOCH = datetime(1970, 1, 1)


class Receipt(msgspec.Struct, frozen=True):
    """What an acknowledgement says of a delivery's events: new ones, and known already."""

    taken: int
    known: int


After = Callable[[Sequence[Event]], None]
"""Is told of events once they are on disk and before they are acknowledged: a few of them on
the event loop, many in the thread that writes."""


class _Pending(msgspec.Struct, eq=False):
    """A delivery on its way to the disk, and who waits for it."""

    content: bytes
    events: Sequence[Event]
    began_at: str
    fresh: set[int]
    done: asyncio.Future[None]


class Inbox:
    """Puts deliveries on disk, from one event loop, in a file of its own.

    A thread commits whatever has come while it committed before (group commit). ``folder`` is
    shared with the processes that load from it and with other servers, each of which writes a
    file of its own. At most ``max_waiting_bytes`` may be on their way at once. Whatever goes
    wrong with the disk, the next delivery is tried afresh, so that it recovers by itself; a
    file that turns out to be damaged is set aside and replaced.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "inbox",
        *,
        fsync: Fsync = "always",
        max_waiting_bytes: int = 64_000_000,
        recent_ids: int = 1_000_000,
        retry_seconds: int = 5,
        after: After | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self._fsync: Fsync = fsync
        self._max_waiting = max_waiting_bytes
        self._retry_seconds = retry_seconds
        self._after = after
        self._recent = RecentIds(recent_ids)
        self._recent_limit = recent_ids
        self._owned: Ownership | None = None
        self._store: Store | None = None
        self._queue: deque[_Pending] = deque()
        self._waiting = 0
        self._mark = os.urandom(8).hex()
        self._batches = count()
        self._wake = threading.Semaphore(0)
        self._ticked = monotonic()
        self._is_closing = False
        self._thread = threading.Thread(target=self._write, name="inbox", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str = "inbox",
        *,
        fsync: Fsync = "always",
        max_waiting_bytes: int = 64_000_000,
        recent_ids: int = 1_000_000,
        retry_seconds: int = 5,
        after: After | None = None,
    ) -> Inbox:
        """Open the inbox of a process, in the file ``name`` unless another process writes that.

        A disk that can't be written now is no error here: :meth:`put` says it, until it can.
        ``after`` is told of all events that are kept; what it raises is logged and holds
        nothing up.
        """
        inbox = cls(
            folder,
            name,
            fsync=fsync,
            max_waiting_bytes=max_waiting_bytes,
            recent_ids=recent_ids,
            retry_seconds=retry_seconds,
            after=after,
        )
        try:
            inbox._remember()
        except (sqlite3.Error, OSError) as error:
            logger.error("The inbox in %s can't be used now: %s", folder, error)
        inbox._thread.start()
        return inbox

    async def put(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        """Keep a delivery; it is on disk, whole, when this returns.

        Raises:
            InboxUnavailable: If it can't be kept now: nothing of it was.
        """
        content = encode_entry(delivery, parsed)
        self._require_room(content)
        fresh = self._recent.add(delivery.tenant, [event.event_id for event in parsed.events])
        await self._written(content, parsed.events, delivery.received_at, fresh)
        return Receipt(len(fresh), len(parsed.events) - len(fresh))

    async def put_answers(
        self, answers: Sequence[LoggedAnswer | msgspec.Raw], now: datetime
    ) -> None:
        """Keep a batch of answers, given at ``now`` (UTC), each packed or not; it is on disk,
        whole, when this returns.

        Raises:
            InboxUnavailable: If it can't be kept now: nothing of it was.
        """
        microseconds = (now - _EPOCH) // timedelta(microseconds=1)
        batch_id = f"{microseconds:014x}-{self._mark}-{next(self._batches):x}"
        content = encode_answers(batch_id, now, answers)
        self._require_room(content)
        await self._written(content, (), now, set())

    def _require_room(self, content: bytes) -> None:
        if self._is_closing or self._waiting + len(content) > self._max_waiting:
            raise InboxUnavailable("More is on its way to the disk than may wait.", 1)

    async def _written(
        self, content: bytes, events: Sequence[Event], began_at: datetime, fresh: set[int]
    ) -> None:
        """Hand something to the thread, and wait until it is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(content, events, began_at.isoformat(), fresh, done))
        self._waiting += len(content)
        self._wake.release()
        await done

    async def close(self) -> None:
        """Finish what is on its way, and close the file."""
        self._is_closing = True
        self._wake.release()
        await asyncio.to_thread(self._thread.join)

    # In the thread

    def _write(self) -> None:
        while True:
            self._wake.acquire(timeout=_TICK_SECONDS)
            group = self._take()
            if group:
                self._answer(group, self._keep(group))
            elif self._is_closing:
                break
            if monotonic() - self._ticked > _TICK_SECONDS:
                self._tick()
        self._let_go()

    def _take(self) -> list[_Pending]:
        """Whatever waits, up to a page's size."""
        group: list[_Pending] = []
        size = 0
        while self._queue and size < _PAGE_BYTES:
            group.append(self._queue.popleft())
            size += len(group[-1].content)
        for _ in group[1:]:
            self._wake.acquire(blocking=False)
        return group

    def _keep(self, group: Sequence[_Pending]) -> InboxUnavailable | None:
        content = write_page([each.content for each in group])
        n_events = sum([len(each.events) for each in group])
        try:
            try:
                self._ready_store().append(content, n_events, group[0].began_at)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._mend()
                self._ready_store().append(content, n_events, group[0].began_at)
        except (sqlite3.Error, OSError) as error:
            logger.error("The inbox in %s can't be written: %s", self.folder, error)
            # Not even to delete is there room on a full disk: a load then removes the file.
            self._let_go()
            return InboxUnavailable(
                f"The inbox can't be written: {error}. Nothing of this was kept.",
                self._retry_seconds,
            )
        return None

    def _answer(self, group: list[_Pending], error: InboxUnavailable | None) -> None:
        kept = [event for each in group for event in each.events] if error is None else []
        if len(kept) > _FEW:
            for start in range(0, len(kept), _FEW):  # the loop goes on in between
                self._tell(kept[start : start + _FEW])
            kept = []
        try:
            group[0].done.get_loop().call_soon_threadsafe(self._finish, group, error, kept)
        except RuntimeError:  # the loop is closed, and with it the connections
            logger.error("The server stopped before %d requests were answered.", len(group))

    def _tell(self, kept: Sequence[Event]) -> None:
        if self._after is None or not kept:
            return
        try:
            self._after(kept)
        except Exception:  # the events are on disk, whatever becomes of what is made from them
            logger.exception("%d events are kept, but were not told of.", len(kept))

    def _ready_store(self) -> Store:
        """The open file; opened again after an error, and mended if it is damaged."""
        if self._store is None:
            if self._owned is None:
                self._owned = Ownership.claim(self.folder, self.name)
            synchronous = _SYNCHRONOUS[self._fsync]
            self._store = open_whole(self._owned.path, synchronous=synchronous)
        return self._store

    def _tick(self) -> None:
        """What is done every second: forcing to disk, and looking whether a load found damage."""
        self._ticked = monotonic()
        if self._owned is None:
            return
        try:
            if self._fsync == "interval":
                _force_to_disk(Path(f"{self._owned.path}-wal"))
            loaded_to = asked_to_mend(self._owned.path)
            if loaded_to is not None:
                self._mend(loaded_to)
        except (sqlite3.Error, OSError) as error:
            logger.error("The inbox in %s can't be written: %s", self.folder, error)

    def _mend(self, loaded_to: int = 0) -> None:
        self._close_store()
        if self._owned is not None:
            mend(self._owned.path, loaded_to=loaded_to)

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _let_go(self) -> None:
        self._close_store()
        if self._owned is not None:
            self._owned.give_up()
            self._owned = None

    # In the loop

    def _finish(
        self, group: list[_Pending], error: InboxUnavailable | None, kept: Sequence[Event]
    ) -> None:
        self._tell(kept)
        for each in group:
            self._waiting -= len(each.content)
            if error is not None:
                self._recent.drop(each.fresh)
            if not each.done.done():
                if error is None:
                    each.done.set_result(None)
                else:
                    each.done.set_exception(error)

    def _remember(self) -> None:
        """Know the newest events that wait in the file from before a restart."""
        try:
            self._read_ids(self._ready_store())
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._mend()
            self._read_ids(self._ready_store())

    def _read_ids(self, store: Store) -> None:
        n_events = 0
        for page in store.newest_pages():
            for entry in decode_page(page.content):
                if isinstance(entry, Entry):
                    self._recent.add(entry.delivery.tenant, ids_of(entry))
            n_events += page.events
            if n_events >= self._recent_limit:
                return


def _force_to_disk(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
