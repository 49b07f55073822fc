"""Reading ``wherry.toml``: errors name the key, the line and the remedy."""

from __future__ import annotations

import functools
import operator
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from wherry.config.settings import Settings
from wherry.errors import SettingsError, did_you_mean

FILE_NAME = "wherry.toml"

Key = str | int
"""One step to a value: the name of a key, or a place in an array."""

_OPEN = "..."


def read_settings(path: Path) -> Settings:
    """Read a project's settings.

    Raises:
        SettingsError: If the file is missing, is not TOML, or holds a key or a value that
            makes no sense; the message names the key and the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist. Make a project: wherry init") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    return parse_settings(text, str(path))


def parse_settings(text: str, where: str = FILE_NAME) -> Settings:
    """Turn the text of a ``wherry.toml`` into settings; see :func:`read_settings`.

    >>> parse_settings("[sessions]\\ngap_minutes = 20").sessions.gap_minutes
    20.0
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        end = f"at line {len(text.splitlines())}, the last one"
        fault = str(error).replace("at end of document", end)
        raise SettingsError(f"{where} is not TOML: {fault}. See docs/settings.md.") from error
    try:
        return msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), document, text, where)) from error


def _explain(message: str, document: dict[str, Any], text: str, where: str) -> str:
    """Turn msgspec's message into one that names the key, its line and the remedy."""
    what, _, path = message.partition(" - at `$")
    keys = _named(_keys_of(path), document, message)
    unknown = re.search(r"unknown field `([^`]+)`", what)
    hint = ""
    if unknown:
        hint = did_you_mean(unknown.group(1), _known_keys(keys))
        keys = [*keys, unknown.group(1)]
        what = "unknown key"
    kind = re.fullmatch(r"Invalid value '(.*)'", what)
    if kind and keys:
        tags = [table.__struct_config__.tag for table in _tables_at(keys[:-1])]
        words = [str(tag) for tag in tags if tag]
        what = f"there is no {kind[1]!r}"
        hint = f"{did_you_mean(kind[1], words)} It is one of {', '.join(words)}."
    words = _words_at(keys)
    if words:
        wrong = re.fullmatch(r"Invalid enum value '(.*)'", what)
        near = did_you_mean(wrong[1], words) if wrong else ""
        what = f"there is no {wrong[1]!r}" if wrong else what
        hint = f"{near} It is one of {', '.join(words)}."
    line = line_of(text, keys)
    place = f"{where}, line {line}" if line else where
    key = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{place}: {key[1:]}: {what}.{hint} See docs/settings.md."


def _keys_of(path: str) -> list[Key]:
    """The keys of a path as msgspec writes it, ``.sources[1].path``."""
    words = re.findall(r"\.([^.\[`]+)|\[([^\]]+)\]", path)
    return [name or (int(place) if place.isdigit() else place) for name, place in words]


def _named(keys: list[Key], document: dict[str, Any], message: str) -> list[Key]:
    """Name the keys that msgspec leaves open: those whose value gives the message by itself."""
    if _OPEN not in keys:
        return keys
    place = keys.index(_OPEN)
    table = functools.reduce(operator.getitem, keys[:place], document)  # type: ignore[arg-type]
    for name, value in table.items():
        alone: Any = {name: value}
        for key in reversed(keys[:place]):
            alone = {key: alone}
        try:
            msgspec.convert(alone, Settings)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return _named([*keys[:place], name, *keys[place + 1 :]], alone, message)
    return keys


def _known_keys(keys: list[Key]) -> list[str]:
    """The keys of the table that some keys lead to."""
    return [f.encode_name for table in _tables_at(keys) for f in msgspec.structs.fields(table)]


def _words_at(keys: list[Key]) -> list[str]:
    """The words that a key may say, where its type lists them."""
    while keys and isinstance(keys[-1], int):  # a place in an array of such words
        keys = keys[:-1]
    if not keys:
        return []
    fields = [f for table in _tables_at(keys[:-1]) for f in msgspec.structs.fields(table)]
    return [word for f in fields if f.encode_name == keys[-1] for word in _words_in(f.type)]


def _words_in(kind: Any) -> list[str]:
    """The words that a type lists, itself or in its parts."""
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(word.value) for word in kind]
    return [word for each in get_args(kind) for word in _words_in(each)]


def _tables_at(keys: list[Key]) -> list[Any]:
    """The tables that some keys lead to: several where a table is one of several kinds."""
    tables: list[Any] = [Settings]
    for key in keys:
        kinds = [
            f.type
            for table in tables
            for f in msgspec.structs.fields(table)
            if f.encode_name == key
        ]
        tables = [table for kind in kinds for table in _tables_in(kind)] or tables
    return tables


def _tables_in(kind: Any) -> list[Any]:
    """The tables that a type is made of."""
    return [kind] if _is_table(kind) else [t for each in get_args(kind) for t in _tables_in(each)]


def _is_table(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def line_of(text: str, keys: Sequence[Key]) -> int:
    """The line that sets a key, counted from 1, or the line of its table, or 0.

    >>> line_of("[a]\\nx = 1\\n[b]\\nx = 2", ["b", "x"])
    4
    >>> line_of("[[a]]\\nx = 1\\n[[a]]\\nx = 2", ["a", 1, "x"])
    4
    """
    wanted = list(keys)
    table: list[Key] = []
    seen: Counter[str] = Counter()
    best, depth = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)([^\]]+)\]", line)
        setting = re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line)
        if header:
            brackets, name = header.groups()
            table = [*_parts(name)]
            if brackets == "[[":
                table.append(seen[name])
                seen[name] += 1
            here = table
        elif setting:
            here = [*table, *_parts(setting.group(1))]
        else:
            continue
        if len(here) > depth and here == wanted[: len(here)]:
            best, depth = number, len(here)
    return best


def _parts(name: str) -> list[str]:
    """The parts of a dotted key, which may stand in quotes."""
    return [part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", name)]
