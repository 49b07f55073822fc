"""Logged answers on their way from the inbox into ``raw.answers``, each batch once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from wherry.collect.inbox import AnswerBatch, answers_of
from wherry.collect.values import literal
from wherry.domain import LoggedAnswer

_TEXTS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.float32())  # as models have them
_KINDS: dict[str, pa.DataType] = {
    "tenant": pa.string(),
    "request_id": pa.string(),
    "answered_at": pa.timestamp("us"),
    "asked_at": pa.timestamp("us"),
    "model": pa.string(),
    "version": pa.int64(),
    "role": pa.string(),
    "rollout": pa.string(),
    "visitor_id": pa.string(),
    "session_id": pa.string(),
    "session": _TEXTS,
    "is_live": pa.bool_(),
    "is_given": pa.bool_(),
    "k": pa.int64(),
    "filter": pa.string(),
    "own_rules": pa.string(),
    "without_rules": _TEXTS,
    "exclude": _TEXTS,
    "purchased": _TEXTS,
    "items": _TEXTS,
    "scores": _NUMBERS,
    "propensities": _NUMBERS,
    "from_model": pa.int64(),
    "fallback": pa.string(),
    "rules": pa.string(),
    "latency_us": pa.int64(),
    "error": pa.string(),
}
_SCHEMA = pa.schema({**_KINDS, "batch_id": pa.string(), "place": pa.int64()})

# A zero character in a text breaks the statement that DuckLake writes it by.
_ZERO, _INSTEAD = "\0", "\ufffd"


class Answers:
    """The answers of one load: taken in batch by batch, then written in its transaction."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._batches: set[str] = set()

    def take(self, batch: AnswerBatch) -> None:
        """Take in a batch, unless the load has it already."""
        if batch.batch_id not in self._batches:
            self._batches.add(batch.batch_id)
            self._parts.append(_table(batch))

    def append(self, con: duckdb.DuckDBPyConnection, load_id: int) -> int:
        """Append what the log doesn't have, in the caller's transaction; returns how many.

        A batch comes again where a file of the inbox was damaged after its load.
        """
        known = self._known(con)
        parts = [part for part in self._parts if part["batch_id"][0].as_py() not in known]
        if not parts:
            return 0
        told = pa.concat_tables(parts)
        con.register("told_answers", told)
        try:
            con.execute(
                "INSERT INTO lake.raw.answers BY NAME "
                f"SELECT *, {load_id} AS load_id FROM told_answers"
            )
        finally:
            con.unregister("told_answers")
        return int(told.num_rows)

    def _known(self, con: duckdb.DuckDBPyConnection) -> set[str]:
        if not self._batches:
            return set()
        # Ids begin with the time, so that DuckDB need not look into older files.
        first, last = literal(min(self._batches)), literal(max(self._batches))
        rows = con.execute(
            "SELECT DISTINCT batch_id FROM lake.raw.answers "
            f"WHERE batch_id BETWEEN {first} AND {last}"
        ).fetchall()
        return {batch_id for (batch_id,) in rows}


def _table(batch: AnswerBatch) -> pa.Table:
    """A batch as columns of ``raw.answers``."""
    answers = answers_of(batch)
    columns = [_column(kind, name, answers) for name, kind in _KINDS.items()]
    columns.append(pa.repeat(batch.batch_id, len(answers)))
    columns.append(pa.array(range(len(answers)), pa.int64()))
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _column(kind: pa.DataType, name: str, answers: Iterable[LoggedAnswer]) -> pa.Array:
    value: Callable[[LoggedAnswer], Any] = _READERS.get(name, attrgetter(name))
    values = [value(answer) for answer in answers]
    if not pa.types.is_list(kind):
        return _without_zero(pa.array(values, kind))
    offsets = [0]
    for each in values:
        offsets.append(offsets[-1] + len(each))
    flat = pa.array([part for each in values for part in each], kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _without_zero(flat))


def _without_zero(array: pa.Array) -> pa.Array:
    if not pa.types.is_string(array.type):
        return array
    return pc.replace_substring(array, _ZERO, _INSTEAD)


_READERS: dict[str, Callable[[LoggedAnswer], Any]] = {
    "role": lambda answer: answer.role.value,
    "rules": lambda answer: msgspec.json.encode(answer.rules).decode(),
}
"""How a column is read that is not the field itself."""
