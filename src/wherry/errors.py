"""The errors that Wherry raises, one tree.

::

    WherryError               something broke                       exit code 3
    ├── UsageError            the request makes no sense            exit code 2
    │   ├── SettingsError     a value in wherry.toml
    │   ├── ProjectError      no project here, or one that exists already
    │   └── SourceError       a file that can't be imported as asked
    ├── VerdictFailed         a check failed, nothing was released   exit code 1
    ├── LockHeld              another process is writing
    ├── InboxUnavailable      events can't be kept just now; nothing of them was
    ├── LakeError             the lake can't be read or written
    ├── TransformError        a dbt model failed
    ├── ModelError            a model can't be fitted, saved or loaded
    └── RegistryError         a release can't be found or made

Each message says what happened, names the offending value, and says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WherryError(Exception):
    """Something broke; the base of every error that Wherry raises on purpose."""

    exit_code = 3


class UsageError(WherryError):
    """The request itself is wrong: a mistyped name, a value out of range."""

    exit_code = 2


class SettingsError(UsageError):
    """A value in ``wherry.toml`` can't be used; the message names the key and the line."""


class ProjectError(UsageError):
    """There is no project in this folder, or there is one already."""


class SourceError(UsageError):
    """A file can't be imported as asked; nothing of it was taken."""


class VerdictFailed(WherryError):
    """A check failed, so nothing was published or released."""

    exit_code = 1


class LockHeld(WherryError):
    """Another process holds the project lock."""


class InboxUnavailable(WherryError):
    """The inbox can't keep events just now: its disk is full, or too much is on its way.

    Nothing of the delivery was kept; ``retry_seconds`` from now is a good time to send it again.
    """

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class LakeError(WherryError):
    """The lake can't be opened, read or written."""


class TransformError(WherryError):
    """A dbt model or test could not be run."""


class ModelError(WherryError):
    """A model can't be fitted, saved or loaded."""


class RegistryError(WherryError):
    """A release can't be found, made or rolled back."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the closest known word, for the end of an error message.

    >>> did_you_mean("retailrokcet", ["rees46", "retailrocket"])
    " Did you mean 'retailrocket'?"
    >>> did_you_mean("zzz", ["rees46"])
    ''
    """
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
