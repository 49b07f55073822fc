"""A worker: one of the processes of a project's server, with an application of its own on the
socket that all share. ``wherry serve`` starts it."""

from __future__ import annotations

import dataclasses
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
from wherry.project.workers import PROFILE, Order
from wherry.serve import READY, Sampler, Siblings, answer_on, log_to

_PARTS = {
    "the model": ("wherry.learn",),
    "rules": ("wherry.serve.rules", "wherry.learn.catalogue"),
    "reading the request": ("wherry.serve.request", "wherry.serve.bodies", "wherry.serve.guard"),
    "session state": ("wherry.live", "wherry.serve.session", "wherry.project.sessions"),
    "the log of answers": ("wherry.serve.answers", "wherry.collect.inbox"),
    "writing the answer": ("wherry.serve.recommender",),
    "taking events in": ("wherry.collect", "wherry.serve.collect", "wherry.serve.endpoints"),
    "metrics": ("wherry.serve.metrics", "prometheus_client"),
}
"""The parts of a profile, by the modules that are at work; a longer name goes before a shorter."""

_REST = "HTTP and the event loop"


def work(order: Order) -> None:
    """Answer on the socket of all until SIGTERM, or until the process that started it has gone."""
    project = Project.open(order.folder)
    if order.traffic:
        home = dataclasses.replace(project.home, traffic=Path(order.traffic))
        project = Project(home, project.settings)
    app = project.serving(partial(Siblings, Path(order.figures), order.number))
    sampler = Sampler(_PARTS, _REST) if order.traffic else None

    def ready(address: str) -> None:
        if sampler is not None:
            sampler.start()
        _say_ready()

    with socket.socket(fileno=order.descriptor) as listener:
        answer_on(listener, app, on_ready=ready)
    if sampler is not None:
        sampler.stop()
        path = Path(order.traffic) / PROFILE.format(order.number)
        path.write_bytes(msgspec.json.encode(sampler.seconds))


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
    try:
        order = msgspec.json.decode(sys.argv[1], type=Order)
    except (msgspec.DecodeError, IndexError) as error:
        sys.stderr.write(f"A worker is started by wherry serve --workers alone ({error}).\n")
        sys.exit(UsageError.exit_code)
    log_to(sys.stderr, who=f"worker {order.number}", is_quiet=bool(order.traffic))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(order)
    except WherryError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
