"""Whose a file of the inbox is: the one process that writes it and may replace it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from wherry.collect.inbox.store import SUFFIX


class Ownership:
    """A file of the inbox that this process alone writes; it falls with the process.

    The lock is the kernel's (``flock``) on a file beside it, as the file itself may be replaced.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path, name: str) -> Ownership:
        """Own ``name`` or, where another process does, the first free of ``name-2``, ``name-3``…

        Raises:
            OSError: If the folder can't be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = folder / f"{name}{'' if number == 1 else f'-{number}'}{SUFFIX}"
            if (owned := cls.of(path)) is not None:
                return owned
            number += 1

    @classmethod
    def of(cls, path: Path) -> Ownership | None:
        """Own one file, or ``None`` while another process does.

        Raises:
            OSError: If the folder can't be written.
        """
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def give_up(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)
