"""The report of a run: a card as one HTML page, and the terminal's tables."""

from wherry.report.card import Example, render_card, write_card
from wherry.report.changes import Previous
from wherry.report.outcomes import OutcomeLines
from wherry.report.text import (
    indented,
    leaderboard_table,
    releases_table,
    run_summary,
    stage_table,
    verdict_table,
)

__all__ = [
    "Example",
    "OutcomeLines",
    "Previous",
    "indented",
    "leaderboard_table",
    "releases_table",
    "render_card",
    "run_summary",
    "stage_table",
    "verdict_table",
    "write_card",
]
