"""Releases in MLflow: registered versions of a recommender, and the alias champion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
import mlflow.artifacts
import mlflow.pyfunc
import msgspec
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from wherry.domain import Candidate, Release, TenantId
from wherry.errors import RegistryError
from wherry.registry.names import CHALLENGER, CHAMPION, model_name

_ROLLED_BACK = "wherry.rolled_back"
_UNPROVEN = "wherry.unproven"
_TENANT = "wherry.tenant"
_FACTS = "wherry.release"
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
_FOLDER = "recommender"
_RELEASE_FILE = "release.json"


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what MLflow and its database raise into an error of Wherry's."""
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        # SQLAlchemy's words go on with the statement and all its values.
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RegistryError(f"MLflow can't do this: {words}") from error


@dataclass(frozen=True)
class Store:
    """The half of a :class:`~wherry.registry.Registry` that needs MLflow, with its fields."""

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
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        database = self.home / "mlflow.db"
        if not self.tracking_uri and not database.exists():
            _make_database(database)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def log_candidates(
        self, tenant: TenantId, candidates: Iterable[Candidate], tags: dict[str, str]
    ) -> dict[str, str]:
        """Make every candidate an MLflow run; ``tags`` say snapshot, code and Wherry's run.

        Returns the MLflow run's id of each candidate by its name.
        """
        with _explained():
            client = self.client
            experiment = self._experiment(client, tenant)
            return {each.name: _log_run(client, experiment, each, tags) for each in candidates}

    def release(
        self, release: Release, folder: Path, mlflow_run: str, *, as_champion: bool = True
    ) -> Release:
        """Register a recommender's folder as the next version and make it the champion.

        A version that is to be tried first is marked: until it has been the champion, no
        roll-back goes back to it by itself.

        The folder, called ``recommender``, goes in whole with ``release.json``; MLflow loads it
        by a script, without pickle. What it came from is also a tag of the version, so that it
        is known of a release whose files are lost. The alias moves last, so a release that was
        cut short answers nobody.
        """
        facts = msgspec.json.format(msgspec.json.encode(release))
        (folder / _RELEASE_FILE).write_bytes(facts)
        name = model_name(self.name, release.tenant)
        with _explained():
            client = self.client
            source = self._log_model(folder, mlflow_run)
            if self._find_model(client, name) is None:
                client.create_registered_model(name, tags={_TENANT: release.tenant})
            tags = {_FACTS: facts.decode()} | ({} if as_champion else {_UNPROVEN: "true"})
            version = client.create_model_version(name, source=source, run_id=mlflow_run, tags=tags)
            if as_champion:
                client.set_registered_model_alias(name, CHAMPION, version.version)
        return msgspec.structs.replace(release, version=int(version.version))

    def promote(self, release: Release) -> None:
        """Make a release that was tried the champion."""
        with _explained():
            client = self.client
            version = str(release.version)
            for tag in (_UNPROVEN, _ROLLED_BACK):
                client.delete_model_version_tag(release.name, version, tag)
            client.set_registered_model_alias(release.name, CHAMPION, version)

    def name_challenger(self, tenant: TenantId, version: int | None) -> None:
        """Point the alias challenger to a version, or to none."""
        name = model_name(self.name, tenant)
        with _explained():
            if version is None:
                self.client.delete_registered_model_alias(name, CHALLENGER)
            else:
                self.client.set_registered_model_alias(name, CHALLENGER, str(version))

    def champions(self) -> dict[TenantId, tuple[Release, Path]]:
        """Every tenant's champion and the folder that it answers from."""
        found = {}
        with _explained():
            client = self.client
            for model in _pages(client.search_registered_models):
                tenant = TenantId(model.tags.get(_TENANT, ""))
                if CHAMPION in model.aliases and model.name == model_name(self.name, tenant):
                    version = client.get_model_version(model.name, model.aliases[CHAMPION])
                    found[tenant] = (_read(version), self.folder_of(version))
        return found

    def releases(self, tenant: TenantId) -> list[tuple[Release, bool]]:
        """A tenant's releases, the newest first, each with whether roll-backs pass it over."""
        name = model_name(self.name, tenant)
        with _explained():
            versions = list(_pages(self.client.search_model_versions, f"name='{name}'"))
        versions.sort(key=lambda version: int(version.version), reverse=True)
        passed_over = {_ROLLED_BACK, _UNPROVEN}
        return [(_read(version), bool(passed_over & version.tags.keys())) for version in versions]

    def rollback(self, tenant: TenantId, to: int | None = None) -> Release:
        """Make an earlier version the champion: the one before, or the version ``to``.

        A version that was rolled back from, or was tried and never the champion, is passed over,
        unless it is asked for by number.

        Raises:
            RegistryError: If there is no champion, no such version, or nothing to go back to.
        """
        name = model_name(self.name, tenant)
        with _explained():
            champion = self._champion(self.client, name)
        if champion is None:
            raise RegistryError(f"{name} has no champion to roll back from. Run: wherry run")
        current = int(champion.version)
        known = {release.version: (release, gone) for release, gone in self.releases(tenant)}
        if to is None:
            earlier = [v for v, (_, gone) in known.items() if v < current and not gone]
            if not earlier:
                raise RegistryError(
                    f"{name} has no earlier release than version {current}. See: wherry releases"
                )
            to = max(earlier)
        elif to not in known:
            raise RegistryError(f"{name} has no version {to}. See: wherry releases")
        with _explained():
            client = self.client
            if to < current:
                client.set_model_version_tag(name, str(current), _ROLLED_BACK, "true")
            elif to != current:
                client.delete_model_version_tag(name, str(to), _ROLLED_BACK)
            client.delete_model_version_tag(name, str(to), _UNPROVEN)
            client.set_registered_model_alias(name, CHAMPION, str(to))
        return known[to][0]

    def folder(self, release: Release) -> Path:
        """The folder of a release's recommender."""
        with _explained():
            return self.folder_of(self.client.get_model_version(release.name, str(release.version)))

    def folder_of(self, version: ModelVersion) -> Path:
        """The folder of a version's recommender, also after the project has moved.

        From a registry elsewhere it is fetched once, and kept in ``home``.
        """
        uri = self.client.get_model_version_download_uri(version.name, version.version)
        if self.tracking_uri:
            return self._fetched(version, uri) / "artifacts" / _FOLDER
        path = Path(unquote(urlsplit(uri).path)) / "artifacts" / _FOLDER
        # MLflow keeps absolute paths; those of a copy still point to where it was copied from.
        place = len(path.parts) - path.parts[::-1].index(self.home.name)
        return self.home.joinpath(*path.parts[place:])

    def _fetched(self, version: ModelVersion, uri: str) -> Path:
        """Where a version of a registry elsewhere lies here; whole, or not at all."""
        target = self.home / "fetched" / f"{version.name}@{version.version}"
        if not target.exists():
            mlflow.set_tracking_uri(self.uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=target.parent) as folder:
                found = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
                try:
                    Path(found).rename(target)
                except OSError:
                    if not target.exists():  # another process was faster
                        raise
        return target

    def _champion(self, client: MlflowClient, name: str) -> ModelVersion | None:
        try:
            return client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise

    def _find_model(self, client: MlflowClient, name: str) -> RegisteredModel | None:
        try:
            return client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise

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


def _make_database(target: Path) -> None:
    """Make MLflow's database, whole or not at all.

    MLflow makes its tables by a row of migrations that aren't one transaction: a process killed
    among them leaves a database that no later one can open. So it is made under a name of its
    own, and only a whole one gets the real name; where two make it at once, the first one's stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="making-", dir=target.parent) as folder:
        made = Path(folder) / target.name
        MlflowClient(tracking_uri=f"sqlite:///{made}", registry_uri=f"sqlite:///{made}")
        with suppress(FileExistsError):
            target.hardlink_to(made)


def _pages(search: Callable[..., Any], *filters: str) -> Iterator[Any]:
    """All that one of MLflow's searches finds, which gives it page by page."""
    token = None
    while True:
        page = search(*filters, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _read(version: ModelVersion) -> Release:
    """What a version came from."""
    try:
        release = msgspec.json.decode(version.tags.get(_FACTS, ""), type=Release)
    except msgspec.MsgspecError as error:
        raise RegistryError(
            f"Version {version.version} of {version.name} was not made by Wherry, or by another "
            f"version of it ({error}). Delete it with MLflow, or give the alias {CHAMPION!r} to "
            "another version."
        ) from error
    return msgspec.structs.replace(release, version=int(version.version))


def _log_run(
    client: MlflowClient, experiment: str, candidate: Candidate, tags: dict[str, str]
) -> str:
    """Make a candidate an MLflow run, and return the run's id."""
    run = client.create_run(experiment, run_name=candidate.name)
    name: str = run.info.run_id
    client.log_batch(
        name,
        metrics=_metrics(candidate, run.info.start_time),
        params=[Param(key, str(value)) for key, value in candidate.params.items()],
        tags=[RunTag(key, value) for key, value in {**tags, "model": candidate.model}.items()],
    )
    client.set_terminated(name, "FAILED" if candidate.error else "FINISHED")
    return name


def _metrics(candidate: Candidate, at: int) -> list[Metric]:
    """A candidate's figures under names that MLflow allows (``@`` becomes ``_at_``)."""
    figures = {
        "fit_seconds": candidate.fit_seconds,
        "answer_microseconds": candidate.answer_microseconds,
        "p99_microseconds": candidate.p99_microseconds,
        "size_bytes": float(candidate.size_bytes),
        "memory_bytes": float(candidate.memory_bytes),
    }
    for name, estimate in candidate.metrics.items():
        plain = name.replace("@", "_at_")
        figures |= {plain: estimate.value, f"{plain}_low": estimate.low}
        figures[f"{plain}_high"] = estimate.high
    return [Metric(name, value, at, 0) for name, value in figures.items()]
