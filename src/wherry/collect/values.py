"""SQL for one value: text, number, time or flag, from whatever type a column has.

Each function takes a SQL expression and its DuckDB type and returns a SQL expression that is
NULL where there is no value or none that can be read. The same value gives the same result
whatever format it came in.
"""

from __future__ import annotations

from wherry.lake import quote

_MICROSECONDS = {"s": "1e6", "ms": "1e3", "us": "1", "ns": "1e-3"}
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


def identifier(name: str) -> str:
    """Quote a name for SQL.

    >>> identifier("Customer ID")
    '"Customer ID"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return f"'{quote(text)}'"


def text_of(expr: str, kind: str) -> str:
    """The value as text, without blanks around it; empty is NULL.

    A whole number in a floating column (``13085.0``) is written without its point, as it
    came to be there only because other rows of the column were empty.
    """
    if kind in ("FLOAT", "DOUBLE"):
        return f"regexp_replace(CAST({expr} AS VARCHAR), '\\.0$', '')"
    if is_number(kind):
        return f"CAST({expr} AS VARCHAR)"
    if kind == "VARCHAR":
        return f"nullif({trimmed(expr)}, '')"
    if kind == "BLOB":
        return f"nullif(trim(TRY(decode({expr}))), '')"
    return f"nullif(trim(CAST({expr} AS VARCHAR)), '')"


def trimmed(expr: str) -> str:
    """A text without blanks around it."""
    # trim is slow, and most texts hold no blank at all.
    return f"CASE WHEN contains({expr}, ' ') THEN trim({expr}) ELSE {expr} END"


def number_of(expr: str, kind: str) -> str:
    """The value as a DOUBLE; NaN, which data frames write for a missing number, is NULL."""
    number = f"TRY_CAST({expr} AS DOUBLE)"
    return f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END"


def flag_of(expr: str, kind: str) -> str:
    """The value as a BOOLEAN: true and false, yes and no, 1 and 0."""
    return f"TRY_CAST({expr} AS BOOLEAN)"


def time_of(expr: str, kind: str, unit: str | None = None, form: str | None = None) -> str:
    """The value as a TIMESTAMP in UTC.

    Text is ISO 8601, with or without a zone (without one it is UTC), or a number, or written
    as ``form`` (strptime) says. A number counts ``unit`` since 1970, by default whichever of
    seconds, milliseconds, microseconds and nanoseconds gives a year before 5138.
    """
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CASE WHEN isfinite({expr}) THEN make_timestamp(epoch_us({expr})) END"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"TRY_CAST({expr} AS TIMESTAMP)"
    if is_number(kind):
        return _epoch(f"CAST({expr} AS DOUBLE)", unit)
    number = _epoch(f"TRY_CAST({expr} AS DOUBLE)", unit)
    # A zone's offset comes after the ten letters of the date. TIMESTAMP would ignore it.
    iso = (
        f"CASE WHEN contains({expr}, '+') OR contains(substr({expr}, 11), '-') "
        f"THEN TRY(make_timestamp(epoch_us(TRY_CAST({expr} AS TIMESTAMPTZ)))) "
        f"ELSE TRY_CAST({expr} AS TIMESTAMP) END"
    )
    written = f", try_strptime({expr}, {literal(form)})" if form else ""
    return (
        f"coalesce(CASE WHEN contains({expr}, '-') OR contains({expr}, ':') "
        f"THEN {iso} ELSE {number} END{written})"
    )


def is_number(kind: str) -> bool:
    """Whether a DuckDB type is one of numbers."""
    return kind.removeprefix("U").startswith(_NUMBERS)


def _epoch(number: str, unit: str | None) -> str:
    if unit:
        count = f"({number}) * {_MICROSECONDS[unit]}"
    else:
        count = (
            f"CASE WHEN abs({number}) < 1e11 THEN ({number}) * 1e6 "
            f"WHEN abs({number}) < 1e14 THEN ({number}) * 1e3 "
            f"WHEN abs({number}) < 1e17 THEN ({number}) "
            f"WHEN abs({number}) < 1e20 THEN ({number}) / 1e3 END"
        )
    return f"CASE WHEN abs({count}) < 1e17 THEN make_timestamp(CAST(round({count}) AS BIGINT)) END"


def json_of(expr: str, kind: str) -> str:
    """The value as JSON text as it stands, valid or not; empty is NULL."""
    if kind in ("VARCHAR", "JSON"):
        return f"nullif({trimmed(expr)}, '')"
    return f"CAST(to_json({expr}) AS VARCHAR)"


def object_of(expr: str, kind: str) -> str:
    """The value as JSON text without blanks between its parts; ``{}`` and ``null`` are NULL."""
    # The cast to JSON would fail as a whole where one text is no JSON.
    value = f"TRY(CAST(json({json_of(expr, kind)}) AS VARCHAR))"
    return f"CASE WHEN {expr} IS NOT NULL THEN nullif(nullif({value}, 'null'), '{{}}') END"


ITEM_SHAPE = '[{"id": "VARCHAR", "price": "VARCHAR", "quantity": "VARCHAR"}]'
"""The shape of a list of items, for ``json_transform``."""


def items_of(expr: str, kind: str) -> str:
    """The value as a list of items; a price or quantity that can't be read is NULL."""
    listed = f"TRY(json_transform({json_of(expr, kind)}, '{ITEM_SHAPE}'))"
    return (
        f"list_transform({listed}, lambda i: struct_pack(id := {text_of('i.id', 'VARCHAR')}, "
        f"price := {number_of('i.price', 'VARCHAR')}, "
        f"quantity := {number_of('i.quantity', 'VARCHAR')}))"
    )
