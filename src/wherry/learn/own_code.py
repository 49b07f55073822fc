"""A shop's own Python files: its models, and its tests of behaviour."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from wherry.errors import WherryError


def run_own_file(path: Path, package: str, failure: type[WherryError]) -> ModuleType:
    """Import a file under a name of its own, ``package.stem``, without touching ``sys.path``.

    Raises:
        WherryError: What the file raises, as a ``failure`` that names the file.
    """
    name = f"{package}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise failure(
            f"{path} can't be loaded: {type(error).__name__}: {error}. Correct the file, or move "
            "it out of the folder."
        ) from error
    return module
