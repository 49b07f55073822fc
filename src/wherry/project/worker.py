"""A worker: one of the processes of a project's server, with an application of its own on the
socket that all share. ``wherry serve`` starts it, and tells it when to answer."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from wherry.errors import UsageError, WherryError
from wherry.project.project import Project
from wherry.project.workers import HOLDINGS, PROFILE, Order
from wherry.serve import GO, READY, WARM, Balance, Holdings, Sampler, Siblings, answer_on, log_to

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


class Starter:
    """The process that started this one: it says when to answer, and goes some time."""

    def __init__(self) -> None:
        self._begin: Callable[[], None] = lambda: None

    def stand_by(self, begin: Callable[[], None]) -> None:
        """Say that this worker could answer; ``begin`` is called once it is to."""
        self._begin = begin
        _say(WARM)

    def listen(self) -> None:
        """Hear what it says, until it has gone: then this process ends as well."""
        # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
        while said := os.read(sys.stdin.fileno(), 64):
            if GO.encode() in said.split():
                self._begin()
        os.kill(os.getpid(), signal.SIGTERM)


def work(order: Order, starter: Starter) -> None:
    """Answer on the socket of all, once told to, until SIGTERM."""
    project = Project.open(order.folder)
    if order.traffic:
        home = dataclasses.replace(project.home, traffic=Path(order.traffic))
        project = Project(home, project.settings)
    figures = Path(order.figures)
    app = project.serving(partial(Siblings, figures, order.number))
    sampler = Sampler(_PARTS, _REST) if order.traffic else None

    def ready(address: str) -> None:
        if sampler is not None:
            sampler.start()
        _say(READY)

    with socket.socket(fileno=order.descriptor) as listener:
        balance = Balance(Holdings(figures / HOLDINGS), order.number)
        answer_on(listener, app, on_ready=ready, stand_by=starter.stand_by, balance=balance)
    if sampler is not None:
        sampler.stop()
        path = Path(order.traffic) / PROFILE.format(order.number)
        path.write_bytes(msgspec.json.encode(sampler.seconds))


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the worker that the one argument orders."""
    try:
        order = msgspec.json.decode(sys.argv[1], type=Order)
    except (msgspec.DecodeError, IndexError) as error:
        sys.stderr.write(f"A worker is started by wherry serve --workers alone ({error}).\n")
        sys.exit(UsageError.exit_code)
    log_to(sys.stderr, who=f"worker {order.number}", is_quiet=bool(order.traffic))
    starter = Starter()
    threading.Thread(target=starter.listen, daemon=True).start()
    try:
        work(order, starter)
    except WherryError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
