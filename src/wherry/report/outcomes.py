"""What came of the answers, as a table of words: for the terminal and for the card."""

from __future__ import annotations

import msgspec


class OutcomeLines(msgspec.Struct, frozen=True):
    """Headings, and below them a line for each part of the answers, its name first."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
