"""The workers of a project's server: how many there are, and how each is started."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from wherry.project.priority import rank_session
from wherry.serve import Holdings, Workers, address_of

HOLDINGS = "connections"
"""The file, beside the sockets by which workers find each other, in which each says how many
connections it holds."""
PROFILE = "profile-{}.json"
"""The file in which a worker that is profiled leaves its processor seconds by part."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told when it is started; it answers once it is told to.

    ``folder`` is the project's, ``descriptor`` that of the socket which listens, ``figures`` the
    folder in which workers find each other. ``traffic``, if it is not empty, is the folder that
    the worker writes to in place of the project's, and where it leaves its profile.
    """

    folder: str
    number: int
    descriptor: int
    figures: str
    traffic: str = ""


def worker_count(asked: int) -> int:
    """How many workers there are to be: as many as asked for, one for each core if that is 0."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return asked or cores or 1


def project_workers(
    folder: Path,
    listener: socket.socket,
    count: int,
    *,
    figures: Path,
    spares: int = 0,
    nice: int = 0,
    traffic: Path | None = None,
) -> Workers:
    """The workers of a project on a socket, about to be run; see :class:`Order`.

    One that gets ready to stand by ranks behind others by ``nice`` meanwhile, where sessions have
    a rank.
    """
    holdings = Holdings.create(figures / HOLDINGS, count + spares)

    def command(number: int) -> list[str]:
        order = Order(
            folder=str(folder),
            number=number,
            descriptor=listener.fileno(),
            figures=str(figures),
            traffic=str(traffic or ""),
        )
        return [sys.executable, "-m", "wherry.project.worker", msgspec.json.encode(order).decode()]

    return Workers(
        command,
        count,
        spares=spares,
        descriptors=[listener.fileno()],
        on_end=holdings.withdraw,
        rank=(lambda pid, behind: rank_session(pid, nice if behind else 0)) if nice else None,
    )


def run_workers(
    folder: Path,
    listener: socket.socket,
    count: int,
    on_ready: Callable[[str], None] | None,
    *,
    spares: int = 0,
    nice: int = 0,
) -> None:
    """Run a project's workers on a socket until a signal ends them; ``spares`` more stand by,
    which rank behind others by ``nice`` while they get ready.

    Raises:
        WherryError: they can't be started.
    """
    # A socket's path is short by law, so theirs are not in the project's folder.
    with tempfile.TemporaryDirectory(prefix="wherry-") as figures:
        workers = project_workers(
            folder, listener, count, figures=Path(figures), spares=spares, nice=nice
        )
        workers.run(lambda: on_ready(address_of(listener)) if on_ready else None)
