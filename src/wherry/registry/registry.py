"""The registry: which release answers, known at once, and what MLflow keeps of the others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.domain import Candidate, Release, TenantId
from wherry.errors import RegistryError
from wherry.lake import write_whole
from wherry.registry.names import CHAMPION, model_name

if TYPE_CHECKING:
    from wherry.registry.store import Store

Champions = dict[TenantId, tuple[Release, Path]]
"""Each tenant's champion, and the folder that it answers from."""


_Aliases = tuple[tuple[str, int], ...]
"""Which version of each registered model is its champion, in the order of their names."""

_ALIASES = "SELECT name, version FROM registered_model_aliases WHERE alias = ? ORDER BY name"
_MOVING_SECONDS, _LOOK_SECONDS = 2.0, 0.1
"""How long somebody who has moved a champion may take to say so, and how often to look."""


class _Seen(msgspec.Struct, frozen=True):
    """The champions as MLflow last told them, and which versions they were.

    ``name`` is the registry's; the folders are relative to its home.
    """

    name: str
    aliases: _Aliases
    champions: dict[TenantId, tuple[Release, str]]


@dataclass(frozen=True)
class Registry:
    """An MLflow registry that holds every tenant's releases.

    ``home`` is the folder that the artifacts of a new registry go to; ``tracking_uri`` points
    to an MLflow server, or is empty for SQLite in ``home``. ``name`` is the registered
    model's name.

    MLflow takes seconds to import and to open, so what answers is kept in a file beside its
    database, and is taken from there as long as the same versions are champions.
    """

    home: Path
    name: str
    tracking_uri: str = ""

    @property
    def uri(self) -> str:
        """Where MLflow keeps its tables."""
        return self.tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    def exists(self) -> bool:
        """Whether there is a registry to be asked: a remote one counts as there."""
        return bool(self.tracking_uri) or (self.home / "mlflow.db").exists()

    def fingerprint(self) -> tuple[int, ...]:
        """A cheap value that changes when the registry does; empty for a remote one."""
        if self.tracking_uri:
            return ()
        stamps = []
        for suffix in ("", "-wal"):
            path = self.home / f"mlflow.db{suffix}"
            found = path.stat() if path.exists() else None
            stamps += [found.st_mtime_ns, found.st_size] if found else [0, 0]
        return tuple(stamps)

    def champions(self) -> Champions:
        """Every tenant's champion; the same that MLflow knows as ``models:/NAME@champion``.

        Raises:
            RegistryError: If MLflow can't be asked.
        """
        if not self.exists():
            return {}
        seen, aliases = self._seen(), self._aliases()
        until = time.monotonic() + _MOVING_SECONDS
        while seen is not None and aliases not in (None, seen.aliases):
            if time.monotonic() > until:
                return self._ask()
            time.sleep(_LOOK_SECONDS)  # a server need not import MLflow for what is told just now
            seen, aliases = self._seen(), self._aliases()
        if seen is None or aliases is None:
            return self._ask()
        return {t: (release, self.home / at) for t, (release, at) in seen.champions.items()}

    def _ask(self) -> Champions:
        """The champions as MLflow has them, which are kept for those who ask next."""
        aliases = self._aliases()
        found = self._store.champions()
        told = {(model_name(self.name, t), r.version) for t, (r, _) in found.items()}
        if aliases is not None and aliases == self._aliases() and told <= set(aliases):
            places = {t: (r, str(at.relative_to(self.home))) for t, (r, at) in found.items()}
            with suppress(OSError):  # who asks next asks MLflow, too
                write_whole(self._cache, msgspec.json.encode(_Seen(self.name, aliases, places)))
        return found

    def _aliases(self) -> _Aliases | None:
        """Which versions are champions, from MLflow's own table; None where that can't be seen.

        That is as quick as a look at a file, and says nothing of what else happens in the
        database: a run writes its candidates into it, of which no server need know.
        """
        if self.tracking_uri:
            return None
        try:
            address = f"{self._database.as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=1)) as con:
                found = con.execute(_ALIASES, (CHAMPION,)).fetchall()
            return tuple((name, int(version)) for name, version in found)
        except (sqlite3.Error, ValueError):
            return None  # MLflow is asked, and says what is wrong

    def champion(self, tenant: TenantId) -> Release | None:
        """The release that answers for a tenant, or None before the first."""
        found = self.champions().get(tenant)
        return found[0] if found else None

    def log_candidates(
        self, tenant: TenantId, candidates: Iterable[Candidate], tags: dict[str, str]
    ) -> dict[str, str]:
        """Make every candidate an MLflow run; ``tags`` say snapshot, code and Wherry's run.

        Returns the MLflow run's id of each candidate by its name.
        """
        return self._store.log_candidates(tenant, candidates, tags)

    def release(
        self, release: Release, folder: Path, mlflow_run: str, *, as_champion: bool = True
    ) -> Release:
        """Register a recommender's folder as the next version, and make it the champion unless
        it is to be tried first."""
        released = self._store.release(release, folder, mlflow_run, as_champion=as_champion)
        self._remember()
        return released

    def promote(self, release: Release) -> None:
        """Make a release that was tried the champion; nothing is rolled back by that.

        Raises:
            RegistryError: If MLflow can't be asked.
        """
        self._store.promote(release)
        self._remember()

    def name_challenger(self, tenant: TenantId, version: int | None) -> None:
        """Let plain MLflow know what is tried as ``models:/NAME@challenger``; None: nothing.

        Raises:
            RegistryError: If MLflow can't be asked.
        """
        self._store.name_challenger(tenant, version)
        self._remember()

    def releases(self, tenant: TenantId) -> list[tuple[Release, bool]]:
        """A tenant's releases, the newest first, each with whether roll-backs pass it over."""
        return self._store.releases(tenant)

    def folder(self, release: Release) -> Path:
        """The folder that a release answers from, whether it is the champion or not."""
        return self._store.folder(release)

    def rollback(self, tenant: TenantId, to: int | None = None) -> Release:
        """Make an earlier version the champion: the one before, or the version ``to``.

        Raises:
            RegistryError: If there is no champion, no such version, or nothing to go back to.
        """
        champion = self._store.rollback(tenant, to)
        self._remember()
        return champion

    @property
    def _store(self) -> Store:
        from wherry.registry.store import Store  # noqa: PLC0415  MLflow takes seconds to import

        return Store(self.home, self.name, self.tracking_uri)

    def _remember(self) -> None:
        """Keep what answers now: this process has MLflow imported, servers have not."""
        with suppress(RegistryError):  # it is done; who can't read it here asks MLflow
            self._ask()

    @property
    def _database(self) -> Path:
        return (self.home / "mlflow.db").absolute()

    @property
    def _cache(self) -> Path:
        return self.home / "champions.json"

    def _seen(self) -> _Seen | None:
        try:
            seen = msgspec.json.decode(self._cache.read_bytes(), type=_Seen)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # as good as none: MLflow is asked
        return seen if seen.name == self.name else None
