"""The log of a server: one line an event, with its time, and not too many of them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from wherry.serve import log_to
from wherry.serve.log import MOST_LINES, WITHIN_SECONDS


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is logged, and where, is the whole process': put it back."""
    monkeypatch.delenv("WHERRY_DEBUG", raising=False)
    root = logging.getLogger()
    names = ("", "wherry", "uvicorn")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers, root.handlers = root.handlers, []
    yield
    root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def log(words: str, *, at: float, level: int = logging.WARNING, line: int = 1) -> None:
    """Log something at a time, in seconds since 1970, from a line of the code."""
    logger = logging.getLogger("wherry.serve")
    record = logger.makeRecord(logger.name, level, "x.py", line, words, (), None)
    record.created = at
    logger.handle(record)


def test_an_event_is_one_line_with_its_time_and_who_says_it() -> None:
    out = io.StringIO()
    log_to(out, who="worker 2")
    log("recommender@3 answers\nfor default.", at=0.0, level=logging.INFO)
    assert (
        out.getvalue() == "1970-01-01 00:00:00Z info worker 2: recommender@3 answers for default.\n"
    )


def test_a_process_that_is_set_up_twice_writes_no_line_twice() -> None:
    out = io.StringIO()
    log_to(out)
    log_to(out)
    logging.getLogger("wherry.project").info("once")
    assert out.getvalue().count("once") == 1


def test_what_is_no_warning_can_be_left_out_and_that_of_the_parts_always_is() -> None:
    out = io.StringIO()
    log_to(out, is_quiet=True)
    logging.getLogger("wherry.serve").info("a champion came")
    logging.getLogger("alembic").info("a part's own")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert out.getvalue() == ""
    logging.getLogger("wherry.serve").warning("a warning")
    assert " warning a warning\n" in out.getvalue()


@pytest.mark.parametrize("is_whole", [False, True])
def test_an_exception_is_told_in_the_line_and_its_traceback_if_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    if is_whole:
        monkeypatch.setenv("WHERRY_DEBUG", "1")
    out = io.StringIO()
    log_to(out)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("wherry.serve").exception("It failed.")
    first, *rest = out.getvalue().splitlines()
    assert " error It failed. ValueError: two lines (" in first
    assert "test_serve_log.py:" in first
    assert bool(rest) is is_whole


def test_what_fails_again_and_again_is_counted_in_place_of_a_line_each() -> None:
    out = io.StringIO()
    log_to(out)
    for number in range(MOST_LINES + 40):
        log(f"request {number} failed", at=number / 100)
        log(f"champion {number} came", at=number / 100, level=logging.INFO)
    log("another place", at=1.0, line=2)
    lines = out.getvalue().splitlines()
    assert sum("failed" in line for line in lines) == MOST_LINES
    assert sum("came" in line for line in lines) == MOST_LINES + 40
    assert "another place" in lines[-1]
    log("request failed", at=WITHIN_SECONDS)
    log("request failed", at=WITHIN_SECONDS + 1)
    told, then = out.getvalue().splitlines()[-2:]
    assert told.endswith("request failed (40 lines like this were left out before)")
    assert then.endswith("request failed")
