"""Compiled loops: Numba, without the interpreter's lock, kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code for the next process.

    Where no folder can be written to (a read-only container), each process compiles anew.
    """
    try:
        return cast(Function, numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # what Numba raises when it finds no place for its cache
        return cast(Function, numba.njit(nogil=True)(function))
