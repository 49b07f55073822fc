"""What the command does that reads rejected events again."""

from __future__ import annotations

from pathlib import Path

from wherry.cli.output import Output
from wherry.project import Project


def replay_rejected(folder: Path, reason: str, wait: float, output: Output) -> None:
    """Replay, and count what came of it."""
    project = Project.open(folder)
    with output.progress() as report:
        done = project.replay_rejected(reason=reason, wait_seconds=wait, report=report)
    output.answer(
        done,
        f"{done.read:,} rejected events read again: {done.taken:,} taken, {done.known:,} known "
        f"already, {done.rejected:,} rejected still.",
    )
