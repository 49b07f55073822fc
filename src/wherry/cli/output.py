"""The output: text for people or one JSON document for programs, behind one object.

Answers go to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

READER_GONE = 141
"""The exit code where the output's reader has gone: what a shell makes of SIGPIPE."""


class Output:
    """Where a command puts its answer. ``as_json`` chooses between the two forms."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def answer(self, document: Any, *text: RenderableType) -> None:
        """Give the answer: the document as JSON, or the text."""
        if self.as_json:
            import msgspec

            content = msgspec.json.format(msgspec.json.encode(document), indent=2)
            with _to_a_reader():
                sys.stdout.write(content.decode() + "\n")
                sys.stdout.flush()
            return
        from rich.console import Console

        class Paper(Console):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # Rich would leave with 1, which means a failed verdict

        console = Paper(highlight=False)
        with _to_a_reader():
            for part in text:
                console.print(part)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """Show what is being done, told as ``stage`` or ``stage: step``.

        A terminal shows one moving line, anything else a line for each stage.
        """
        if self.as_json or not sys.stderr.isatty():
            yield (lambda words: None) if self.as_json else _Lines()
            return
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        started = time.monotonic()
        with console.status("starting") as status:

            def show(words: str) -> None:
                status.update(f"{words} [dim]({time.monotonic() - started:.0f} s in)[/dim]")

            yield show


@contextmanager
def _to_a_reader() -> Iterator[None]:
    """Leave quietly where whoever read the output has gone (``wherry status | head -1``)."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)


class _Lines:
    """Progress where there is no terminal: each stage once, on a line of its own."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, words: str) -> None:
        stage = words.partition(": ")[0]
        if stage != self._last:
            sys.stderr.write(stage + "\n")
            sys.stderr.flush()
            self._last = stage


def report_error(message: str, kind: str, *, as_json: bool = False) -> None:
    """Say on standard error what went wrong; as JSON also on standard output."""
    if as_json:
        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
        return
    sys.stderr.write(f"wherry: {message}\n")
