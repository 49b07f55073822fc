"""The project lock: one writer at a time, and everyone else is told who it is."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wherry.errors import LockHeld

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 2.0
_BRIEF_SECONDS = 60.0


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock: the process, what it runs, and since when (UTC).

    ``is_brief`` says that it is over in seconds: everyone waits for that without being told to.
    """

    pid: int
    command: str
    since: datetime
    is_brief: bool = False


@contextmanager
def project_lock(
    path: Path,
    command: str,
    *,
    wait_seconds: float = 0.0,
    on_wait: Callable[[str], None] | None = None,
    is_brief: bool = False,
) -> Iterator[None]:
    """Hold the lock on a project while the body runs, which is over in seconds if ``is_brief``.

    The lock is the kernel's (``flock``), so it falls with its holder, however that one ends.
    ``on_wait`` is told once who is being waited for.

    Raises:
        LockHeld: If another process still holds it after ``wait_seconds``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        started = time.monotonic()
        told = False
        while not _try_lock(file.fileno()):
            holder = read_holder(path)
            if holder and not told and on_wait is not None and wait_seconds > 0:
                on_wait(describe_holder(holder))
                told = True
            # Who only looks whether there is a holder has the lock for a moment, without a name.
            if time.monotonic() - started >= max(wait_seconds, _patience(holder, is_brief)):
                raise LockHeld(
                    f"Another process is writing to this project: {describe_holder(holder)}. "
                    "Wait for it, or pass --wait SECONDS to queue behind it."
                )
            time.sleep(_POLL_SECONDS)
        own = Holder(os.getpid(), command, datetime.now(UTC).replace(microsecond=0), is_brief)
        file.truncate(0)
        file.write(msgspec.json.encode(own))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def read_holder(path: Path) -> Holder | None:
    """Say who holds the lock, or ``None`` when nobody does."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        if _try_lock(file.fileno()):
            return None
        try:
            return msgspec.json.decode(file.read(), type=Holder)
        except msgspec.DecodeError:
            # The holder has taken the lock and not yet written its name.
            return None


def describe_holder(holder: Holder | None) -> str:
    """Who holds the lock, in words."""
    if holder is None:
        return "a process that is just starting"
    return f"'{holder.command}', process {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S} UTC"


def _patience(holder: Holder | None, is_brief: bool) -> float:
    """Seconds to wait for a holder without being told to."""
    if holder is None:
        return _GRACE_SECONDS
    return _BRIEF_SECONDS if holder.is_brief and not is_brief else 0.0


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
