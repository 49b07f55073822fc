"""The log of decisions: what was decided about what answers, one JSON object a line.

It is only appended to, and is no part of the lake: a decision is noted at once, also while a
run holds the project's lock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wherry.domain import Decision, TenantId


class Decisions(msgspec.Struct, frozen=True):
    """Decisions, the newest first; ``damaged`` counts lines that can't be read."""

    decisions: tuple[Decision, ...]
    damaged: int = 0


@dataclass(frozen=True)
class DecisionLog:
    """The log in the file at ``path``, which several processes may append to."""

    path: Path

    def add(self, decision: Decision) -> None:
        """Append a decision; it is on disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # What a full disk or a power cut left of a line must not swallow the next one: each
        # begins with a line end of its own. One write to the end is never mixed with another.
        line = b"\n" + msgspec.json.encode(decision) + b"\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)

    def read(self, tenant: TenantId | None = None) -> Decisions:
        """The decisions about a tenant, or about all."""
        found, damaged = [], 0
        for line in self._lines():
            try:
                decision = msgspec.json.decode(line, type=Decision)
            except msgspec.MsgspecError:
                damaged += 1
                continue
            if tenant in (None, decision.tenant):
                found.append(decision)
        return Decisions(tuple(reversed(found)), damaged)

    def _lines(self) -> list[bytes]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return [line for line in content.split(b"\n") if line.strip()]
