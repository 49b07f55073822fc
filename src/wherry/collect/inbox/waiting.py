"""The events that wait in an inbox, as they came, for who does not wait for a load."""

from __future__ import annotations

import heapq
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from wherry.collect.inbox.page import Entry, decode_page, events_of
from wherry.collect.inbox.store import connect, store_paths
from wherry.domain import Event

logger = logging.getLogger("wherry.collect")


def read_waiting_events(folder: Path, *, since: datetime) -> Iterator[Event]:
    """Every event of an inbox folder that came at or after a time, in the order of arrival.

    What can't be read is left out, for the load to mend. Pages that are loaded and deleted
    meanwhile may be left out as well.
    """
    files = [_events(path, since) for path in store_paths(folder)]
    return heapq.merge(*files, key=_came)


def _events(path: Path, since: datetime) -> Iterator[Event]:
    try:
        with closing(connect(path, "ro")) as con:
            for content in _pages(con):
                for entry in decode_page(content):
                    if isinstance(entry, Entry) and entry.began_at >= since:
                        yield from events_of(entry)
    except sqlite3.Error as error:
        logger.warning("What waits in the inbox %s can't be read now: %s", path, error)


def _pages(con: sqlite3.Connection) -> Iterator[bytes]:
    """Page by page, so that no transaction keeps the writer from tidying up."""
    if not con.execute("SELECT 1 FROM sqlite_master WHERE name = 'pages'").fetchone():
        return  # its writer is making it just now
    number = 0
    while row := con.execute(
        "SELECT number, content FROM pages WHERE number > ? ORDER BY number LIMIT 1", (number,)
    ).fetchone():
        number = int(row[0])
        yield row[1]


def _came(event: Event) -> datetime:
    return event.received_at
