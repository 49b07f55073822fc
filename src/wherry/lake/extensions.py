"""DuckDB's extensions, taken from wheels: no download, no open internet."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec

from wherry.errors import LakeError
from wherry.lake.files import write_whole

EXTENSIONS = {"ducklake": "ducklake", "sqlite": "sqlite_scanner"}
"""The wheel's name of each extension, and the name that DuckDB loads it by."""

VERIFIED = "verified"
"""The file that holds the stamps of the extensions on which DuckDB's signature was found."""

Stamp = tuple[str, int, int]
"""A file's path, its size in bytes and when it was changed, in nanoseconds."""


def extension_config(home: Path) -> dict[str, str]:
    """Lay out the wheels' extensions under ``home``; return the settings that let DuckDB load them.

    DuckDB looks in ``<folder>/<version>/<platform>/<name>.duckdb_extension``. Links to the
    files inside the wheels (70 MB) take their place there, remade when a link points
    elsewhere, such as after a move to another virtual environment.

    DuckDB would read all 70 MB for their signature whenever it opens a lake, which takes ten
    times as long as the rest. So the signature is looked at once, and again when a file is
    another one.

    Raises:
        LakeError: If a wheel is missing, was made for another version of DuckDB, or is not what
            DuckDB signed.
    """
    version = f"v{duckdb.__version__}"
    files = {name: _wheel_file(wheel, version) for wheel, name in EXTENSIONS.items()}
    target = _lay_out(home, files)
    stamps = tuple(_stamp(file) for file in files.values())
    content, verified = msgspec.json.encode(stamps), target / VERIFIED
    if not verified.exists() or verified.read_bytes() != content:
        _check_signatures(stamps)
        write_whole(verified, content)
    return {**_config(home), "allow_unsigned_extensions": "true"}


def _lay_out(home: Path, files: dict[str, Path]) -> Path:
    target = home / f"v{duckdb.__version__}" / _platform()
    target.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        _link(target / f"{name}.duckdb_extension", file)
    return target


def _config(home: Path) -> dict[str, str]:
    return {"extension_directory": str(home), "autoinstall_known_extensions": "false"}


def _stamp(file: Path) -> Stamp:
    facts = file.stat()
    return str(file), facts.st_size, facts.st_mtime_ns


@cache  # a process that makes many lakes looks once
def _check_signatures(stamps: tuple[Stamp, ...]) -> None:
    files = [Path(name) for name, *_ in stamps]
    with TemporaryDirectory() as home:
        _lay_out(Path(home), dict(zip(EXTENSIONS.values(), files, strict=True)))
        with duckdb.connect(config={**_config(Path(home))}) as con:
            for wheel in EXTENSIONS:
                _load(con, wheel)


def _load(con: duckdb.DuckDBPyConnection, wheel: str) -> None:
    try:
        con.execute(f"LOAD {wheel}")
    except duckdb.Error as error:
        raise LakeError(
            f"DuckDB refuses its extension {wheel!r}: {error} Run: pip install "
            f"--force-reinstall duckdb-extension-{wheel}=={duckdb.__version__}"
        ) from error


@cache
def _platform() -> str:
    with duckdb.connect() as con:
        row = con.execute("PRAGMA platform").fetchone()
    return str(row[0]) if row else "unknown"


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
