"""The lake: the log and every table that is derived from it."""

from wherry.lake.compaction import compact
from wherry.lake.content import content_hash, content_hashes
from wherry.lake.files import write_whole
from wherry.lake.journal import recover, transaction
from wherry.lake.lake import CATALOG, Lake, newest_snapshot, quote
from wherry.lake.lock import Holder, describe_holder, project_lock, read_holder
from wherry.lake.published import Published, publish, read_published
from wherry.lake.raw import TABLES, create_raw_tables, has_raw_tables, next_load_id

__all__ = [
    "CATALOG",
    "TABLES",
    "Holder",
    "Lake",
    "Published",
    "compact",
    "content_hash",
    "content_hashes",
    "create_raw_tables",
    "describe_holder",
    "has_raw_tables",
    "newest_snapshot",
    "next_load_id",
    "project_lock",
    "publish",
    "quote",
    "read_holder",
    "read_published",
    "recover",
    "transaction",
    "write_whole",
]
