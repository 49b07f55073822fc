"""What the command does that makes lists beforehand."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from wherry.cli.output import Output
from wherry.project import Project
from wherry.project.precompute import Done


def precompute(folder: Path, of: str, k: int, tenant: str, wait: float, output: Output) -> None:
    """Make lists, and say how many, how fast and where they are."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        done = project.precompute(
            [of] if of else [], k=k, tenant=tenant, wait_seconds=wait, report=report
        )
    output.answer(done, *map(done_text, done))


def done_text(done: Done) -> Text:
    """One kind's lists for the terminal."""
    shared = f", {done.lists:,} of them different" if done.lists < done.keys else ""
    return Text(
        f"{done.model}: {done.keys:,} {done.kind}{shared}; "
        f"{done.rate:,.0f} lists a second. {done.file}"
    )
