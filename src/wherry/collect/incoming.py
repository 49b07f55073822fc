"""SQL that makes a file's raw values into events or catalogue rows, each taken or with a reason."""

from __future__ import annotations

from datetime import datetime, timedelta

from wherry.collect.mapping import ITEM_FIELDS, Raw
from wherry.collect.reasons import (
    against_absence,
    against_flag,
    against_items,
    against_nobody,
    against_number,
    against_object,
    against_record,
    against_time,
)
from wherry.collect.values import (
    flag_of,
    items_of,
    literal,
    number_of,
    object_of,
    text_of,
    time_of,
    trimmed,
)

FUTURE = timedelta(days=1)
"""How far after its import an event may lie: clocks are wrong by a time zone, not by more."""

_EMPTY = {
    "price": "DOUBLE",
    "quantity": "DOUBLE",
    "occurred_at": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "available": "BOOLEAN",
    "items": "STRUCT(id VARCHAR, price DOUBLE, quantity DOUBLE)[]",
}
_READERS = {
    "price": number_of,
    "quantity": number_of,
    "available": flag_of,
    "items": items_of,
    "properties": object_of,
    "attributes": object_of,
}


def select_events(raw: str, raws: dict[str, Raw], *, tenant: str, now: datetime) -> str:
    """SELECT the envelope of each event from the raw values.

    Columns: those of ``raw.events`` but ``load_id``; ``name``, ``category``, ``available``,
    ``attributes`` of the item where the mapping gives them; ``reason`` (NULL for a row that
    can be taken); ``__text`` of a rejected row, and ``__line``. A row of no visitor is its
    session's. ``tenant`` is whose rows are that name none.
    """
    told = [name for name in ITEM_FIELDS if name in raws]
    names = ("event_id", "event_type", "visitor_id", "session_id", "item_id", "price", "quantity")
    rest = ("items", "query", "properties", "occurred_at", "received_at")
    arms = [
        *against_record(raws),
        *against_absence(raws, "event_type"),
        *against_time(raws, "occurred_at", now + FUTURE, is_required=True),
        *against_time(raws, "received_at", now + FUTURE, is_required=False),
        *against_nobody(raws),
        *against_number(raws, "price"),
        *against_number(raws, "quantity"),
        *against_items(raws),
        *against_object(raws, "properties"),
        *_against_told(raws),
    ]
    parsed = _parse(raw, raws, tenant, (*names, *rest, *told), arms)
    item = "struct_pack(id := item_id, price := price, quantity := quantity)"
    one = f"CASE WHEN item_id IS NULL THEN [] ELSE [{item}] END"
    items = f"coalesce(items, {one})" if "items" in raws else one
    digest = _digest(has_list="items" in raws)
    event_id = f"coalesce(event_id, {digest})" if "event_id" in raws else digest
    return (
        f"SELECT tenant, CASE WHEN reason IS NULL THEN {event_id} END AS event_id, event_type, "
        f"occurred_at, coalesce(received_at, TIMESTAMP '{now}') AS received_at, "
        f"coalesce(visitor_id, session_id) AS visitor_id, session_id, {items} AS items, query, "
        f"properties, {''.join(f'{name}, ' for name in told)}reason, "
        f"CASE WHEN reason IS NOT NULL THEN __text END AS __text, __line FROM ({parsed})"
    )


def select_items(raw: str, raws: dict[str, Raw], *, tenant: str, now: datetime) -> str:
    """SELECT each row of a catalogue from the raw values.

    Columns: those of ``raw.items`` but ``load_id``; ``reason``; ``__text``, ``__line`` and
    ``__order``, which counts the rows in the file's order.
    """
    arms = [
        *against_record(raws),
        *against_absence(raws, "item_id"),
        *against_number(raws, "price"),
        *against_time(raws, "received_at", now + FUTURE, is_required=False),
        *_against_told(raws),
    ]
    parsed = _parse(raw, raws, tenant, ("item_id", "price", "received_at", *ITEM_FIELDS), arms)
    return (
        "SELECT tenant, item_id, name, category, price, available, attributes, "
        f"coalesce(received_at, TIMESTAMP '{now}') AS received_at, reason, "
        "CASE WHEN reason IS NOT NULL THEN __text END AS __text, __line, "
        f"row_number() OVER () AS __order FROM ({parsed})"
    )


def _parse(
    raw: str, raws: dict[str, Raw], tenant: str, names: tuple[str, ...], arms: list[str]
) -> str:
    columns = [_tenant(raws, tenant), *(f"{_value(raws, name)} AS {name}" for name in names)]
    kept = [known.column for known in raws.values()]
    read = f"SELECT {', '.join([*columns, *kept])}, __text, __line, __broken FROM ({raw})"
    return f"SELECT *, CASE {' '.join(arms)} END AS reason FROM ({read})"


def _against_told(raws: dict[str, Raw]) -> list[str]:
    return [*against_object(raws, "attributes"), *against_flag(raws, "available")]


def _tenant(raws: dict[str, Raw], tenant: str) -> str:
    if "tenant" not in raws:
        return f"{literal(tenant)} AS tenant"
    text = _value(raws, "tenant")
    return f"CASE WHEN __broken IS NULL THEN coalesce({text}, {literal(tenant)}) END AS tenant"


def _value(raws: dict[str, Raw], name: str) -> str:
    raw = raws.get(name)
    if raw is None:
        return f"NULL::{_EMPTY.get(name, 'VARCHAR')}"
    if raw.is_object:
        return raw.column
    if name.endswith("_at"):
        text = trimmed(raw.column) if raw.kind == "VARCHAR" else raw.column
        return time_of(text, raw.kind, raw.unit, raw.format)
    return _READERS.get(name, text_of)(raw.column, raw.kind)


def _digest(*, has_list: bool) -> str:
    """SQL of the id of an event that has none: a hash of what the envelope says of it.

    The lengths of the texts stand before them (those of three in one number, 21 bits each,
    which is faster), so that no two events make the same sequence; numbers count millionths,
    so that no version of DuckDB writes them differently.
    """
    texts = ("event_type", "coalesce(visitor_id, session_id)", "session_id")
    lengths = " | ".join(
        f"((coalesce(strlen({text}), 0) & 2097151) << {21 * place})"
        for place, text in enumerate(texts)
    )
    there = "CASE WHEN item_id IS NOT NULL THEN {} END"
    items = _item_parts("item_id", there.format("price"), there.format("quantity"))
    if has_list:
        each = f"concat({_item_parts('i.id', 'i.price', 'i.quantity')})"
        many = f"array_to_string(list_transform(items, lambda i: {each}), '')"
        # An empty list gives what no item gives: the blanks between nothing.
        empty = "WHEN items = [] THEN '   '"
        items = f"CASE WHEN items IS NULL THEN concat({items}) {empty} ELSE {many} END"
    return (
        f"left(md5(concat(tenant, ' ', epoch_us(occurred_at), ' ', {lengths}, ' ', "
        f"strlen(query), ' ', {', '.join(texts)}, query, {items}, properties)), 24)"
    )


def _item_parts(item_id: str, price: str, quantity: str) -> str:
    numbers = [f"TRY_CAST(round({number} * 1e6) AS BIGINT)" for number in (price, quantity)]
    return f"strlen({item_id}), ' ', {numbers[0]}, ' ', {numbers[1]}, ' ', {item_id}"
