"""Where a project keeps its things: the user's folder, and ``.wherry/`` inside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherry.config import FILE_NAME
from wherry.domain import RunId, TenantId
from wherry.errors import ProjectError


@dataclass(frozen=True)
class Home:
    """The paths of one project. ``root`` is the folder that holds ``wherry.toml``.

    ``traffic`` is where servers write, if not where the project's own do: a bench must not send
    its events into the shop's log.
    """

    root: Path
    traffic: Path | None = None

    @property
    def settings(self) -> Path:
        """The one settings file."""
        return self.root / FILE_NAME

    @property
    def transforms(self) -> Path:
        """The shop's own dbt project."""
        return self.root / "transforms"

    @property
    def models(self) -> Path:
        """The shop's own models (optional)."""
        return self.root / "models"

    @property
    def behaviour(self) -> Path:
        """The shop's own behavioural checks (optional)."""
        return self.root / "behaviour"

    @property
    def plan(self) -> Path:
        """The tracking plan: a JSON Schema for each event type (optional)."""
        return self.root / "plan"

    @property
    def state(self) -> Path:
        """Everything that Wherry keeps: not for hands, not for git."""
        return self.root / ".wherry"

    @property
    def lock(self) -> Path:
        """The project lock."""
        return self.state / "lock"

    @property
    def keys(self) -> Path:
        """The keys of the server, as hashes."""
        return (self.traffic or self.state) / "keys.json"

    @property
    def inbox(self) -> Path:
        """Where events wait until they are loaded, a file for each server."""
        return (self.traffic or self.state) / "inbox"

    @property
    def live(self) -> Path:
        """What counts at once: the state that all servers of the project share."""
        return (self.traffic or self.state) / "live"

    @property
    def forgetting(self) -> Path:
        """The erasures that have been asked for and are not done yet."""
        return self.state / "forgetting.json"

    @property
    def forgotten(self) -> Path:
        """The erasures that were done, without saying of whom."""
        return self.state / "forgotten.json"

    @property
    def lake(self) -> Path:
        """The lake's folder."""
        return self.state / "lake"

    @property
    def published(self) -> Path:
        """The published snapshot of each tenant."""
        return self.state / "published.json"

    @property
    def progress(self) -> Path:
        """How far each tenant has come, and on what inputs."""
        return self.state / "progress.json"

    @property
    def dbt(self) -> Path:
        """dbt's profile, parsed manifest and logs."""
        return self.state / "dbt"

    @property
    def registry(self) -> Path:
        """MLflow's database and the released folders."""
        return self.state / "mlflow"

    @property
    def rollouts(self) -> Path:
        """What is tried beside each tenant's champion, and what the guard has seen of it."""
        return self.state / "rollouts"

    @property
    def decisions(self) -> Path:
        """The log of decisions about what answers."""
        return self.state / "decisions.ndjson"

    @property
    def precomputed(self) -> Path:
        """Lists that were made for every visitor or item beforehand, a folder a tenant."""
        return self.state / "precomputed"

    @property
    def metaflow(self) -> Path:
        """Metaflow's records of the training flows."""
        return self.state / "metaflow"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.state / "runs"

    def searches(self, tenant: TenantId) -> Path:
        """What searches of a tenant's parameters have tried."""
        return self.state / "searches" / tenant

    def checkpoints(self, tenant: TenantId) -> Path:
        """How far the training of a tenant's models has come, while it lasts."""
        return self.state / "checkpoints" / tenant

    def run(self, run_id: RunId) -> Path:
        """The folder of one run: its record, its card and what it made on the way."""
        return self.runs / run_id

    def training(self, run_id: RunId, tenant: TenantId) -> Path:
        """Where a run keeps one tenant's training set and candidates."""
        return self.run(run_id) / tenant


def find_home(start: Path) -> Home:
    """Find the project that a folder belongs to: it or the nearest parent with ``wherry.toml``.

    Raises:
        ProjectError: If there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return Home(folder)
    raise ProjectError(
        f"There is no project in {start} or above it (no {FILE_NAME}). "
        "Make one: wherry init FOLDER, or point to one: --project FOLDER"
    )
