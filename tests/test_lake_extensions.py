"""DuckDB's extensions: their signature is looked at once, and again when a file is another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import pytest

from wherry.errors import LakeError
from wherry.lake import Lake, extensions


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of copies of the extensions, which a lake takes them from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for wheel in extensions.EXTENSIONS:
        file = extensions._wheel_file(wheel, f"v{duckdb.__version__}")
        shutil.copyfile(file, folder / file.name)
    monkeypatch.setattr(
        extensions, "_wheel_file", lambda wheel, version: folder / f"{wheel}.duckdb_extension"
    )
    return folder


def _use(folder: Path) -> None:
    with Lake(folder).writer() as con:
        assert con.execute("SELECT 1").fetchone() == (1,)


def test_the_signature_is_looked_at_once(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    check = extensions._check_signatures
    monkeypatch.setattr(
        extensions, "_check_signatures", lambda stamps: (looked.append(stamps), check(stamps))
    )
    for _ in range(3):
        _use(tmp_path / "lake")
    assert len(looked) == 1
    os.utime(wheels / "ducklake.duckdb_extension", ns=(1, 1))
    _use(tmp_path / "lake")
    assert len(looked) == 2


@pytest.mark.parametrize("wheel", extensions.EXTENSIONS)
@pytest.mark.parametrize("used_before", [False, True])
def test_a_file_that_is_not_what_was_signed_is_refused_and_the_remedy_named(
    wheels: Path, tmp_path: Path, wheel: str, used_before: bool
) -> None:
    if used_before:
        _use(tmp_path / "lake")
    file = wheels / f"{wheel}.duckdb_extension"
    content = bytearray(file.read_bytes())
    content[-5000] ^= 1
    file.unlink()
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(LakeError, match=f"--force-reinstall duckdb-extension-{wheel}=="):
            _use(tmp_path / "lake")
