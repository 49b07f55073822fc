"""A server of a project in a process of its own, for as long as a demo needs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wherry.errors import WherryError
from wherry.project import Project

_STOP_SECONDS = 15


@contextmanager
def running_server(project: Project) -> Iterator[str]:
    """A server of the project on a free port of loopback, stopped at the end."""
    command = [sys.executable, "-m", "wherry", "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--json", "--project", str(project.home.root)]
    log_path = project.home.state / "serve.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        try:
            document = b""
            while b"}" not in document:
                line = process.stdout.readline()
                if not line:
                    raise WherryError(f"The server did not start; see {log_path}.")
                document += line
            yield json.loads(document)["address"]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
