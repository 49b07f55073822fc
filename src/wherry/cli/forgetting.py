"""What the command does that forgets persons."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from wherry.cli.output import Output
from wherry.project import Project
from wherry.project.forget import Forgotten


def forget(folder: Path, visitors: list[str], tenant: str, wait: float, output: Output) -> None:
    """Forget some visitors, and say what they have left behind outside of the data."""
    project = Project.open(folder)
    project.step_back()
    with output.progress() as report:
        done = project.forget(visitors, tenant=tenant, wait_seconds=wait, report=report)
    output.answer(done, *forgotten_text(done))


def forgotten_text(done: Forgotten) -> list[Text]:
    """An erasure for the terminal."""
    traces = done.traces
    lines = [
        f"Forgotten: {traces.events:,} events, {traces.answers:,} answers, {traces.rejected:,} "
        f"rejected rows and {traces.deliveries:,} requests of {done.tenant}."
    ]
    if done.gone_by is not None:
        lines.append(
            f"Older snapshots still hold them. The last of these goes with the first run after "
            f"{done.gone_by:%Y-%m-%d}."
        )
    if done.also_known_as:
        lines.append(f"The same person is also called: {', '.join(done.also_known_as)}")
    if done.releases:
        lines.append(f"Releases trained on these events: {', '.join(done.releases)}")
        lines.append("The next run learns without them: wherry run")
    if done.withdrawn:
        lines.append(
            f"Nothing is published for {', '.join(done.withdrawn)} until a run passes its audit."
        )
    for path in done.left:
        lines.append(f"Set aside from a damaged inbox, and mentions them: {path}")
    return [Text(line) for line in lines]
