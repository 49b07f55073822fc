"""The commands about what answers: try a release, promote it, go back, and who decided what."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.domain import Decision, Mode, tenant_id
from wherry.errors import UsageError, VerdictFailed
from wherry.project import Project
from wherry.project.releasing import read_share
from wherry.registry import Challenger, in_words, label
from wherry.watch import Judgement, Pairs, Ruling


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


def rollout(folder: Path, guard: bool, tenant: str, output: Output) -> int:
    """Show how a rollout goes; 1 where the release is found worse."""
    project = Project.open(folder)
    tried = project.releasing().rollouts.of(tenant_id(tenant))
    if tried is None:
        output.answer(
            {"rollout": None}, "Nothing is being tried. To try a release: wherry release VERSION"
        )
        return 0
    judge = project.guard()
    found = judge.look(acts=guard)[tenant_id(tenant)]
    pairs = judge.pairs(tried.rollout)
    output.answer(
        {
            "release": label(tried.release),
            "rollout": tried.rollout,
            "judgement": _finite(found),
            "shadow": pairs,
        },
        *rollout_report(tried, found, has_acted=guard),
        *([pairs_table(pairs)] if pairs else []),
    )
    return VerdictFailed.exit_code if found.ruling is Ruling.STOP else 0


def _finite(found: Judgement) -> dict[str, object]:
    """A judgement for JSON, which knows no infinity: an interval that says nothing has no ends."""
    plain: dict[str, object] = msgspec.to_builtins(found)
    for name in ("clicks", "slow"):
        comparison = plain[name]
        if isinstance(comparison, dict):
            plain[name] = {
                key: value if isfinite(value) else None for key, value in comparison.items()
            }
    return plain


def rollout_report(tried: Challenger, found: Judgement, *, has_acted: bool) -> list[Any]:
    """A rollout for the terminal: what is tried since when, both parts, and the ruling."""
    rollout = tried.rollout
    since = rollout.phase_started_at or rollout.started_at
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for column in ("visitors", "answers", "clicked", "p99"):
        table.add_column(column, justify="right", no_wrap=True)
    clicks = found.clicks
    for name, visitors, answers, clicked, p99 in (
        (
            label(tried.release),
            found.challenger_visitors,
            found.challenger_answers,
            clicks.challenger if clicks else None,
            found.challenger_p99_ms,
        ),
        (
            "champion",
            found.champion_visitors,
            found.champion_answers,
            clicks.champion if clicks else None,
            found.champion_p99_ms,
        ),
    ):
        share = "–" if clicked is None else f"{clicked:.2%}"
        table.add_row(name, f"{visitors:,}", f"{answers:,}", share, f"{p99:.3g} ms")
    told = [
        Text(f"{label(tried.release)} is tried since {since:%Y-%m-%d %H:%M:%S} UTC: ", "bold")
        + Text(f"{in_words(rollout)}, phase {rollout.phase}."),
        table,
        f"{found.errors:,} errors, which {found.failed_visitors:,} visitors met.",
    ]
    told += [Text(f"  {count:,} × {error}") for error, count in found.failures.items()]
    rulings = {
        Ruling.GO_ON: "It may go on",
        Ruling.BETTER: "It is better (wherry promote)",
        Ruling.STOP: "It was stopped" if has_acted else "It is worse (wherry rollback)",
    }
    return [*told, f"{rulings[found.ruling]}: {found.why}."]


def pairs_table(pairs: tuple[Pairs, ...]) -> Table:
    """How alike the shadow's answers are, a line a slice."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("shadow beside champion")
    for column in ("requests", "overlap", "same first", "ranks", "p50", "p99"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in pairs:
        ranks = "–" if each.rank_correlation is None else f"{each.rank_correlation:+.2f}"
        table.add_row(
            each.slice,
            f"{each.requests:,}",
            f"{each.overlap:.0%}",
            f"{each.same_first:.0%}",
            ranks,
            f"{each.shadow_p50_ms:.3g} ({each.champion_p50_ms:.3g}) ms",
            f"{each.shadow_p99_ms:.3g} ({each.champion_p99_ms:.3g}) ms",
        )
    return table


def decisions(folder: Path, last: int, tenant: str, output: Output) -> None:
    """List the decisions, so many of the newest."""
    found = Project.open(folder).releasing().log.read(tenant_id(tenant))
    text = [decision_text(each) for each in found.decisions[:last]]
    earlier = len(found.decisions) - last
    if not found.decisions:
        text.append(Text("Nothing was decided yet."))
    elif earlier > 0:
        text.append(Text(f"{earlier:,} earlier: wherry decisions --last {last + earlier}"))
    if found.damaged:
        text.append(Text(f"{found.damaged} lines of the log can't be read."))
    output.answer(found, *text)


def decision_text(decision: Decision) -> Text:
    """A decision in two lines: what was decided by whom, and why."""
    act = decision.act.replace("_", " ")
    then = f"; {decision.champion} answers" if decision.champion != decision.release else ""
    text = Text(f"{decision.decided_at:%Y-%m-%d %H:%M:%S}  ", style="dim")
    text.append(f"{decision.release} {act}", style="bold")
    text.append(f", by {decision.by}{then}", style="default")
    if decision.why:
        text.append(f"\n    {decision.why}", style="default")
    return text
