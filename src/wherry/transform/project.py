"""The dbt project: a shop's own folder as the root, the packaged models as a local package."""

from __future__ import annotations

import hashlib
import shutil
from importlib import resources
from pathlib import Path

import msgspec

from wherry.domain import CLICK_TYPES
from wherry.errors import TransformError
from wherry.lake import CATALOG, Lake, write_whole

PACKAGED = Path(str(resources.files("wherry.transform"))) / "dbt"
"""The packaged dbt project."""

ATTRIBUTION_MINUTES = 30.0
"""For how long what a visitor does is an answer's outcome, unless the settings say otherwise."""

PARSING = "parsing"
"""The folder of the profile that dbt parses with, within the work folder."""

_TEMPLATE = Path(str(resources.files("wherry.transform"))) / "template"
_SOURCES = ("*.sql", "*.yml", "*.yaml", "*.py", "*.csv")


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the models has to do: take in the loads in ``(after, until]``, or all.

    ``checks_all`` has the packaged tests look at all rows, not only at the changed ones:
    on a rebuild, and as long as a test of the run before failed. ``outcomes_anew`` says that
    no table of outcomes is there to go on from.
    """

    is_full: bool
    after: int
    until: int
    checks_all: bool
    outcomes_anew: bool


class DbtProject(msgspec.Struct, frozen=True):
    """Where the parts of a dbt project lie, and the variables that it is built with."""

    transforms_folder: Path
    work_folder: Path
    variables: dict[str, object]

    def arguments(self, batch: Batch | None = None) -> list[str]:
        """The options of a dbt command on a batch, or without one of the parse before it.

        What dbt parsed holds as long as variables and profile are the same. So the parse is told
        no batch, and no path either: a project that was moved is not parsed again. Nothing phones
        home.
        """
        variables = self.variables | ({"batch": msgspec.to_builtins(batch)} if batch else {})
        profiles = self.work_folder if batch else self.work_folder / PARSING
        return [
            "--no-send-anonymous-usage-stats",
            "--no-version-check",
            "--no-use-colors",
            "--quiet",
            "--no-write-json",
            *("--log-level", "none"),
            *("--project-dir", str(self.transforms_folder)),
            *("--profiles-dir", str(profiles)),
            *("--target-path", str(self.work_folder / "target")),
            *("--log-path", str(self.work_folder / "logs")),
            *("--vars", msgspec.json.encode(variables).decode()),
        ]


def scaffold(folder: Path) -> None:
    """Make a new shop's ``transforms/``: an empty dbt project that takes in the packaged models.

    A file that is there already is left as it is.
    """
    for source in sorted(_TEMPLATE.rglob("*")):
        target = folder / source.relative_to(_TEMPLATE)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def lay_out(
    lake: Lake,
    transforms_folder: Path,
    work_folder: Path,
    *,
    gap_minutes: float,
    exclude_loads: tuple[int, ...],
    attribution_minutes: float = ATTRIBUTION_MINUTES,
    clicks: tuple[str, ...] = CLICK_TYPES,
    has_answers: bool = False,
) -> DbtProject:
    """Write the profile and link the packaged models, so that dbt can run without its ``deps``.

    Raises:
        TransformError: If ``transforms_folder`` holds no dbt project.
    """
    _check_project(transforms_folder)
    options = {
        "data_path": str(lake.data_path),
        "override_data_path": True,
        "data_inlining_row_limit": 0,
    }
    attached: dict[str, object] = {"path": lake.attach_uri(), "options": options}
    for folder, profile in (
        (work_folder, _profile(attached, lake.connect_config())),
        (work_folder / PARSING, _profile({"path": "ducklake:sqlite:"}, {})),
    ):
        write_whole(folder / "profiles.yml", msgspec.json.encode(profile))
    _link_package(work_folder / "packages")
    variables: dict[str, object] = {
        "gap_minutes": gap_minutes,
        "exclude_loads": sorted(exclude_loads),
        "overridden": overridden(transforms_folder),
        "has_answers": has_answers,
        "attribution_minutes": attribution_minutes,
        "clicks": sorted(clicks),
    }
    return DbtProject(transforms_folder, work_folder, variables)


def overridden(transforms_folder: Path) -> list[str]:
    """The packaged models that the shop's own models of the same file name replace.

    The shop's models lie under ``models/``.
    """
    packaged = {file.stem for file in (PACKAGED / "models").rglob("*.sql")}
    return sorted(packaged & {file.stem for file in (transforms_folder / "models").rglob("*.sql")})


def signature(
    transforms_folder: Path,
    *,
    gap_minutes: float,
    exclude_loads: tuple[int, ...],
    attribution_minutes: float = ATTRIBUTION_MINUTES,
    clicks: tuple[str, ...] = CLICK_TYPES,
) -> str:
    """One hash of everything that says how tables are made; another one asks for a rebuild."""
    of_outcomes = float(attribution_minutes), sorted(clicks)
    made_by = float(gap_minutes), sorted(exclude_loads), *of_outcomes
    digest = hashlib.sha256(repr(made_by).encode())
    for root in (PACKAGED, transforms_folder):
        for file in sorted({file for glob in _SOURCES for file in root.rglob(glob)}):
            digest.update(f"\0{file.relative_to(root)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _check_project(transforms_folder: Path) -> None:
    if not (transforms_folder / "dbt_project.yml").exists():
        raise TransformError(
            f"{transforms_folder} holds no dbt_project.yml. Put it back, or make a new project "
            "with: wherry init"
        )


def _profile(lake: dict[str, object], config: dict[str, str]) -> dict[str, object]:
    """The profile ``wherry``, in JSON, which is YAML too."""
    output = {
        "type": "duckdb",
        "path": ":memory:",
        "database": CATALOG,
        "schema": "marts",
        "threads": 1,
        # Not `settings`: DuckDB must know its extension folder before it attaches the lake.
        "config_options": config,
        "attach": [{"alias": CATALOG, **lake}],
    }
    return {"wherry": {"target": "lake", "outputs": {"lake": output}}}


def _link_package(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "wherry"
    if link.is_symlink() and link.readlink() == PACKAGED:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(PACKAGED)
