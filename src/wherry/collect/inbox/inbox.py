"""The inbox of one process: many requests wait while one commit puts all of them on disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from wherry.collect.delivery import Delivery, Parsed
from wherry.collect.inbox.page import decode_page, encode_entry, ids_of
from wherry.collect.inbox.recent import RecentIds
from wherry.collect.inbox.store import SUFFIX, Store
from wherry.errors import InboxUnavailable

logger = logging.getLogger("wherry.collect")

Fsync = Literal["always", "interval", "never"]
"""When what was acknowledged is forced to disk: before the answer, every second, or whenever
the system likes. All three outlive a killed process; only the first a power cut."""

_SYNCHRONOUS = {"always": "FULL", "interval": "NORMAL", "never": "OFF"}
_PAGE_BYTES = 4_000_000


class Receipt(msgspec.Struct, frozen=True):
    """What an acknowledgement says of a delivery's events: new ones, and known already."""

    taken: int
    known: int


class _Pending(msgspec.Struct, eq=False):
    """A delivery on its way to the disk, and who waits for it."""

    content: bytes
    n_events: int
    began_at: str
    fresh: set[int]
    done: asyncio.Future[None]


class Inbox:
    """Puts deliveries on disk, from one event loop, in a file of its own.

    A thread commits whatever has come while it committed before (group commit). ``folder`` is
    shared with the processes that load from it. At most ``max_waiting_bytes`` may be on their
    way at once. Whatever goes wrong with the disk, the next delivery is tried afresh, so that
    it recovers by itself.
    """

    def __init__(
        self,
        path: Path,
        *,
        fsync: Fsync = "always",
        max_waiting_bytes: int = 64_000_000,
        recent_ids: int = 1_000_000,
        retry_seconds: int = 5,
    ) -> None:
        self.path = path
        self._fsync: Fsync = fsync
        self._max_waiting = max_waiting_bytes
        self._retry_seconds = retry_seconds
        self._recent = RecentIds(recent_ids)
        self._store: Store | None = None
        self._queue: deque[_Pending] = deque()
        self._waiting = 0
        self._wake = threading.Semaphore(0)
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
    ) -> Inbox:
        """Open the inbox of a process, which keeps its own ``name`` over restarts.

        A disk that can't be written now is no error here: :meth:`put` says it, until it can.
        """
        inbox = cls(
            folder / f"{name}{SUFFIX}",
            fsync=fsync,
            max_waiting_bytes=max_waiting_bytes,
            recent_ids=recent_ids,
            retry_seconds=retry_seconds,
        )
        try:
            inbox._remember(inbox._ready_store(), recent_ids)
        except (sqlite3.Error, OSError, msgspec.DecodeError) as error:
            logger.error("The inbox %s can't be used now: %s", inbox.path, error)
        inbox._thread.start()
        return inbox

    async def put(self, delivery: Delivery, parsed: Parsed) -> Receipt:
        """Keep a delivery; it is on disk, whole, when this returns.

        Raises:
            InboxUnavailable: If it can't be kept now: nothing of it was.
        """
        content = encode_entry(delivery, parsed)
        if self._is_closing or self._waiting + len(content) > self._max_waiting > 0:
            raise InboxUnavailable("The inbox is full to the brim for the moment.", 1)
        fresh = self._recent.add(delivery.tenant, [event.event_id for event in parsed.events])
        done = asyncio.get_running_loop().create_future()
        began_at = delivery.received_at.isoformat()
        n_events = len(parsed.events)
        self._queue.append(_Pending(content, n_events, began_at, fresh, done))
        self._waiting += len(content)
        self._wake.release()
        await done
        return Receipt(len(fresh), n_events - len(fresh))

    async def close(self) -> None:
        """Finish what is on its way, and close the file."""
        self._is_closing = True
        self._wake.release()
        await asyncio.to_thread(self._thread.join)
        if self._store is not None:
            self._store.close()
            self._store = None

    # In the thread

    def _write(self) -> None:
        while True:
            self._wake.acquire()
            if not self._queue:
                if self._is_closing:
                    return
                continue
            group = self._take()
            self._answer(group, self._commit(group))

    def _take(self) -> list[_Pending]:
        """Whatever waits, up to a page's size."""
        group, size = [], 0
        while self._queue and size < _PAGE_BYTES:
            group.append(self._queue.popleft())
            size += len(group[-1].content)
        for _ in group[1:]:
            self._wake.acquire(blocking=False)
        return group

    def _commit(self, group: Sequence[_Pending]) -> InboxUnavailable | None:
        content = b"".join([each.content for each in group])
        n_events = sum([each.n_events for each in group])
        try:
            self._ready_store().append(content, n_events, group[0].began_at)
        except (sqlite3.Error, OSError) as error:
            logger.error("The inbox %s can't be written: %s", self.path, error)
            if self._store is not None:
                self._store.close()
                self._store = None
            return InboxUnavailable(
                f"The inbox can't be written: {error}. Nothing of this was kept.",
                self._retry_seconds,
            )
        return None

    def _answer(self, group: list[_Pending], error: InboxUnavailable | None) -> None:
        try:
            group[0].done.get_loop().call_soon_threadsafe(self._finish, group, error)
        except RuntimeError:
            logger.error("The server stopped before %d requests were answered.", len(group))

    def _ready_store(self) -> Store:
        if self._store is None:
            self._store = Store(self.path, _SYNCHRONOUS[self._fsync])
        return self._store

    # In the loop

    def _finish(self, group: list[_Pending], error: InboxUnavailable | None) -> None:
        for each in group:
            self._waiting -= len(each.content)
            if error is not None:
                self._recent.drop(each.fresh)
            if not each.done.done():
                if error is None:
                    each.done.set_result(None)
                else:
                    each.done.set_exception(error)

    def _remember(self, store: Store, limit: int) -> None:
        """Know the newest events that wait in the file from before a restart."""
        n_events = 0
        for page in store.newest_pages():
            for entry in decode_page(page.content) if page.is_whole else ():
                ids = ids_of(entry)
                self._recent.add(entry.delivery.tenant, ids)
                n_events += len(ids)
            if n_events >= limit:
                return
