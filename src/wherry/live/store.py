"""The live store: one LMDB environment that every server process of a project shares.

Everything in it can be made again from the log, which decides how it is kept. Commits are left
to the system to write (``sync=False``): they outlive every killed process, since the pages are
the kernel's. What a power cut leaves is not trusted: an environment of an earlier boot of the
machine is replaced by an empty one, and so is a damaged or a full one. Whoever keeps something
here marks it as complete under ``Noun.MARKS``, and makes it again where the mark is missing.

No reader ever waits. Writers wait for one another, for some microseconds each.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from time import monotonic
from typing import TypeVar
from weakref import WeakSet

import lmdb

from wherry.domain import TenantId
from wherry.live.environment import (
    Environment,
    boot_id,
    is_damage,
    open_environment,
    replace_environment,
    withdraw_environment,
)

logger = logging.getLogger("wherry.live")

T = TypeVar("T")

_LONGEST_KEY = 400  # of LMDB's 511 bytes, with room for a prefix
_LOOK_SECONDS = 1.0
_CHECK_READERS_SECONDS = 30.0


class Noun(StrEnum):
    """What is kept, each kind in a database of its own."""

    MARKS = "marks"
    SESSIONS = "sessions"
    SEEN = "seen"
    AVAILABILITY = "availability"
    SHOWN = "shown"
    ROLLOUTS = "rollouts"

    # An enumeration's own hash is computed in Python, and each look asks for a database by it.
    __hash__ = str.__hash__


def live_key(tenant: TenantId, *names: str) -> bytes:
    """The key of a tenant's thing. No two things share one, and all of a tenant's keys begin
    with ``live_key(tenant)``.

    >>> live_key(TenantId("north"), "anna")
    b'north\\x00\\x00anna'
    """
    head = tenant.encode() + b"\0"
    if not names:
        return head
    if len(names) == 1:
        key = head + b"\0" + names[0].encode("utf-8", "surrogatepass")
        return key if len(key) <= _LONGEST_KEY else _hashed(head, key)
    # Only the last name may hold a zero character; the lengths of the others stand before them.
    parts = [name.encode("utf-8", "surrogatepass") for name in names]
    last = parts.pop()
    key = b"".join([head, *[b"%d\0%b" % (len(part), part) for part in parts], b"\0", last])
    return key if len(key) <= _LONGEST_KEY else _hashed(head, key)


def _hashed(head: bytes, key: bytes) -> bytes:
    return head + b"\1" + blake2b(key, digest_size=32).digest()


class Changes:
    """One transaction that writes: all of it takes effect, or nothing."""

    def __init__(self, environment: Environment, transaction: lmdb.Transaction[bytes]) -> None:
        self._databases = environment.databases
        self._page_bytes = environment.page_bytes
        self._transaction = transaction

    def get(self, noun: Noun, key: bytes) -> bytes | None:
        """What is kept under a key, None if nothing is."""
        return _bytes(self._transaction.get(key, db=self._databases[noun]))

    def put(self, noun: Noun, key: bytes, value: bytes) -> None:
        """Keep a value under a key, in place of what was there."""
        self._transaction.put(key, value, db=self._databases[noun])

    def delete(self, noun: Noun, key: bytes) -> bool:
        """Let go of a key; False if there was nothing."""
        return bool(self._transaction.delete(key, db=self._databases[noun]))

    def clear(self, noun: Noun) -> None:
        """Let go of all keys of a noun."""
        self._transaction.drop(self._databases[noun], delete=False)

    def scan(
        self, noun: Noun, *, start: bytes = b"", prefix: bytes = b"", at_most: int = 1_000
    ) -> list[tuple[bytes, bytes]]:
        """Keys and values in the order of their keys, from ``start`` (or ``prefix``) on."""
        found: list[tuple[bytes, bytes]] = []
        with self._transaction.cursor(db=self._databases[noun]) as cursor:
            first = max(start, prefix)
            if not (cursor.set_range(first) if first else cursor.first()):
                return found
            for key, value in cursor:
                if len(found) == at_most or not key.startswith(prefix):
                    break
                found.append((key, value))
        return found

    def count(self, noun: Noun) -> int:
        """How many keys there are."""
        return int(self._transaction.stat(self._databases[noun])["entries"])

    def size(self, noun: Noun) -> int:
        """How many bytes the pages of a noun take."""
        stat = self._transaction.stat(self._databases[noun])
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages) * self._page_bytes


class LiveStore:
    """The live store in a folder, opened when it is first used.

    ``max_bytes`` bounds the file. Threads may share one; a process must not have two of the
    same folder. It never raises for what is wrong with the file or the disk: a read then finds
    nothing, a change is not kept, ``failures`` counts it, and the next try opens it afresh.
    ``boot`` identifies the machine's boot; an environment of another one is replaced.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = 512_000_000, boot: str | None = None
    ) -> None:
        self.folder = folder
        self.failures = 0
        self._max_bytes = max_bytes
        self._boot = boot_id() if boot is None else boot
        self._environment: Environment | None = None
        self._pid = 0
        self._look_at = 0.0
        self._check_readers_at = 0.0
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        _opened.add(self)

    def get(self, noun: Noun, key: bytes) -> bytes | None:
        """What is kept under a key, None if nothing is."""
        environment = self._ready()
        if environment is not None:
            try:
                with environment.env.begin(environment.databases[noun]) as transaction:
                    return _bytes(transaction.get(key))
            except lmdb.Error as error:
                self._put_right(environment, error)
        return None

    def get_many(self, noun: Noun, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is kept under each key, as of one moment; None where nothing is."""
        environment = self._ready()
        if environment is not None:
            try:
                with environment.env.begin(environment.databases[noun]) as transaction:
                    return [_bytes(transaction.get(key)) for key in keys]
            except lmdb.Error as error:
                self._put_right(environment, error)
        return [None] * len(keys)

    def update(self, step: Callable[[Changes], T]) -> T | None:
        """Change what is kept in one transaction, and return what ``step`` returns.

        None: it could not be kept. ``step`` may be called again in an environment that was
        replaced; what it raises undoes the transaction and is raised.
        """
        for _ in range(3):
            environment = self._ready()
            if environment is None:
                return None
            try:
                # LMDB has one writer at a time; who waits for it in there holds the GIL.
                with self._writing, environment.env.begin(write=True) as transaction:
                    if environment.is_current():
                        return step(Changes(environment, transaction))
                self._look_at = 0.0  # another process has replaced it
            except lmdb.Error as error:
                self._put_right(environment, error)
        return None

    def compact(self) -> None:
        """Write everything anew, so that nothing of what was let go of is left in the file."""
        environment = self._ready()
        if environment is None:
            return
        try:
            with _alone(self.folder), self._writing, environment.env.begin(write=True):
                if environment.is_current():
                    replace_environment(environment, self._boot)
        except OSError as error:
            self.failures += 1
            logger.error("The live store in %s can't be written anew: %s", self.folder, error)
        except lmdb.Error as error:
            self._put_right(environment, error)
        self._look_at = 0.0

    def close(self) -> None:
        """Close the environment; the next use opens it again."""
        with self._lock:
            if self._environment is not None and self._pid == os.getpid():
                with self._writing:  # LMDB would wait for another thread's write, with the GIL
                    self._environment.env.close()
            self._environment = None
            self._look_at = 0.0

    def look_again(self) -> None:
        """Look at the file before the next use, and not only once a second."""
        self._look_at = 0.0

    def _ready(self) -> Environment | None:
        """The open environment; None while it can't be opened."""
        if monotonic() < self._look_at:
            return self._environment
        with self._lock:
            return self._look()

    def _look(self) -> Environment | None:
        """Open the environment if it isn't, or is another one by now; clear dead readers."""
        now = monotonic()
        if self._environment is not None and self._pid != os.getpid():
            self._environment = None  # a fork's parent has it open; it is not ours to close
        self._pid = os.getpid()
        if self._environment is not None and not self._environment.is_current():
            self.close()
        if self._environment is None:
            self._environment = self._open()
        if self._environment is not None and now >= self._check_readers_at:
            self._check_readers_at = now + _CHECK_READERS_SECONDS
            self._environment.env.reader_check()
        self._look_at = now + _LOOK_SECONDS
        return self._environment

    def _open(self) -> Environment | None:
        try:
            with _alone(self.folder):
                return open_environment(
                    self.folder, list(Noun), max_bytes=self._max_bytes, boot=self._boot
                )
        except (OSError, lmdb.Error) as error:
            self.failures += 1
            logger.error("The live store in %s can't be opened: %s", self.folder, error)
            return None

    def _put_right(self, environment: Environment, error: lmdb.Error) -> None:
        """Note what LMDB raised, and see to it that the next try may go better."""
        self.failures += 1
        logger.error("The live store in %s failed: %s", self.folder, error)
        with self._lock:
            if environment is not self._environment:
                return  # another thread has put it right
            is_full = isinstance(error, lmdb.MapFullError)
            if is_full and environment.env.reader_check() > 0:
                return  # the dead held what the living need
            self.close()
            if is_full or is_damage(error):
                self._withdraw(environment)

    def _withdraw(self, environment: Environment) -> None:
        try:
            with _alone(self.folder):
                if environment.is_current():  # nobody else replaced it
                    withdraw_environment(self.folder)
        except OSError as error:
            logger.error("The live store in %s can't be replaced: %s", self.folder, error)


_opened: WeakSet[LiveStore] = WeakSet()


def _after_fork() -> None:
    """In a child everything is to be opened anew; to ask for its id at each look takes longer
    than the look."""
    for store in _opened:
        store.look_again()


os.register_at_fork(after_in_child=_after_fork)


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    """What a transaction without buffers gives: never a view."""
    assert not isinstance(value, memoryview)
    return value


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from opening or replacing the environment meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "opening.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
