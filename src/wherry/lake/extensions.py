"""DuckDB's extensions, taken from wheels: no download, no open internet."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from wherry.errors import LakeError

EXTENSIONS = {"ducklake": "ducklake", "sqlite": "sqlite_scanner"}
"""The wheel's name of each extension, and the name that DuckDB loads it by."""


def extension_folder(home: Path) -> Path:
    """Lay out the wheels' extensions under ``home`` as DuckDB expects them, and return the folder.

    DuckDB looks in ``<folder>/<version>/<platform>/<name>.duckdb_extension``. Links to the
    files inside the wheels (70 MB) take their place there, remade when a link points
    elsewhere, such as after a move to another virtual environment.

    Raises:
        LakeError: If a wheel is missing or was made for another version of DuckDB.
    """
    version = f"v{duckdb.__version__}"
    with duckdb.connect() as con:
        row = con.execute("PRAGMA platform").fetchone()
    platform = row[0] if row else "unknown"
    target = home / version / platform
    target.mkdir(parents=True, exist_ok=True)
    for wheel, name in EXTENSIONS.items():
        _link(target / f"{name}.duckdb_extension", _wheel_file(wheel, version))
    return home


def _wheel_file(wheel: str, version: str) -> Path:
    module = f"duckdb_extension_{wheel}"
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise LakeError(
            f"DuckDB's extension {wheel!r} is not installed. "
            f"Run: pip install duckdb-extension-{wheel}=={version[1:]}"
        )
    file = Path(spec.origin).parent / "extensions" / version / f"{wheel}.duckdb_extension"
    if not file.exists():
        raise LakeError(
            f"The package {module} holds no extension for DuckDB {version}. "
            f"Run: pip install duckdb-extension-{wheel}=={version[1:]}"
        )
    return file


def _link(link: Path, file: Path) -> None:
    if link.is_symlink() and link.readlink() == file:
        return
    fresh = link.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(file)
    fresh.replace(link)
