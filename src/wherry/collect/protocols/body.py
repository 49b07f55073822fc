"""The body of a request: JSON, split so that one bad event costs no other.

A body is read as a whole first. Only where that fails is it cut at its brackets and commas,
and each event read by itself: an event that is not UTF-8, nests without end or holds ``NaN``
then spoils nothing but itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from wherry.errors import UsageError

MAX_EVENTS = 10_000
MAX_ITEMS = 1_000
MAX_DEPTH = 32

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_OUTER = re.compile(rb"(?:[^\"\[\]{},]++|" + _STRING + rb")*+([\[{]++|[\]}]|,|$)", re.DOTALL)
_INNER = re.compile(rb"(?:[^\"\[\]{}]++|" + _STRING + rb")*+([\[{]++|[\]}]++|$)", re.DOTALL)
"""Up to the next sign that matters: within an event its commas don't, and brackets come in runs."""

_MAX_SIGNS = 200_000
"""How many signs of a body that can't be read are looked at: a fifth of a second's work."""

_KEY = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:', re.DOTALL)
_MARK = b"\xef\xbb\xbf"

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading a body as a whole may raise."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much one request may hold: events, items an event, levels of nesting an event."""

    max_events: int = MAX_EVENTS
    max_items: int = MAX_ITEMS
    max_depth: int = MAX_DEPTH


class BodyError(UsageError):
    """A body that can't be read as a whole, or holds too many events: nothing of it is taken."""

    def __init__(self, message: str, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.is_too_large = is_too_large


class Misfit(Exception):
    """Why one event can't be taken."""


class Rows(msgspec.Struct, frozen=True):
    """The events of a body, each read or a :class:`Misfit`, and the text of one by its place."""

    values: list[Any]
    text: Callable[[int], str]


class TextsOf:
    """The texts of the events of a body that can be read, cut out when first asked for."""

    def __init__(self, body: bytes, key: str | None = None) -> None:
        self._body = body
        self._key = key
        self._texts: list[bytes] | None = None

    def __call__(self, place: int) -> str:
        """The text of one event."""
        if self._texts is None:
            self._texts = self._cut()
        return shown(self._texts[place])

    def _cut(self) -> list[bytes]:
        text = self._body.strip()
        if self._key is not None and text.startswith(b"{"):
            text = bytes(
                msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(self._key, text)
            )
        if text.startswith(b"["):
            return [bytes(each) for each in msgspec.json.decode(text, type=list[msgspec.Raw])]
        return [text]


def shown(text: bytes) -> str:
    """Bytes as text; those that are not UTF-8 are written ``\\xe9``."""
    return text.decode("utf-8", "backslashreplace")


def read_value(text: bytes) -> Any:
    """One event's JSON, also with ``NaN`` and ``Infinity``, which Python's own writer makes.

    Raises:
        Misfit: If it can't be read.
    """
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Misfit(f"the event is not UTF-8: byte 0x{byte:02x}") from None
    except RecursionError:
        raise Misfit("the event is nested too deeply") from None
    except msgspec.DecodeError:
        return _read_loosely(text)


def _read_loosely(text: bytes) -> Any:
    try:
        value = json.loads(text)
        msgspec.json.encode(value)  # half of a surrogate pair, which no encoding can carry
    except RecursionError:
        raise Misfit("the event is nested too deeply") from None
    except ValueError:
        raise Misfit("the event is not JSON") from None
    return value


def read_rows(body: bytes, key: str | None, bounds: Bounds) -> tuple[dict[str, Any], Rows]:
    """The events of a JSON array, or of the array under ``key``, or the one that a body is.

    Returns what stands beside the array, and the events.

    Raises:
        BodyError: If the body is not JSON as a whole, or holds too many events.
    """
    body = body.removeprefix(_MARK)
    try:
        whole = msgspec.json.decode(body)
    except UNREADABLE:
        return _rescue(body, key, bounds)
    head: dict[str, Any] = {}
    values = [whole]
    if not isinstance(whole, list | dict):
        raise BodyError("The body is neither a JSON object nor an array.")
    if isinstance(whole, list):
        values = whole
    elif key is not None and key in whole:
        values = whole.pop(key)
        head = whole
        if not isinstance(values, list):
            raise BodyError(f"{key} is not an array.")
    _check_count(len(values), bounds)
    return head, Rows(values, TextsOf(body, key))


def read_lines(body: bytes, bounds: Bounds, read: Callable[[bytes], Any] = read_value) -> Rows:
    """The events of NDJSON, one a line by ``read``; lines that are blank do not count."""
    lines = [line for line in body.removeprefix(_MARK).split(b"\n") if line.strip()]
    _check_count(len(lines), bounds)
    return Rows([_read_or_misfit(line, read) for line in lines], lambda place: shown(lines[place]))


def elements(array: bytes, bounds: Bounds) -> list[bytes]:
    """The texts of a JSON array's elements, whether or not they can be read.

    Raises:
        BodyError: If the brackets do not close, or there are too many elements.
    """
    parts = _parts(array, bounds.max_events)
    _check_count(len(parts), bounds)
    return parts


def _rescue(body: bytes, key: str | None, bounds: Bounds) -> tuple[dict[str, Any], Rows]:
    parts = _texts(body, key, bounds)
    head: dict[str, Any] = {}
    if body.lstrip()[:1] == b"{":
        for name, text in _members(body).items():
            value = _read_or_misfit(text) if name != key else None
            if value is not None and not isinstance(value, Misfit):
                head[name] = value
    values = [_read_or_misfit(part) for part in parts]
    if len(values) == 1 and parts[0] is body and isinstance(values[0], Misfit):
        raise BodyError(f"The body can't be read: {values[0]}.")
    return head, Rows(values, lambda place: shown(parts[place]))


def _texts(body: bytes, key: str | None, bounds: Bounds) -> list[bytes]:
    """The texts of a body's events; the body itself where it is the one event."""
    first = body.lstrip()[:1]
    if first == b"[":
        return elements(body, bounds)
    if first == b"{":
        array = _members(body).get(key) if key is not None else None
        if array is not None and array[:1] == b"[":
            return elements(array, bounds)
        return [body]
    raise BodyError("The body is neither a JSON object nor an array.")


def _members(body: bytes) -> dict[str, bytes]:
    """The members of a JSON object by name, as texts."""
    found = {}
    for part in _parts(body, len(body)):
        named = _KEY.match(part)
        if named is not None:
            found[shown(named[1][1:-1])] = part[named.end() :].strip()
    return found


def _parts(text: bytes, at_most: int) -> list[bytes]:
    """What stands between the commas of the outermost brackets; at most one more than asked."""
    depth, start, at = 0, 0, 0
    parts: list[bytes] = []
    for _ in range(_MAX_SIGNS):
        found = (_OUTER if depth <= 1 else _INNER).match(text, at)
        sign = found[1] if found else b""
        if found is None or not sign:
            break
        at = found.end()
        if sign == b",":
            parts.append(text[start : at - 1].strip())
            start = at
            if len(parts) > at_most:
                return parts
        elif sign[0] in b"[{":
            start = found.start(1) + 1 if depth == 0 else start
            depth += len(sign)
        else:
            # Of a run of brackets those beyond the outermost one are text behind the end.
            at -= max(0, len(sign) - depth)
            depth = max(0, depth - len(sign))
            if depth == 0:
                if text[at:].strip():
                    break
                last = text[start : at - 1].strip()
                return [*parts, last] if last or parts else []
    raise BodyError("The body is not JSON: its brackets do not close, or text follows them.")


def _read_or_misfit(text: bytes, read: Callable[[bytes], Any] = read_value) -> Any:
    try:
        return read(text)
    except Misfit as misfit:
        return misfit


def _check_count(count: int, bounds: Bounds) -> None:
    if count > bounds.max_events:
        raise BodyError(
            f"The request holds {count} events or more; at most {bounds.max_events} are taken "
            "at once. Send them in several requests.",
            is_too_large=True,
        )
