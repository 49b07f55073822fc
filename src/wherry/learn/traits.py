"""Traits: what the events of the judged sessions say of their visitors, such as the country."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from wherry.domain import TenantId
from wherry.errors import ModelError
from wherry.learn.catalogue import LONGEST_WORD

Traits = dict[str, tuple[str | None, ...]]
"""A word a session (None: it says nothing), by the name of the property."""

_FILE = "traits.json"
_BEFORE = timedelta(days=1)  # a session's first events may lie before its first interaction

_QUERY = """
SELECT session_id, arg_min(word, (occurred_at, event_id)) AS word
FROM (
    SELECT session_id, occurred_at, event_id,
           try(json_extract_string(properties, $path)) AS word
    FROM lake.marts.events
    WHERE tenant = $tenant AND occurred_at >= $since AND properties IS NOT NULL
      AND session_id IN (SELECT session_id FROM judged)
)
WHERE word <> '' AND length(word) <= $longest
GROUP BY session_id
"""


def read_traits(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    sessions: pa.Array,
    properties: Iterable[str],
    *,
    since: int,
) -> Traits:
    """Read the first word that each session's events say of each property.

    ``sessions`` are ids; ``since`` (milliseconds UTC) is when the first of them began. A
    property that no session tells is left out.
    """
    traits: Traits = {}
    ids = sessions.to_pylist()
    con.register("judged", pa.table({"session_id": sessions}))
    started = datetime.fromtimestamp(since / 1000, UTC).replace(tzinfo=None) - _BEFORE
    for name in properties:
        facts = {
            "path": '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"',
            "tenant": tenant,
            "since": started,
            "longest": LONGEST_WORD,
        }
        words = dict(con.execute(_QUERY, facts).fetchall())
        if words:
            traits[name] = tuple(words.get(each) for each in ids)
    con.unregister("judged")
    return traits


def save_traits(folder: Path, traits: Traits) -> None:
    """Write ``traits.json`` into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_bytes(msgspec.json.encode(traits))


def load_traits(folder: Path) -> Traits:
    """Read traits back; ModelError where they can't be."""
    path = folder / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Traits)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path} can't be read ({error}). Run: wherry run --from learn") from error
