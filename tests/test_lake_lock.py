"""The project lock, between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wherry.errors import LockHeld
from wherry.lake import project_lock, read_holder

_HOLD = """
import sys
from pathlib import Path
from wherry.lake import project_lock
with project_lock(Path(sys.argv[1]), "wherry run"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is told a line, or killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with another_holder(path) as holder:
        with pytest.raises(LockHeld) as refusal, project_lock(path, "wherry import"):
            pass
        message = str(refusal.value)
        assert "'wherry run'" in message
        assert f"process {holder.pid}" in message
        assert "--wait" in message


def test_who_waits_gets_the_lock_when_the_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waited_for: list[str] = []
    with another_holder(path) as holder:

        def end_it(words: str) -> None:
            waited_for.append(words)
            assert holder.stdin is not None
            holder.stdin.write("\n")
            holder.stdin.flush()

        with project_lock(path, "wherry import", wait_seconds=30, on_wait=end_it):
            found = read_holder(path)
            assert found is not None
            assert (found.pid, found.command) == (os.getpid(), "wherry import")
        assert len(waited_for) == 1
        assert str(holder.pid) in waited_for[0]


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_holder(path) as holder:
        holder.kill()
        holder.wait()
        assert read_holder(path) is None
        with project_lock(path, "wherry run"):
            pass


def test_nobody_holds_a_lock_that_was_never_taken_or_was_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert read_holder(path) is None
    with project_lock(path, "wherry run"):
        assert read_holder(path) is not None
    assert read_holder(path) is None


def test_what_a_body_raises_gives_the_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(ZeroDivisionError), project_lock(path, "wherry run"):
        _ = 1 / 0
    with project_lock(path, "wherry run"):
        pass


def test_a_look_at_the_lock_does_not_keep_a_writer_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    look = (
        "import sys\nfrom pathlib import Path\nfrom wherry.lake import read_holder\n"
        "print('looking', flush=True)\nwhile True: read_holder(Path(sys.argv[1]))"
    )
    path.touch()
    with subprocess.Popen(
        [sys.executable, "-c", look, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            for _ in range(200):
                with project_lock(path, "wherry run"):
                    pass
        finally:
            process.kill()
