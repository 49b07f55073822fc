"""Arrays on disk: one ``.npy`` file each, mapped into memory when read back, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wherry.errors import ModelError

Array = NDArray[Any]


def frozen(array: Array, dtype: DTypeLike) -> Array:
    """Return a read-only, contiguous, plain view of an array; the caller's own stays writable.

    Kernels then meet one type whether an array was just computed or mapped from a file, and
    are compiled once.
    """
    view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)[...]
    view.setflags(write=False)
    return view


def save_arrays(folder: Path, **arrays: Array) -> None:
    """Write each array as ``<name>.npy`` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load_array(folder: Path, name: str, *, mmap: bool = True) -> Array:
    """Read ``<name>.npy`` as a read-only array, mapped from the file unless told otherwise.

    Raises:
        ModelError: the file is missing, cut short or not an array.
    """
    path = folder / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(
            f"{path} can't be read as an array ({error}). Fit the model again, or restore the file."
        ) from error
    return frozen(array, array.dtype)
