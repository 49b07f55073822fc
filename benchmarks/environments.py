"""Environments of their own for the libraries that Wherry is measured beside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def environment(folder: Path, packages: Sequence[str], *, behind: Sequence[Path] = ()) -> Path:
    """The interpreter of an environment that has the packages; made once, then taken as it is.

    Of ``behind``, folders that Python looks in after the environment's own packages, so that
    those go first where both have one.

    Raises:
        CalledProcessError: a package can't be installed; pip has printed why.
    """
    python = folder / "bin" / "python"
    wanted = "\n".join(packages)
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages], check=True)
        ready.write_text(wanted)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "zz-behind.pth").write_text("".join(f"{path}\n" for path in behind))
    return python
