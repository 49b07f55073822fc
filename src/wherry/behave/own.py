"""A shop's own behavioural checks: functions in the ``behaviour/`` folder of the project.

Every function whose name begins with ``check_`` is called with the :class:`Subject` and
returns a :class:`~wherry.domain.Check` or several::

    from wherry.behave import Check, Query, Subject

    def check_no_gift_cards(subject: Subject) -> Check:
        shown = subject.answerer.answer(Query(session=["tent"], k=20))
        ...
        return Check(name="no gift cards", passed=..., figure=...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from wherry.behave.subject import Subject
from wherry.domain import Check
from wherry.errors import UsageError
from wherry.learn.own_code import run_own_file

OwnCheck = Callable[[Subject], Check | Iterable[Check]]


def load_own_checks(folder: Path) -> dict[str, OwnCheck]:
    """Load the checks of ``folder/*.py`` by ``file.function``; no folder gives none.

    Raises:
        UsageError: If a file can't be run, or holds no check.
    """
    own: dict[str, OwnCheck] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        module = run_own_file(path, "wherry_own_checks", UsageError)
        # What a file imports is not its own, even if its name is like that of a check.
        found = {
            name: value
            for name, value in vars(module).items()
            if name.startswith("check_") and getattr(value, "__module__", "") == module.__name__
        }
        if not found:
            raise UsageError(
                f"{path} holds no check: a function whose name begins with 'check_'. Define one "
                "there, or begin the file's name with '_'."
            )
        own |= {f"{path.stem}.{name}": value for name, value in found.items()}
    return own


def run_own_check(name: str, check: OwnCheck, subject: Subject) -> Iterator[Check]:
    """Run one of the shop's checks; one that raises has failed, with what it raised."""
    try:
        result = check(subject)
        checks = [_plain(each) for each in ([result] if isinstance(result, Check) else result)]
    except Exception as error:  # noqa: BLE001  a shop's own code may raise anything
        message = f"It raised {type(error).__name__}: {error}"
        checks = [Check(name=name, passed=False, bound="runs", message=message)]
    yield from checks


def _plain(check: object) -> Check:
    """A check whose figures are plain ones, as NumPy's are not, and that can be recorded."""
    if not isinstance(check, Check):
        raise TypeError(f"a check returns Check or several, not {type(check).__name__}")
    figure = None if check.figure is None else float(check.figure)
    plain = msgspec.structs.replace(check, passed=bool(check.passed), figure=figure)
    msgspec.json.encode(plain)
    return plain
