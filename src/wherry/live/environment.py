"""An LMDB environment on disk: opened whole, or replaced by an empty one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb

logger = logging.getLogger("wherry.live")

DATA = "data.mdb"
LOCK = "lock.mdb"
_BOOT = "boot"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_READERS = 1024

_DAMAGE = (
    lmdb.BadTxnError,
    lmdb.CorruptedError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)


@dataclass(frozen=True)
class Environment:
    """An open environment, its databases by their name, and which file it is."""

    env: lmdb.Environment
    databases: dict[str, lmdb._Database]
    page_bytes: int
    data: Path
    identity: tuple[int, int]

    def is_current(self) -> bool:
        """Whether its file is still the one of that name: another process may replace it."""
        return _identity(self.data) == self.identity

    def remove(self) -> None:
        """Delete its files. Who has them open goes on with them, until it looks again."""
        _remove(self.data.parent)


def open_environment(
    folder: Path, names: Sequence[str], *, max_bytes: int, boot: str
) -> Environment:
    """Open the environment in a folder, an empty one if what lies there can't be trusted.

    The caller sees to it that no other process opens or replaces it meanwhile.

    Raises:
        OSError: the folder can't be written.
        lmdb.Error: not even an empty environment can be opened.
    """
    told = folder / _BOOT
    if (folder / DATA).exists() and (not told.exists() or told.read_text() != boot):
        logger.info("The live store in %s is of another boot; a new one is begun.", folder)
        _remove(folder)
    told.write_text(boot)
    try:
        return _open(folder, names, max_bytes, boot)
    except lmdb.Error as error:
        if not is_damage(error):
            raise
        logger.error("The live store in %s is damaged (%s); a new one is begun.", folder, error)
        _remove(folder)
        return _open(folder, names, max_bytes, boot)


def is_damage(error: lmdb.Error) -> bool:
    """Whether an error says that the file itself is broken, not the disk or the rights."""
    return isinstance(error, _DAMAGE)


def boot_id() -> str:
    """What identifies the machine's boot; empty where the system doesn't tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _open(folder: Path, names: Sequence[str], max_bytes: int, boot: str) -> Environment:
    is_safe = not boot  # whoever can't notice a power cut has to write through
    env = lmdb.open(
        str(folder),
        map_size=max_bytes,
        max_dbs=len(names),
        max_readers=_MAX_READERS,
        max_spare_txns=8,
        mode=0o600,
        sync=is_safe,
        metasync=is_safe,
    )
    try:
        _require_whole(env, folder / DATA)
        page_bytes = env.stat()["psize"]
        databases = {name: env.open_db(name.encode()) for name in names}
        identity = _identity(folder / DATA)
        if identity is None:
            raise lmdb.InvalidError(f"{folder / DATA} is gone")
    except BaseException:
        env.close()
        raise
    return Environment(env, databases, page_bytes, folder / DATA, identity)


def _require_whole(env: lmdb.Environment, data: Path) -> None:
    """Refuse a file that was cut off: reading beyond its end would kill the process."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if data.stat().st_size < needed:
        raise lmdb.CorruptedError(f"{data} ends before its last page")


def _identity(data: Path) -> tuple[int, int] | None:
    try:
        found = data.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove(folder: Path) -> None:
    for name in (DATA, LOCK):
        (folder / name).unlink(missing_ok=True)
