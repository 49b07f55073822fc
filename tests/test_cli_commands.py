"""What the commands say in a terminal of 80 columns."""

from __future__ import annotations

from rich.console import Console

from wherry.cli.commands import failures_text, warnings_text
from wherry.domain import DEFAULT_TENANT, Check, Severity, Verdict

LONG = "what was found and why it matters, " * 5


def shown(lines: list[object]) -> str:
    console = Console(width=80, record=True)
    for line in lines:
        console.print(line)
    return console.export_text()


def verdict(**severity: Severity) -> Verdict:
    checks = tuple(
        Check(name=name, passed=False, severity=each, message=LONG, slice=name)
        for name, each in severity.items()
    )
    return Verdict(subject="behave", tenant=DEFAULT_TENANT, checks=checks)


def test_a_message_stays_below_the_name_of_its_check() -> None:
    first, *others = shown(failures_text(verdict(stops=Severity.BLOCK))).splitlines()
    assert first.startswith("✗ stops")
    assert len(others) > 1
    assert {line[:2] for line in others} == {"  "}


def test_a_warning_of_the_whole_is_shown_though_it_stops_nothing() -> None:
    text = shown(warnings_text(verdict(all=Severity.WARN, small=Severity.WARN)))
    assert text.startswith("! all\n  what was found")
    assert "small" not in text
    assert warnings_text(verdict(all=Severity.BLOCK)) == []
