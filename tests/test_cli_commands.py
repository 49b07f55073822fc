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


def test_offending_rows_are_a_line_each_with_figures_in_short() -> None:
    row = {"champion": 0.3669914155217955, "sessions": 218, **dict.fromkeys("abcdefghij", 0.125)}
    check = Check(name="no worse", passed=False, figure=-0.130157, bound="≥ −0.02", sample=(row,))
    told = Verdict(subject="behave", tenant=DEFAULT_TENANT, checks=(check,))
    first, _, rows = shown(failures_text(told)).splitlines()
    assert first.rstrip() == "✗ no worse is −0.13, wanted ≥ −0.02"
    assert rows.startswith("    champion 0.367, sessions 218, a 0.125")
    assert rows.endswith("…")
