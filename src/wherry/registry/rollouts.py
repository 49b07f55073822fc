"""The rollouts: which release is tried beside each tenant's champion, one small file a tenant.

They are kept here and not in MLflow: what is tried must be undone at once, also where MLflow's
server is away. See docs/decisions for why.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from wherry.domain import Mode, Release, Rollout, TenantId
from wherry.errors import RegistryError, UsageError
from wherry.lake import write_whole


class Challenger(msgspec.Struct, frozen=True):
    """The release that is tried, how, and the ``folder`` that it answers from."""

    rollout: Rollout
    release: Release
    folder: Path


Challengers = Mapping[TenantId, Challenger]
"""What is tried now, of each tenant that tries anything."""


class _Kept(msgspec.Struct, frozen=True):
    """The file of a tenant; its folder is relative to the registry's home."""

    rollout: Rollout
    release: Release
    folder: str


@dataclass(frozen=True)
class Rollouts:
    """The rollouts of a project, in ``folder``; releases lie under ``home``, the registry's.

    Every change is made under a lock of its own, which is held for a moment, and is on disk
    when the call returns.
    """

    folder: Path
    home: Path

    def read(self) -> dict[TenantId, Challenger]:
        """What is tried now.

        Raises:
            RegistryError: If a file says something else.
        """
        found = (self._read(path) for path in sorted(self.folder.glob("*.json")))
        return {each.rollout.tenant: each for each in found if each is not None}

    def of(self, tenant: TenantId) -> Challenger | None:
        """What is tried now beside a tenant's champion."""
        return self._read(self._path(tenant))

    def start(self, challenger: Challenger) -> None:
        """Begin to try a release; servers follow.

        Raises:
            UsageError: If another is being tried.
        """
        rollout = challenger.rollout
        with self._changing():
            found = self.of(rollout.tenant)
            if found is not None:
                raise UsageError(
                    f"{label(found.release)} is being tried already ({in_words(found.rollout)}). "
                    "Make it the champion (wherry promote) or withdraw it (wherry rollback) first."
                )
            self._write(challenger)

    def ramp(
        self, tenant: TenantId, rollout_id: str, *, mode: Mode, share: float, now: datetime
    ) -> Challenger:
        """Give the release that is tried another share of the visitors: the next phase.

        Raises:
            UsageError: If it is not being tried any more.
        """
        with self._changing():
            found = self.of(tenant)
            if found is None or found.rollout.rollout_id != rollout_id:
                raise UsageError(f"The rollout {rollout_id} has ended. See: wherry decisions")
            rollout = msgspec.structs.replace(
                found.rollout,
                mode=mode,
                share=share,
                phase=found.rollout.phase + 1,
                phase_started_at=now,
            )
            changed = msgspec.structs.replace(found, rollout=rollout)
            self._write(changed)
        return changed

    def end(self, tenant: TenantId, rollout_id: str) -> Challenger | None:
        """End a rollout and return what was tried; None if somebody else has ended it before."""
        with self._changing():
            found = self.of(tenant)
            if found is None or found.rollout.rollout_id != rollout_id:
                return None
            self._path(tenant).unlink()
        return found

    def _path(self, tenant: TenantId) -> Path:
        return self.folder / f"{tenant}.json"

    def _read(self, path: Path) -> Challenger | None:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise RegistryError(
                f"{path} can't be read: {error}. Remove it: that ends the rollout."
            ) from error
        return Challenger(kept.rollout, kept.release, self.home / kept.folder)

    def _write(self, challenger: Challenger) -> None:
        folder = str(challenger.folder.relative_to(self.home))
        kept = _Kept(challenger.rollout, challenger.release, folder)
        write_whole(self._path(challenger.rollout.tenant), msgspec.json.encode(kept))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def label(release: Release) -> str:
    """What a release is called, such as ``recommender@3``."""
    return f"{release.name}@{release.version}"


def in_words(rollout: Rollout) -> str:
    """A rollout in a few words, such as ``canary, 10% of visitors``."""
    of = "visitors" if rollout.is_shown else "visitors' answers, unseen"
    return f"{rollout.mode}, {100 * rollout.share:.4g}% of {of}"
