"""Reading ``wherry.toml``: errors name the key, the line and the remedy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from wherry.config.settings import Settings
from wherry.errors import SettingsError, did_you_mean

FILE_NAME = "wherry.toml"


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
        raise SettingsError(f"{where} is not TOML: {error}") from error
    try:
        return msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), text, where)) from error


def _explain(message: str, text: str, where: str) -> str:
    """Turn msgspec's message into one that names the key, its line and the remedy."""
    what, _, path = message.partition(" - at `$")
    keys = [key for key in re.split(r"[.\[\]`]+", path) if key and key != "..."]
    unknown = re.search(r"unknown field `([^`]+)`", what)
    hint = ""
    if unknown:
        keys.append(unknown.group(1))
        what = "unknown key"
        hint = did_you_mean(unknown.group(1), _known_keys(keys[:-1]))
    key = ".".join(keys)
    line = line_of(text, keys)
    place = f"{where}, line {line}" if line else where
    return f"{place}: {key}: {what}.{hint} See docs/settings.md."


def _known_keys(keys: list[str]) -> list[str]:
    kind: object = Settings
    for key in keys:
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
        kind = fields.get(key)
        arguments = getattr(kind, "__args__", None)
        if arguments and not hasattr(kind, "__struct_fields__"):
            kind = arguments[-1]
        if not hasattr(kind, "__struct_fields__"):
            return []
    return [f.encode_name for f in msgspec.structs.fields(kind)]  # type: ignore[arg-type]


def line_of(text: str, keys: list[str]) -> int:
    """The line that sets a key, counted from 1, or the line of its table, or 0.

    >>> line_of("[a]\\nx = 1\\n[b]\\nx = 2", ["b", "x"])
    4
    """
    names = [key for key in keys if not key.isdigit()]
    table: list[str] = []
    best = 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?([^\]]+)\]\]?", line)
        if header:
            table = [part.strip(" \"'") for part in header.group(1).split(".")]
            if table and table == names[: len(table)]:
                best = number
            continue
        setting = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if setting:
            full = table + [part.strip(" \"'") for part in setting.group(1).split(".")]
            if full == names[: len(full)]:
                best = number
                if len(full) == len(names):
                    return number
    return best
