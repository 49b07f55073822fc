"""A worker: one of the processes of a project's server, with an application of its own on the
socket that all share. ``wherry serve`` starts it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import msgspec

from wherry.errors import UsageError, WherryError
from wherry.project.project import Project
from wherry.project.workers import Order
from wherry.serve import READY, Siblings, answer_on


def work(order: Order) -> None:
    """Answer on the socket of all until SIGTERM, or until the process that started it has gone."""
    siblings = partial(Siblings, Path(order.figures), order.number)
    app = Project.open(order.folder).serving(siblings)
    with socket.socket(fileno=order.descriptor) as listener:
        answer_on(listener, app, on_ready=lambda _: _say_ready())


def _say_ready() -> None:
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the worker that the one argument orders."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(msgspec.json.decode(sys.argv[1], type=Order))
    except (msgspec.DecodeError, IndexError) as error:
        sys.stderr.write(f"A worker is started by wherry serve --workers alone ({error}).\n")
        sys.exit(UsageError.exit_code)
    except WherryError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
