"""What a broken disk leaves of an inbox: it is set aside, and what can be read of it saved.

A broken file ``inbox.sqlite`` is renamed to ``inbox.1.damaged``; a new one is begun and gets
every page that can still be read; then the old one is ``inbox.1.aside``. Nothing is deleted.
The new file has a new identity, so a page of the old one that was loaded already is loaded
again, and its events are known.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from wherry.collect.inbox.page import decode_entry, ids_of, write_page
from wherry.collect.inbox.recovery import count_frames, recover_entries
from wherry.collect.inbox.store import Store, is_damage, is_full
from wherry.lake import write_whole

logger = logging.getLogger("wherry.collect")

_WAITING, _DONE, _REQUEST = "damaged", "aside", ".mend"


def mend(path: Path, *, loaded_to: int = 0) -> None:
    """Replace a broken file by a new one that holds what can be read of it.

    Pages up to ``loaded_to`` are in the log and are left where they are. The caller owns the
    file and has closed it. What a kill interrupts, :func:`finish_mending` goes on with, which
    whoever opens the file calls first.
    """
    _move(path, path.with_suffix(f".{_free_number(path)}.{_WAITING}"))
    finish_mending(path, loaded_to=loaded_to)


def finish_mending(path: Path, *, loaded_to: int = 0) -> None:
    """Save what can be read of files that were renamed and not yet read."""
    for orphan in path.parent.glob(f"{path.stem}.*.{_WAITING}-wal"):
        if not _main_of(orphan).exists():  # killed between the two renames
            orphan.rename(f"{path}-wal")
    for broken in sorted(path.parent.glob(f"{path.stem}.*.{_WAITING}")):
        with closing(Store(path, may_create=True)) as store:
            saved = 0
            for entries in recover_entries(broken, after=loaded_to):
                _append(store, entries)
                saved += 1
        _move(broken, broken.with_suffix(f".{_DONE}"))
        logger.error(
            "The inbox %s was damaged: it is set aside beside it, and %d pages were saved.",
            path,
            saved,
        )
    path.with_suffix(_REQUEST).unlink(missing_ok=True)


def open_whole(path: Path, *, synchronous: str = "FULL") -> Store:
    """Open a file, mended first where it is damaged; the caller owns it.

    SQLite ends the log at the first frame that does not follow from the one before, and drops
    the rest when it closes the file, without a word. Mostly the rest is what a killed load left
    half done. But if a frame was spoiled, acknowledged pages are behind it: these are saved.
    """
    finish_mending(path)
    log = Path(f"{path}-wal")
    frames = count_frames(log) if log.exists() else 0
    try:
        store = Store(path, synchronous=synchronous, may_create=True)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        mend(path)
        return Store(path, synchronous=synchronous, may_create=True)
    try:
        if frames and store.frames() < frames:
            _save_the_rest(store, log)
    except sqlite3.Error as error:
        if not is_full(error):  # then the log stays as it is
            store.close()
            raise
    return store


def _save_the_rest(store: Store, log: Path) -> None:
    """Add the pages that the log holds behind its end, and set a copy of the log aside.

    A single one may be what a server was writing when it was killed, which is no damage.
    """
    rest = list(recover_entries(store.path, after=store.last, opened=store.read_beside()))
    if len(rest) > 1:
        number = _free_number(store.path)
        write_whole(store.path.with_suffix(f".{number}.log.{_DONE}"), log.read_bytes())
        logger.error(
            "The log of the inbox %s was damaged: a copy is set aside beside it, and %d pages "
            "were saved from it.",
            store.path,
            len(rest),
        )
    # Numbers that are lost with the end of the log may have been loaded: none comes again.
    store.leap()
    for entries in rest:
        _append(store, entries)


def _append(store: Store, entries: list[bytes]) -> None:
    decoded = [decode_entry(entry) for entry in entries]
    n_events = sum(len(ids_of(entry)) for entry in decoded)
    store.append(write_page(entries), n_events, decoded[0].began_at.isoformat())


def _free_number(path: Path) -> int:
    number = 1
    while any(path.parent.glob(f"{path.stem}.{number}.*")):
        number += 1
    return number


def ask_to_mend(path: Path, *, loaded_to: int = 0) -> None:
    """Leave word for the process that owns a file that it is broken, and how far it is loaded."""
    write_whole(path.with_suffix(_REQUEST), str(loaded_to).encode())


def asked_to_mend(path: Path) -> int | None:
    """How far the file is loaded, if somebody found it broken; else ``None``."""
    try:
        return int(path.with_suffix(_REQUEST).read_bytes())
    except FileNotFoundError:
        return None


def keep_damaged(path: Path, content: bytes) -> None:
    """Set aside a part of a page that can't be read."""
    mark = hashlib.sha256(content).hexdigest()[:12]
    write_whole(path.with_suffix(f".{mark}.page.{_DONE}"), content)
    logger.error("Of the inbox %s, %d bytes are damaged and set aside.", path, len(content))


def find_set_aside(folder: Path) -> list[Path]:
    """What was damaged and set aside, whole files and parts of pages."""
    return sorted([*folder.glob(f"*.{_WAITING}"), *folder.glob(f"*.{_DONE}")])


def read_set_aside(path: Path) -> Iterator[bytes]:
    """What can be read of something that was set aside: its bytes, and its requests unpacked."""
    yield path.read_bytes()
    log = path if path.name.endswith(f".log.{_DONE}") else None
    if not path.name.endswith(f".page.{_DONE}"):
        for entries in recover_entries(path, log=log):
            yield from entries


def _move(source: Path, target: Path) -> None:
    """Rename a SQLite file and its log, the log first, lest a new file takes it for its own."""
    Path(f"{source}-shm").unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        Path(f"{source}-wal").rename(f"{target}-wal")
    with suppress(FileNotFoundError):
        source.rename(target)


def _main_of(log: Path) -> Path:
    return Path(str(log).removesuffix("-wal"))
