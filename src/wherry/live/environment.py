"""An LMDB environment on disk: opened whole, or replaced by an empty one.

Each environment has a folder of its own, and ``current`` says which one counts, so that it is
replaced in one step. Who still has another one open finds out by looking at ``current``.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb
import msgspec

from wherry.lake import write_whole

logger = logging.getLogger("wherry.live")

_CURRENT = "current"
_DATA = "data.mdb"
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

Identity = tuple[int, int, int]


class _Current(msgspec.Struct, frozen=True):
    """What ``current`` says: the name of a folder, and in which boot of the machine it began."""

    name: str
    boot: str


@dataclass(frozen=True)
class Environment:
    """An open environment, its databases by their name, and where ``current`` named it."""

    env: lmdb.Environment
    databases: dict[str, lmdb._Database]
    page_bytes: int
    folder: Path
    identity: Identity | None

    def is_current(self) -> bool:
        """Whether it is still the one that counts: another process may replace it."""
        return _identity(self.folder) == self.identity


def open_environment(
    folder: Path, names: Sequence[str], *, max_bytes: int, boot: str
) -> Environment:
    """Open the environment that counts, an empty one if it can't be trusted.

    The caller sees to it that no other process opens or replaces one meanwhile; so it does for
    the other functions here.

    Raises:
        OSError: the folder can't be written.
        lmdb.Error: not even an empty environment can be opened.
    """
    current = _read_current(folder)
    if current is not None and current.boot == boot and (folder / current.name).is_dir():
        try:
            env = _open(folder / current.name, len(names), max_bytes, boot)
            return _ready(env, folder, names)
        except lmdb.Error as error:
            if not is_damage(error):
                raise
            logger.error("The live store in %s is damaged, and is begun anew: %s", folder, error)
    name = secrets.token_hex(4)
    env = _open(folder / name, len(names), max_bytes, boot)
    _point_to(folder, _Current(name, boot))
    return _ready(env, folder, names)


def withdraw_environment(folder: Path) -> None:
    """Let the next who opens it begin anew."""
    (folder / _CURRENT).unlink(missing_ok=True)


def replace_environment(environment: Environment, boot: str) -> None:
    """Write everything into a new environment, without the free pages of the old one, and let
    it be the one that counts. The caller holds the old one's write transaction."""
    name = secrets.token_hex(4)
    (environment.folder / name).mkdir(mode=0o700)
    environment.env.copy(str(environment.folder / name), compact=True)
    _point_to(environment.folder, _Current(name, boot))


def is_damage(error: lmdb.Error) -> bool:
    """Whether an error says that the file itself is broken, not the disk or the rights."""
    return isinstance(error, _DAMAGE)


def boot_id() -> str:
    """What identifies the machine's boot; empty where the system doesn't tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _open(folder: Path, n_databases: int, max_bytes: int, boot: str) -> lmdb.Environment:
    data = folder / _DATA
    is_safe = not boot  # whoever can't notice a power cut has to write through
    env = lmdb.open(
        str(folder),
        map_size=max_bytes,
        max_dbs=n_databases,
        max_readers=_MAX_READERS,
        max_spare_txns=8,
        mode=0o700,
        sync=is_safe,
        metasync=is_safe,
    )
    # Reading beyond the end of a file that was cut off would kill the process.
    if data.stat().st_size < (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
        env.close()
        raise lmdb.CorruptedError(f"{data} ends before its last page")
    return env


def _ready(env: lmdb.Environment, folder: Path, names: Sequence[str]) -> Environment:
    try:
        databases = {name: env.open_db(name.encode()) for name in names}
    except BaseException:
        env.close()
        raise
    return Environment(env, databases, env.stat()["psize"], folder, _identity(folder))


def _read_current(folder: Path) -> _Current | None:
    try:
        return msgspec.json.decode((folder / _CURRENT).read_bytes(), type=_Current)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _point_to(folder: Path, current: _Current) -> None:
    write_whole(folder / _CURRENT, msgspec.json.encode(current))
    for other in folder.iterdir():
        if other.is_dir() and other.name != current.name:
            shutil.rmtree(other, ignore_errors=True)


def _identity(folder: Path) -> Identity | None:
    """Which file ``current`` is: every one that is written is another."""
    try:
        found = (folder / _CURRENT).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
