"""Writes the reference pages from the code: ``settings.md`` and ``cli.md``.

python docs/generate.py          write the pages
python docs/generate.py --check  end with 1 if a page is not what the code says
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import typer
from msgspec import NODEFAULT
from msgspec import inspect as kinds
from typer.testing import CliRunner

from wherry.cli.app import app
from wherry.config import Field, Settings
from wherry.domain import Rule

DOCS = Path(__file__).parent

_HELP_COLUMNS = "80"
_NOTE = "<!-- Written by docs/generate.py from the code. Change the code, then run: make docs -->"
_SETTINGS_HEAD = """\
# Settings

A shop has one settings file, `wherry.toml`. Every key has a default, so an empty file is a valid
one. An unknown key is an error, and an error names the key and its line. A run keeps the settings
that it ran with in its record.
"""
_CLI_HEAD = """\
# Commands

Every command takes `--json` and then answers with one JSON document on standard output. Progress
and errors go to standard error. With `--json` an error is a document too, except where the command
line itself can't be read: `{"error": {"kind": …, "message": …}}`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a verdict failed, and nothing was released |
| 2 | wrong use: an option, a file, a setting |
| 3 | something broke |
| 130 | interrupted from the keyboard |
| 141 | the reader of the output has gone, as in `wherry status \\| head -1` |

With `WHERRY_DEBUG=1` in the environment an unexpected error shows its traceback.
"""


def settings_page() -> str:
    """The page of every table and key of ``wherry.toml``."""
    parts = [_NOTE, _SETTINGS_HEAD]
    for heading, table in tables():
        parts += [f"## {heading}\n", _prose(table), _keys(table)]
    return "\n".join([*parts, _rules()])


def _rules() -> str:
    """The section on rules: the keys that all have, and those of each action."""
    rules = get_args(Rule)
    shared = set.intersection(*({f.name for f in msgspec.structs.fields(r)} for r in rules))
    lines = ["## A rule\n", "It stands in `[[serve.rules]]`, or among a request's `rules`.\n"]
    lines += ["| key | value | default | |", "|---|---|---|---|"]
    lines += [_rule_key(f) for f in msgspec.structs.fields(rules[0]) if f.name in shared]
    for rule in rules:
        lines += [f'\n### `action = "{rule.__struct_config__.tag}"`\n', _prose(rule)]
        lines += ["| key | value | default | |", "|---|---|---|---|"]
        lines += [_rule_key(f) for f in msgspec.structs.fields(rule) if f.name not in shared]
    return "\n".join(lines) + "\n"


def _rule_key(field: msgspec.structs.FieldInfo) -> str:
    kind: Any = kinds.type_info(field.type)
    said = (getattr(kind, "extra_json_schema", None) or {}).get("description", "")
    inner = getattr(kind, "type", kind)
    return f"| `{field.name}` | {_words(inner)} | {_default(field)} | {said} |"


def tables() -> Iterator[tuple[str, type]]:
    """Every table of the settings with its heading, in the order of the file."""
    yield "The top of the file", Settings
    yield from _tables_within(Settings, "")
    yield "A field of a mapping", Field


def _tables_within(outer: type, before: str) -> Iterator[tuple[str, type]]:
    for field in msgspec.structs.fields(outer):
        form, table = _table(kinds.type_info(field.type))
        if table is not None and not issubclass(table, Field):
            name = before + field.encode_name
            yield f"`{form.format(name)}`", table
            yield from _tables_within(table, f"{name}.")


def _table(kind: Any) -> tuple[str, type | None]:
    """How a table of this kind is headed in TOML, and its class; None if it is a plain value."""
    inner, form = kind, "[{}]"
    if isinstance(kind, kinds.VarTupleType):
        inner, form = kind.item_type, "[[{}]]"
    elif isinstance(kind, kinds.DictType):
        inner, form = kind.value_type, "[{}.NAME]"
    return form, inner.cls if isinstance(inner, kinds.StructType) else None


def unexplained_keys(table: type) -> list[str]:
    """The keys that the docstring of their table does not name; a table has its own heading."""
    return [
        field.encode_name
        for field in msgspec.structs.fields(table)
        if _table(kinds.type_info(field.type))[1] is None
        and f"``{field.encode_name}``" not in (table.__doc__ or "")
    ]


def _prose(table: type) -> str:
    """A docstring as Markdown: a line a paragraph, code in single backticks."""
    text = inspect.cleandoc(table.__doc__ or "").replace("``", "`")
    text = re.sub(r"^`\[[^\]]+\]`: (.)", lambda start: start[1].upper(), text)
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")) + "\n"


def _keys(table: type) -> str:
    lines = ["| key | value | default |", "|---|---|---|"]
    for field in msgspec.structs.fields(table):
        kind = kinds.type_info(field.type)
        if _table(kind)[1] is None:
            lines.append(f"| `{field.encode_name}` | {_words(kind)} | {_default(field)} |")
    return "\n".join(lines) + "\n"


def _words(kind: Any) -> str:
    """A type in words, with its bounds."""
    if isinstance(kind, kinds.UnionType):
        words = [_words(t) for t in kind.types if not isinstance(t, kinds.NoneType)]
        return " or ".join(dict.fromkeys(words))
    if isinstance(kind, kinds.Metadata):
        return _words(kind.type)
    if isinstance(kind, kinds.StructType) and kind.cls in get_args(Rule):
        return "[rule](#a-rule)"
    if isinstance(kind, kinds.StructType):
        return "a [field](#a-field-of-a-mapping)"
    if isinstance(kind, kinds.DateTimeType):
        return "time"
    if isinstance(kind, kinds.ListType):
        return f"list of {_words(kind.item_type)}"
    if isinstance(kind, kinds.VarTupleType):
        return f"list of {_words(kind.item_type)}"
    if isinstance(kind, kinds.DictType) and "Range" in str(kind.value_type):
        return "[filter](serve.md#ask)"
    if isinstance(kind, kinds.DictType):
        return f"table of {_words(kind.value_type)}"
    if isinstance(kind, kinds.LiteralType):
        return " or ".join(f'`"{value}"`' for value in kind.values)
    names = {kinds.IntType: "whole number", kinds.FloatType: "number", kinds.BoolType: "true/false"}
    return names.get(type(kind), "text") + _bounds(kind)


def _bounds(kind: Any) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(kind, name):g}"
        for name, sign in signs.items()
        if getattr(kind, name, None) is not None
    ]
    if getattr(kind, "pattern", None):
        found.append("letters, digits, `-`, `_`, at most 64")
    return f", {', '.join(found)}" if found else ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if value is NODEFAULT:
        value = {} if field.default_factory is dict else NODEFAULT
    if value is NODEFAULT:
        return "required"
    if value is None:
        return "–"
    if value in ((), {}):
        return "empty"
    return f"`{msgspec.json.encode(value).decode()}`".replace(",", ", ")


def cli_page() -> str:
    """The page of every command, as ``--help`` shows it."""
    each = (f"## wherry {name}\n\n{_help(*name.split())}" for name in commands())
    return "\n".join([_NOTE, _CLI_HEAD, _help(), *each])


def commands() -> list[str]:
    """The names of the commands, each group's own behind it, in the order of the help."""
    return [" ".join(words) for words in _commands_of(typer.main.get_command(app))]


def _commands_of(group: Any) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (name,)
        if hasattr(command, "commands"):
            yield from ((name, *words) for words in _commands_of(command))


def _help(*words: str) -> str:
    runner = CliRunner(env={"COLUMNS": _HELP_COLUMNS})
    shown = runner.invoke(app, [*words, "--help"]).output
    return f"```text\n{shown.strip()}\n```\n"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    return {DOCS / "settings.md": settings_page(), DOCS / "cli.md": cli_page()}


def main() -> int:
    """Write the pages, or check them."""
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.name} is stale. Run: make docs\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
