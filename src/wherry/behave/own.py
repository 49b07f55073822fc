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

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from wherry.behave.subject import Subject
from wherry.domain import Check
from wherry.errors import UsageError

OwnCheck = Callable[[Subject], Check | Iterable[Check]]


def load_own_checks(folder: Path) -> dict[str, OwnCheck]:
    """Load the checks of ``folder/*.py`` by ``file.function``; no folder gives none.

    Raises:
        UsageError: If a file can't be run, or holds no check.
    """
    own: dict[str, OwnCheck] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        spec = importlib.util.spec_from_file_location(f"wherry_own_checks.{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise UsageError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error
        found = {name: value for name, value in vars(module).items() if name.startswith("check_")}
        if not found:
            raise UsageError(f"{path} holds no check: a function whose name begins with 'check_'.")
        own |= {f"{path.stem}.{name}": value for name, value in found.items()}
    return own


def run_own_check(name: str, check: OwnCheck, subject: Subject) -> Iterator[Check]:
    """Run one of the shop's checks; one that raises has failed, with what it raised."""
    try:
        result = check(subject)
        checks = (result,) if isinstance(result, Check) else tuple(result)
    except Exception as error:  # noqa: BLE001  a shop's own code may raise anything
        message = f"It raised {type(error).__name__}: {error}"
        yield Check(name=name, passed=False, bound="runs", message=message)
        return
    yield from checks
