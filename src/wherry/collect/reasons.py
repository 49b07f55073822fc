"""Why a row is rejected: SQL whose value names the field, its column and what stands there.

Each function returns the ``WHEN … THEN …`` arms of a CASE over the parsed fields and the raw
columns, none for a field that the file does not fill.
"""

from __future__ import annotations

from datetime import datetime

from wherry.collect.mapping import Raw
from wherry.collect.values import ITEM_SHAPE, json_of, literal, text_of
from wherry.domain.ids import TENANT_PATTERN

EARLIEST = datetime(1990, 1, 1)
"""A time before this is a mistake: a clock that was never set, or a wrong unit."""

LARGEST = 1e12
"""A price or a quantity beyond this is a mistake."""

_SHOWN_LETTERS = 200
_JSON_FIELDS = ("items", "properties", "attributes")


def against_record(raws: dict[str, Raw]) -> list[str]:
    """A record that can't be split, or whose tenant has no name that can be one."""
    arms = ["WHEN __broken IS NOT NULL THEN __broken"]
    if "tenant" in raws:
        refused = _refused(raws["tenant"], "tenant", "is no tenant: 1-64 letters, digits, - or _")
        arms.append(f"WHEN NOT regexp_full_match(tenant, {literal(TENANT_PATTERN)}) THEN {refused}")
    return arms


def against_absence(raws: dict[str, Raw], name: str) -> list[str]:
    """A required text that is empty."""
    return [f"WHEN {name} IS NULL THEN {literal(_label(raws, name) + ' is empty')}"]


def against_nobody(raws: dict[str, Raw]) -> list[str]:
    """An event of neither a visitor nor a session."""
    why = f"{_label(raws, 'visitor_id')} is empty, and there is no session_id"
    return [f"WHEN visitor_id IS NULL AND session_id IS NULL THEN {literal(why)}"]


def against_time(
    raws: dict[str, Raw], name: str, latest: datetime, *, is_required: bool
) -> list[str]:
    """A time that is empty though required, unreadable, before 1990 or in the future."""
    raw = raws.get(name)
    if raw is None:
        return []
    empty = f"WHEN {name} IS NULL AND {_seen(raw, name)} IS NULL THEN "
    return [
        *([empty + literal(f"{raw.label} is empty")] if is_required else []),
        f"WHEN {name} IS NULL AND {_seen(raw, name)} IS NOT NULL "
        f"THEN {_refused(raw, name, 'is not a time')}",
        f"WHEN {name} < TIMESTAMP '{EARLIEST}' "
        f"THEN {_refused(raw, name, f'is before {EARLIEST.year}')}",
        f"WHEN {name} > TIMESTAMP '{latest}' THEN {_refused(raw, name, 'is in the future')}",
    ]


def against_number(raws: dict[str, Raw], name: str) -> list[str]:
    """A number that is unreadable or not finite; NaN stands for a missing one."""
    raw = raws.get(name)
    if raw is None:
        return []
    return [
        f"WHEN {name} IS NULL AND lower({_seen(raw, name)}) <> 'nan' "
        f"THEN {_refused(raw, name, 'is not a number')}",
        f"WHEN abs({name}) > {LARGEST} THEN {_refused(raw, name, 'is out of range')}",
    ]


def against_flag(raws: dict[str, Raw], name: str) -> list[str]:
    """A flag that is neither true nor false."""
    raw = raws.get(name)
    if raw is None:
        return []
    return [
        f"WHEN {name} IS NULL AND {_seen(raw, name)} IS NOT NULL "
        f"THEN {_refused(raw, name, 'is neither true nor false')}"
    ]


def against_object(raws: dict[str, Raw], name: str) -> list[str]:
    """A text that is no JSON object."""
    raw = raws.get(name)
    if raw is None or raw.is_object:
        return []
    bad = f"({name} IS NULL OR NOT starts_with({name}, '{{'))"
    return [
        f"WHEN {raw.column} IS NOT NULL AND {bad} "
        f"AND replace({_seen(raw, name)}, ' ', '') NOT IN ('null', '{{}}') "
        f"THEN {_refused(raw, name, 'is not a JSON object')}"
    ]


def against_items(raws: dict[str, Raw]) -> list[str]:
    """A list that is none, or an item without an id, or with a number that is none."""
    raw = raws.get("items")
    if raw is None:
        return []
    listed = f"TRY(json_transform({_seen(raw, 'items')}, '{ITEM_SHAPE}'))"
    unreadable = " OR ".join(
        f"(i.{part} IS NOT NULL AND lower(i.{part}) <> 'nan' "
        f"AND NOT coalesce(abs(TRY_CAST(i.{part} AS DOUBLE)) <= {LARGEST}, false))"
        for part in ("price", "quantity")
    )
    return [
        f"WHEN items IS NULL AND {_seen(raw, 'items')} <> 'null' "
        "OR len(list_filter(items, lambda i: i.id IS NULL)) > 0 "
        f"THEN {_refused(raw, 'items', 'is not a list of items, each with an id')}",
        f"WHEN len(list_filter({listed}, lambda i: {unreadable})) > 0 "
        f"THEN {_refused(raw, 'items', 'holds a price or a quantity that is not a number')}",
    ]


def _label(raws: dict[str, Raw], name: str) -> str:
    return raws[name].label if name in raws else name


def _seen(raw: Raw, name: str) -> str:
    """SQL of a raw value as text, NULL where nothing stands."""
    read = json_of if name in _JSON_FIELDS else text_of
    return read(raw.column, raw.kind)


def _refused(raw: Raw, name: str, why: str) -> str:
    shown = f"left({_seen(raw, name)}, {_SHOWN_LETTERS})"
    return f"concat({literal(raw.label + ': ')}, chr(39), {shown}, chr(39), {literal(' ' + why)})"
