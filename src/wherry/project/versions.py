"""What a release was computed with: the version of the code and of the packages."""

from __future__ import annotations

import contextlib
import subprocess
from importlib import metadata
from pathlib import Path

from wherry import __version__

PACKAGES = (
    "wherry",
    "duckdb",
    "duckdb-extension-ducklake",
    "dbt-core",
    "dbt-duckdb",
    "metaflow",
    "mlflow-skinny",
    "numba",
    "numpy",
    "pyarrow",
)


OPTIONAL = ("lightgbm", "jax", "jaxlib")
"""Packages of extras that a model may have been fitted with, where they are installed."""


def package_versions() -> dict[str, str]:
    """The versions of the packages that a model's figures can depend on."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    for name in OPTIONAL:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def code_version(root: Path) -> str:
    """The version of the project's own code: its git commit, ``+`` if files have changed since.

    Outside a git repository it is Wherry's version alone.
    """
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return f"wherry {__version__}"
    changed = "+" if _git(root, "status", "--porcelain", "--", ".") else ""
    return f"wherry {__version__}, {commit}{changed}"


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
