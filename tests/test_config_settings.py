"""The settings: what each table's docstring has to say."""

from __future__ import annotations

import msgspec
import pytest

from wherry.config import settings

TABLES = [
    kind
    for kind in vars(settings).values()
    if isinstance(kind, type)
    and issubclass(kind, settings.Table)
    and kind not in (settings.Table, settings.Settings)
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_is_explained_in_the_docstring_of_its_table(
    table: type[settings.Table],
) -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(table)]
    missing = [key for key in keys if f"``{key}``" not in (table.__doc__ or "")]
    assert not missing


@pytest.mark.parametrize("table", [*TABLES, settings.Settings], ids=lambda table: table.__name__)
def test_defaults_are_within_their_own_bounds(table: type[settings.Table]) -> None:
    required = {
        field.encode_name: "word" for field in msgspec.structs.fields(table) if field.required
    }
    made = msgspec.convert(required, table)
    assert msgspec.convert(msgspec.to_builtins(made), table) == made
