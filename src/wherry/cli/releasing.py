"""The commands about what answers: try a release, promote it, go back, and who decided what."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.domain import Decision, Mode, tenant_id
from wherry.errors import UsageError
from wherry.project import Project
from wherry.project.releasing import read_share
from wherry.registry import in_words, label


def release(
    folder: Path,
    version: str,
    shadow: bool,
    canary: str,
    ab: bool,
    share: str,
    tenant: str,
    output: Output,
) -> None:
    """Try a release beside the champion."""
    mode, of = _mode(shadow, canary, ab, share)
    project = Project.open(folder)
    releasing = project.releasing()
    found = releasing.find(tenant_id(tenant), read_version(version))
    begun = releasing.start(found, mode, of)
    champion = project.champion(tenant)
    others = (
        f" {label(champion)} answers the others." if champion and begun.rollout.is_shown else ""
    )
    output.answer(
        {"release": begun.release, "rollout": begun.rollout},
        f"{label(begun.release)} ({begun.release.model}) is tried: {in_words(begun.rollout)}."
        + others,
        Text("How it goes: wherry rollout. To end it: wherry promote, or wherry rollback."),
    )


def _mode(shadow: bool, canary: str, ab: bool, share: str) -> tuple[Mode, float | None]:
    """The one way that was asked for, and on which share of the visitors."""
    asked = [
        mode
        for mode, is_asked in ((Mode.SHADOW, shadow), (Mode.CANARY, canary), (Mode.AB, ab))
        if is_asked
    ]
    if len(asked) != 1:
        raise UsageError(
            "Say in one way how the release is tried: --shadow, --canary 10% or --ab. "
            "To make it the champion at once: wherry rollback --to VERSION"
        )
    if canary and share:
        raise UsageError("--canary has its share: give --canary 10% alone.")
    word = canary or share
    return asked[0], read_share(word) if word else None


def read_version(word: str) -> int:
    """The version in ``NAME@VERSION`` or ``VERSION``."""
    number = word.rpartition("@")[2]
    if not number.isdigit():
        raise UsageError(f"{word!r} is no version; write 4 or recommender@4. See: wherry releases")
    return int(number)


def promote(folder: Path, tenant: str, output: Output) -> None:
    """Make what is tried the champion."""
    found = Project.open(folder).releasing().promote(tenant_id(tenant))
    output.answer(found, f"{label(found)} ({found.model}) is the champion now and answers all.")


def rollback(folder: Path, to: int | None, tenant: str, output: Output) -> None:
    """End what is tried, or go back to an earlier release."""
    releasing = Project.open(folder).releasing()
    tried = releasing.rollouts.of(tenant_id(tenant))
    found = releasing.rollback(tenant_id(tenant), to)
    output.answer(
        found,
        *([f"{label(tried.release)} is not tried any more."] if tried is not None else []),
        f"{label(found)} ({found.model}) answers now.",
    )


def decisions(folder: Path, tenant: str, output: Output) -> None:
    """List the decisions."""
    found = Project.open(folder).releasing().log.read(tenant_id(tenant))
    damaged = [f"{found.damaged} lines of the log can't be read."] if found.damaged else []
    table = decisions_table(found.decisions) if found.decisions else "Nothing was decided yet."
    output.answer(found, table, *damaged)


def decisions_table(decisions: tuple[Decision, ...]) -> Table:
    """Decisions, a line each, with what answered after it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("when (UTC)", "decision", "by", "answers then"):
        table.add_column(column, no_wrap=True)
    table.add_column("why", overflow="fold")
    for each in decisions:
        table.add_row(
            f"{each.decided_at:%Y-%m-%d %H:%M:%S}",
            f"{each.release} {each.act.replace('_', ' ')}",
            Text(each.by),
            each.champion,
            Text(each.why),
        )
    return table
