"""A column mapping applied to a file: SQL for the raw value of each field."""

from __future__ import annotations

import json

import duckdb
import msgspec

from wherry.collect.source import SourceFile
from wherry.collect.values import identifier, literal, text_of
from wherry.config import Field, Mapping
from wherry.errors import SourceError, did_you_mean

EVENT_FIELDS = (
    "tenant",
    "event_id",
    "event_type",
    "occurred_at",
    "received_at",
    "visitor_id",
    "session_id",
    "item_id",
    "price",
    "quantity",
    "items",
    "query",
    "properties",
)
ITEM_FIELDS = ("name", "category", "available", "attributes")
CATALOGUE_FIELDS = ("tenant", "item_id", "price", "received_at", *ITEM_FIELDS)


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """The raw value of a field: its column in :func:`select_raw`, its DuckDB type, and
    the ``label`` that a reason calls it by. ``is_object``: it is a JSON object made here, of
    several columns, and needs no check."""

    column: str
    kind: str
    label: str
    is_object: bool = False
    unit: str | None = None
    format: str | None = None


def fields_of(mapping: Mapping) -> tuple[str, ...]:
    """The fields that a mapping of this kind may fill."""
    return CATALOGUE_FIELDS if mapping.kind == "items" else (*EVENT_FIELDS, *ITEM_FIELDS)


def widen(source: SourceFile, mapping: Mapping) -> SourceFile:
    """Add to an NDJSON file's columns the optional ones of a mapping.

    Its columns are those of the first lines, and a key may come up later for the first time.
    """
    if source.format != "ndjson":
        return source
    wanted: list[str] = []
    for name in fields_of(mapping):
        value = getattr(mapping, name)
        if isinstance(value, Field) and value.optional and value.column:
            wanted.append(value.column)
        elif isinstance(value, tuple):
            wanted.extend(value)
    names = [
        name
        for name in wanted
        if not any(source.has(other) for other in (name, *mapping.aliases.get(name, ())))
    ]
    columns = source.columns | dict.fromkeys(names, "VARCHAR")
    return msgspec.structs.replace(source, columns=columns)


def select_raw(
    con: duckdb.DuckDBPyConnection, mapping: Mapping, source: SourceFile, records: str
) -> tuple[str, dict[str, Raw]]:
    """SELECT each mapped field's raw value from ``records``, and say what each is.

    Columns: ``raw_FIELD`` for each field that the file can fill, and those of
    :func:`~wherry.collect.reading.select_records` that begin with ``__``.

    Raises:
        SourceError: If the mapping lacks a required field, names a column that the file
            lacks, or holds SQL that can't be computed.
    """
    _check_required(mapping)
    named = _with_aliases(mapping, source)
    raws: dict[str, Raw] = {}
    expressions: list[str] = []
    for name in fields_of(mapping):
        field = _field(mapping, name, named)
        expression = _expression(field, name, mapping, source, named)
        if expression is None or field is None:
            continue
        expressions.append(f"{expression} AS raw_{name}")
        label = f"{name} (column {field.column})" if field.column else name
        raws[name] = Raw(
            column=f"raw_{name}",
            kind="",
            label=label,
            is_object=not isinstance(getattr(mapping, name), str | Field),
            unit=field.unit,
            format=field.format,
        )
    aliased = ", ".join(
        f"{identifier(actual)} AS {identifier(name)}"
        for name, actual in named.items()
        if source.has(name) is None
    )
    table = f"(SELECT *{', ' + aliased if aliased else ''} FROM ({records}))"
    query = f"SELECT {', '.join(expressions)}, __text, __line, __broken FROM {table}"
    kinds = _describe(con, query, source)
    typed = {
        name: msgspec.structs.replace(raw, kind=kinds[raw.column]) for name, raw in raws.items()
    }
    return query, typed


def _check_required(mapping: Mapping) -> None:
    if mapping.kind == "items":
        missing = ["item_id"] if mapping.item_id is None else []
    else:
        missing = [n for n in ("event_type", "occurred_at") if getattr(mapping, n) is None]
        if mapping.visitor_id is None and mapping.session_id is None:
            missing.append("visitor_id (or session_id)")
    if missing:
        raise SourceError(
            f"The mapping does not say where {' and '.join(missing)} comes from. "
            "Name a column for it under [imports.NAME] in wherry.toml; see docs/import.md."
        )


def _with_aliases(mapping: Mapping, source: SourceFile) -> dict[str, str]:
    """The file's column behind each name that the mapping may use."""
    named = {column: column for column in source.columns}
    for name, others in mapping.aliases.items():
        if source.has(name) is None:
            actual = next((found for other in others if (found := source.has(other))), None)
            if actual is not None:
                named[name] = actual
    return named


def _find(name: str, named: dict[str, str]) -> str | None:
    return next((known for known in named if known.casefold() == name.casefold()), None)


def _field(mapping: Mapping, name: str, named: dict[str, str]) -> Field | None:
    value = getattr(mapping, name)
    if isinstance(value, Field):
        return value
    if isinstance(value, str):
        return Field(column=value)
    if isinstance(value, tuple):
        return Field(sql=_object([c for c in value if _find(c, named)]))
    if name == "attributes" and mapping.kind == "items":
        return Field(sql=_object(_unused(mapping, named)))
    return None


def _unused(mapping: Mapping, named: dict[str, str]) -> list[str]:
    used = set()
    for name in fields_of(mapping):
        value = getattr(mapping, name)
        column = value.column if isinstance(value, Field) else value
        if isinstance(column, str):
            used.add(column.casefold())
    taken = {named[name] for name in named if name.casefold() in used}
    return [name for name, actual in named.items() if name == actual and actual not in taken]


def _object(columns: list[str]) -> str:
    """SQL of a JSON object of the columns that hold something, each as text."""
    if not columns:
        return "NULL::VARCHAR"
    parts = ", ".join(
        f"{literal(json.dumps(column, ensure_ascii=False) + ':')} "
        f"|| CAST(to_json(CAST({identifier(column)} AS VARCHAR)) AS VARCHAR)"
        for column in columns
    )
    # A column that is NULL makes its part NULL, which concat_ws leaves out.
    return f"'{{' || nullif(concat_ws(',', {parts}), '') || '}}'"


def _expression(
    field: Field | None, name: str, mapping: Mapping, source: SourceFile, named: dict[str, str]
) -> str | None:
    if field is None:
        return None
    given = [field.column is not None, field.sql is not None, field.value is not None]
    if sum(given) != 1 and not (field.column and field.optional):
        raise SourceError(
            f"{name}: the mapping has to give exactly one of column, sql and value (a value may "
            "stand beside an optional column)."
        )
    if field.sql is not None:
        expression = f"({field.sql})"
    elif field.column is None:
        return literal(field.value or "")
    else:
        column = _find(field.column, named)
        if column is not None:
            expression = identifier(column)
        elif field.optional:
            return None if field.value is None else literal(field.value)
        else:
            raise SourceError(_missing_column(field.column, name, mapping, source))
    if not field.values:
        return expression
    text = text_of(expression, source.columns.get(named.get(field.column or "", ""), ""))
    cases = " ".join(f"WHEN {literal(k)} THEN {literal(v)}" for k, v in field.values.items())
    return f"CASE {text} {cases} ELSE {text} END"


def _missing_column(column: str, name: str, mapping: Mapping, source: SourceFile) -> str:
    others = mapping.aliases.get(column, ())
    also = f" (nor {', '.join(repr(other) for other in others)})" if others else ""
    return (
        f"{source.path} has no column {column!r}{also}, which {name} is made from. "
        f"Its columns: {', '.join(source.columns)}.{did_you_mean(column, source.columns)}"
    )


def _describe(con: duckdb.DuckDBPyConnection, query: str, source: SourceFile) -> dict[str, str]:
    try:
        return {row[0]: row[1] for row in con.execute(f"DESCRIBE {query}").fetchall()}
    except duckdb.Error as error:
        raise SourceError(
            f"The mapping does not fit {source.path}: {str(error).splitlines()[0]} "
            f"The file's columns: {', '.join(source.columns)}."
        ) from error
