"""Keys: who may send a tenant's events, and who may ask for its recommendations.

A key is 190 random bits, so its SHA-256 is kept and nothing slower: what makes a password's
hash slow guards short secrets against guessing, and nobody guesses these. The file is enough to
know a key again and not enough to make one.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from wherry.domain import TenantId
from wherry.errors import UsageError, WherryError, did_you_mean
from wherry.lake import project_lock, write_whole

logger = logging.getLogger("wherry.collect")

Kind = Literal["write", "read"]
"""What a key opens: ``write`` takes events in, ``read`` answers with recommendations."""

_MARKS: dict[Kind, str] = {"write": "wk_", "read": "rk_"}
_ALPHABET = string.ascii_letters + string.digits
_SECRET_LETTERS = 32
_SHOWN_LETTERS = 8
_LONGEST = 128
_LOOK_SECONDS = 0.5
_WAIT_SECONDS = 10.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key: ``name`` is how it begins, ``digest`` its SHA-256 in hexadecimal.

    Times are UTC. A revoked key stays in the list and opens nothing.
    """

    name: str
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    kind: Kind
    tenant: TenantId
    label: str
    created_at: datetime
    revoked_at: datetime | None = None


class Keys:
    """The keys of a project, in one small file that is looked at again twice a second.

    Threads may share one. While no key was ever made the project is open: whoever reaches the
    server may do all, which is why it then listens on the loopback address alone. A project
    that once had a key never falls open, not by revoking the last one, nor, while this object
    lives, by losing the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._looked_at = 0.0
        self._by_digest: dict[bytes, Key] = {}
        self._kinds: frozenset[Kind] = frozenset()

    @classmethod
    def open(cls, path: Path) -> Keys:
        """Read the keys of a file; there need not be one.

        Raises:
            WherryError: If the file can't be read, which never counts as having no keys.
        """
        keys = cls(path)
        keys._read()
        return keys

    @property
    def is_open(self) -> bool:
        """Whether no key of any kind was ever made."""
        self._look()
        return not self._kinds

    def guards(self, kind: Kind) -> bool:
        """Whether a key of this kind was ever made, so that one is asked for."""
        self._look()
        return kind in self._kinds

    def tenant_of(self, key: str, kind: Kind) -> TenantId | None:
        """Whose key this is; None if there is no such key of this kind, or it was revoked."""
        self._look()
        if len(key) > _LONGEST:
            return None
        digest = _digest(key)
        known = self._by_digest.get(digest)
        # The table is searched by the digest, which says nothing of the key that it is near
        # to; the comparison after it takes the same time wherever the two differ.
        if known is None or not hmac.compare_digest(bytes.fromhex(known.digest), digest):
            return None
        return known.tenant if known.kind == kind and known.revoked_at is None else None

    def all(self) -> list[Key]:
        """Every key that was ever made, in that order."""
        self._look()
        return list(self._by_digest.values())

    def make(self, tenant: TenantId, kind: Kind, *, label: str, now: datetime) -> tuple[str, Key]:
        """Make a key; the text itself is returned here and kept nowhere."""
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LETTERS))
        text = _MARKS[kind] + secret
        with self._changing():
            made = Key(
                name=text[: len(_MARKS[kind]) + _SHOWN_LETTERS],
                digest=_digest(text).hex(),
                kind=kind,
                tenant=tenant,
                label=label,
                created_at=now,
            )
            self._write([*self._by_digest.values(), made])
        return text, made

    def revoke(self, name: str, *, now: datetime) -> Key:
        """Make a key open nothing from now on; ``name`` is its beginning, as the list shows it.

        Raises:
            UsageError: If there is no such key, or several begin so.
        """
        with self._changing():
            keys = list(self._by_digest.values())
            named = [key for key in keys if name and name.startswith(key.name)]
            named = named or [key for key in keys if name and key.name.startswith(name)]
            if len(named) != 1:
                raise UsageError(_no_single_key(name, named, keys))
            revoked = msgspec.structs.replace(named[0], revoked_at=named[0].revoked_at or now)
            self._write([revoked if key is named[0] else key for key in keys])
        return revoked

    def _look(self) -> None:
        """Read the file again if it has changed; the disk is asked twice a second at most."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            self._read()
        except WherryError as error:
            # A server goes on with the keys that it knows.
            logger.error("%s", error)

    def _read(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen == self._seen:
                return
            keys = msgspec.json.decode(self._path.read_bytes(), type=list[Key])
        except FileNotFoundError:
            self._by_digest = {}
            self._seen = ()
            return
        except (OSError, msgspec.MsgspecError) as error:
            raise WherryError(
                f"The keys in {self._path} can't be read: {error}. Put the file back from a copy, "
                "or remove it and make new keys: wherry keys make"
            ) from error
        self._by_digest = {bytes.fromhex(key.digest): key for key in keys}
        self._kinds |= {key.kind for key in keys}
        self._seen = seen

    def _write(self, keys: list[Key]) -> None:
        write_whole(self._path, msgspec.json.format(msgspec.json.encode(keys)))
        self._read()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the list while it is changed, so that two changes at once are both kept."""
        lock = self._path.with_suffix(".lock")
        with project_lock(lock, "wherry keys", wait_seconds=_WAIT_SECONDS):
            self._read()
            yield


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _no_single_key(name: str, named: list[Key], keys: list[Key]) -> str:
    if named:
        return f"{len(named)} keys begin with {name!r}: {', '.join(key.name for key in named)}."
    close = did_you_mean(name, (key.name for key in keys))
    return f"There is no key {name!r}.{close} See: wherry keys list"
