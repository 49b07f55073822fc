"""Releases in MLflow: registered versions of a tenant's recommender, and the alias champion."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import mlflow.pyfunc
import msgspec
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from wherry.domain import DEFAULT_TENANT, Candidate, Release, TenantId
from wherry.errors import RegistryError

CHAMPION = "champion"
"""The alias of the version that answers."""

_ROLLED_BACK = "wherry.rolled_back"
_TENANT = "wherry.tenant"
_FOLDER = "recommender"
_RELEASE_FILE = "release.json"


def model_name(name: str, tenant: TenantId) -> str:
    """What a tenant's registered model is called: the bare name for the default tenant.

    >>> model_name("recommender", TenantId("north"))
    'recommender.north'
    """
    return name if tenant == DEFAULT_TENANT else f"{name}.{tenant}"


@dataclass(frozen=True)
class Registry:
    """An MLflow registry that holds every tenant's releases.

    ``home`` is the folder that the artifacts of a new registry go to; ``tracking_uri`` points
    to an MLflow server, or is empty for SQLite in ``home``. ``name`` is the registered
    model's name.
    """

    home: Path
    name: str
    tracking_uri: str = ""

    @property
    def uri(self) -> str:
        """Where MLflow keeps its tables."""
        return self.tracking_uri or f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client for this registry."""
        if not self.tracking_uri:
            self.home.mkdir(parents=True, exist_ok=True)
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def fingerprint(self) -> tuple[int, ...]:
        """A cheap value that changes when the registry does; empty for a remote one."""
        if self.tracking_uri:
            return ()
        stamps = []
        for suffix in ("", "-wal"):
            path = self.home / f"mlflow.db{suffix}"
            stamps.append(path.stat().st_mtime_ns if path.exists() else 0)
        return tuple(stamps)

    def log_candidates(
        self, tenant: TenantId, candidates: Iterable[Candidate], tags: dict[str, str]
    ) -> dict[str, str]:
        """Make every candidate an MLflow run; ``tags`` say snapshot, code and Wherry's run.

        Returns the MLflow run's id of each candidate by its name.
        """
        client = self.client
        experiment = self._experiment(client, tenant)
        runs = {}
        for candidate in candidates:
            run = client.create_run(experiment, run_name=candidate.name)
            client.log_batch(
                run.info.run_id,
                metrics=_metrics(candidate, run.info.start_time),
                params=[Param(key, str(value)) for key, value in candidate.params.items()],
                tags=[RunTag(key, value) for key, value in tags.items()]
                + [RunTag("model", candidate.model)],
            )
            client.set_terminated(run.info.run_id, "FAILED" if candidate.error else "FINISHED")
            runs[candidate.name] = run.info.run_id
        return runs

    def release(self, release: Release, folder: Path, mlflow_run: str) -> Release:
        """Register a recommender's folder as the next version and make it the champion.

        The folder goes in whole with ``release.json``; MLflow loads it by a script, without
        pickle. The alias moves last, so a release that was cut short answers nobody.
        """
        (folder / _RELEASE_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(release)))
        client = self.client
        name = model_name(self.name, release.tenant)
        source = self._log_model(folder, mlflow_run)
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name, tags={_TENANT: release.tenant})
        version = client.create_model_version(name, source=source, run_id=mlflow_run)
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return msgspec.structs.replace(release, version=int(version.version))

    def champion(self, tenant: TenantId) -> Release | None:
        """The release that answers for a tenant, or None before the first."""
        try:
            version = self.client.get_model_version_by_alias(
                model_name(self.name, tenant), CHAMPION
            )
        except MlflowException:
            return None
        return self._read(version)

    def champions(self) -> dict[TenantId, tuple[Release, Path]]:
        """Every tenant's champion and the folder that it answers from."""
        found = {}
        for model in self.client.search_registered_models():
            tenant = TenantId(model.tags.get(_TENANT, ""))
            if not tenant or model.name != model_name(self.name, tenant):
                continue
            if CHAMPION in model.aliases:
                version = self.client.get_model_version(model.name, model.aliases[CHAMPION])
                found[tenant] = (self._read(version), self.folder_of(version))
        return found

    def releases(self, tenant: TenantId) -> list[tuple[Release, bool]]:
        """A tenant's releases, the newest first, each with whether it was rolled back."""
        name = model_name(self.name, tenant)
        versions = self.client.search_model_versions(f"name='{name}'")
        versions = sorted(versions, key=lambda version: int(version.version), reverse=True)
        return [(self._read(version), _ROLLED_BACK in version.tags) for version in versions]

    def rollback(self, tenant: TenantId, to: int | None = None) -> Release:
        """Make an earlier version the champion: the one before, or the version ``to``.

        A version that was rolled back from is passed over by later roll-backs, unless it is
        asked for by number.

        Raises:
            RegistryError: If there is no champion, no such version, or nothing to go back to.
        """
        client, name = self.client, model_name(self.name, tenant)
        champion = self.champion(tenant)
        if champion is None:
            raise RegistryError(f"{name} has no champion to roll back from. Run: wherry run")
        known = {release.version: gone for release, gone in self.releases(tenant)}
        if to is None:
            earlier = [v for v, gone in known.items() if v < champion.version and not gone]
            if not earlier:
                raise RegistryError(
                    f"{name} has no earlier release than version {champion.version}. "
                    "See: wherry releases"
                )
            to = max(earlier)
        elif to not in known:
            raise RegistryError(f"{name} has no version {to}. See: wherry releases")
        if to < champion.version:
            client.set_model_version_tag(name, str(champion.version), _ROLLED_BACK, "true")
        elif to != champion.version:
            client.delete_model_version_tag(name, str(to), _ROLLED_BACK)
        client.set_registered_model_alias(name, CHAMPION, str(to))
        return self._read(client.get_model_version(name, str(to)))

    def folder_of(self, version: ModelVersion) -> Path:
        """The folder of a version's recommender, also after the project has moved."""
        uri = self.client.get_model_version_download_uri(version.name, version.version)
        path = Path(unquote(urlsplit(uri).path)) / "artifacts" / _FOLDER
        if not path.exists() and not self.tracking_uri:
            return self.home / Path(*path.parts[path.parts.index(self.home.name) + 1 :])
        return path

    def _read(self, version: ModelVersion) -> Release:
        path = self.folder_of(version) / _RELEASE_FILE
        try:
            release = msgspec.json.decode(path.read_bytes(), type=Release)
        except (OSError, msgspec.MsgspecError) as error:
            raise RegistryError(
                f"Version {version.version} of {version.name} can't be read: {error}. "
                "Go back to another one: wherry rollback --to VERSION"
            ) from error
        return msgspec.structs.replace(release, version=int(version.version))

    def _experiment(self, client: MlflowClient, tenant: TenantId) -> str:
        """The tenant's experiment, whose artifacts go into this project's folder.

        MLflow keeps that folder as an absolute path, so after a move the experiment is put
        aside under another name and a new one goes on in the new place.
        """
        name = model_name(self.name, tenant)
        location = None if self.tracking_uri else str(self.home / "artifacts")
        known = client.get_experiment_by_name(name)
        if known is not None and location in (None, known.artifact_location):
            return str(known.experiment_id)
        if known is not None:
            client.rename_experiment(known.experiment_id, f"{name}, up to {known.experiment_id}")
        return str(client.create_experiment(name, artifact_location=location))

    def _log_model(self, folder: Path, mlflow_run: str) -> str:
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        with mlflow.start_run(run_id=mlflow_run):
            logged = mlflow.pyfunc.log_model(
                name=_FOLDER,
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={_FOLDER: str(folder)},
                pip_requirements=["wherry"],
            )
        return str(logged.model_uri)


def _metrics(candidate: Candidate, at: int) -> list[Metric]:
    """A candidate's figures under names that MLflow allows (``@`` becomes ``_at_``)."""
    figures = {
        "fit_seconds": candidate.fit_seconds,
        "answer_microseconds": candidate.answer_microseconds,
        "size_bytes": float(candidate.size_bytes),
    }
    for name, estimate in candidate.metrics.items():
        plain = name.replace("@", "_at_")
        figures |= {plain: estimate.value, f"{plain}_low": estimate.low}
        figures[f"{plain}_high"] = estimate.high
    return [Metric(name, value, at, 0) for name, value in figures.items()]
