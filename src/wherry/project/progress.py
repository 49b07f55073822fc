"""How far each tenant has come: a stage is done again only when what goes into it has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from wherry.domain import TenantId
from wherry.errors import WherryError
from wherry.lake import write_whole

Marks = dict[TenantId, dict[str, str]]


def mark_of(*inputs: object) -> str:
    """A short digest of everything that goes into a stage.

    >>> mark_of(1, "a") == mark_of(1, "a"), mark_of(1, "a") == mark_of(1, "b")
    (True, False)
    """
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()[:16]


def folder_mark(folder: Path, pattern: str = "**/*.py") -> str:
    """A digest of the files in a folder, names and contents; of an absent one, of nothing."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class Progress:
    """The marks of the stages that succeeded, kept in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> Marks:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Marks)
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise WherryError(
                f"{self._path} can't be read: {error}. Remove it: every stage is then done again."
            ) from error

    def is_done(self, tenant: TenantId, stage: str, mark: str) -> bool:
        """Whether a stage succeeded on just these inputs, and none has since on others."""
        return self._read().get(tenant, {}).get(stage) == mark

    def value(self, tenant: TenantId, stage: str) -> str | None:
        """What was last recorded for a stage."""
        return self._read().get(tenant, {}).get(stage)

    def values(self, stage: str) -> dict[TenantId, str]:
        """What was last recorded for a stage of each tenant that it was done for."""
        return {tenant: own[stage] for tenant, own in self._read().items() if stage in own}

    def done(self, tenant: TenantId, stage: str, mark: str) -> None:
        """Record that a stage succeeded."""
        marks = self._read()
        marks.setdefault(tenant, {})[stage] = mark
        write_whole(self._path, msgspec.json.encode(marks))
