"""A small shop for the tests of the transform: events in loads, and plain reference answers."""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from wherry.lake import TABLES, Lake, content_hashes, create_raw_tables, next_load_id
from wherry.transform import Transformed, scaffold, transform

START = datetime(2026, 3, 1)
GAP_MINUTES = 30.0
_COLUMNS = ", ".join(name for name in TABLES["events"] if name != "delivery_id")


@dataclass(frozen=True)
class Told:
    """One event as it is told; an item is (id, price, quantity)."""

    event_id: str
    event_type: str = "view"
    minute: float = 0.0
    visitor_id: str | None = "ann"
    session_id: str | None = None
    items: tuple[tuple[str, float | None, float | None], ...] = ()
    tenant: str = "default"
    received: float | None = None
    query: str | None = None
    properties: dict[str, object] | None = None

    @property
    def at(self) -> datetime:
        return START + timedelta(minutes=self.minute)


@dataclass(frozen=True)
class Shop:
    """A lake and a dbt project under one folder that can be emptied and used again."""

    folder: Path

    @property
    def lake(self) -> Lake:
        return Lake(self.folder / "lake", threads=1)

    @property
    def transforms_folder(self) -> Path:
        return self.folder / "transforms"

    def empty(self) -> Shop:
        """Forget all events; what dbt parsed stays, for it takes seconds."""
        shutil.rmtree(self.folder / "lake", ignore_errors=True)
        shutil.rmtree(self.transforms_folder, ignore_errors=True)
        scaffold(self.transforms_folder)
        with self.lake.writer() as con:
            create_raw_tables(con)
        return self

    def load(self, told: list[Told]) -> int:
        """Append one load of events to the log."""
        with self.lake.writer() as con:
            load_id = next_load_id(con)
            rows = [_row(event, load_id) for event in told]
            if rows:
                values = ", ".join(
                    f"({', '.join(_literal(value) for value in row)})" for row in rows
                )
                con.execute(f"INSERT INTO lake.raw.events ({_COLUMNS}) VALUES {values}")
            self._note_load(con, load_id, "events", len(rows))
        return load_id

    def tell_items(self, *told: dict[str, Any]) -> int:
        """Append one load of the catalogue."""
        with self.lake.writer() as con:
            load_id = next_load_id(con)
            for row in told:
                con.execute(
                    "INSERT INTO lake.raw.items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        row.get("tenant", "default"),
                        row["item_id"],
                        row.get("name"),
                        row.get("category"),
                        row.get("price"),
                        row.get("available"),
                        row.get("attributes"),
                        row.get("received_at", START),
                        load_id,
                    ],
                )
            self._note_load(con, load_id, "items", len(told))
        return load_id

    def tell_availability(self, item: str, available: bool, at: datetime) -> int:
        """Append one load of what was told over HTTP."""
        with self.lake.writer() as con:
            load_id = next_load_id(con)
            con.execute(
                "INSERT INTO lake.raw.availability VALUES ('default', ?, ?, ?, ?)",
                [item, available, at, load_id],
            )
            self._note_load(con, load_id, "events", 0)
        return load_id

    def reject(self, tenant: str | None, rows: int, load_id: int) -> None:
        """Note rows of a load that could not be read."""
        with self.lake.writer() as con:
            con.execute(
                "INSERT INTO lake.raw.rejected "
                "SELECT ?, ?, 'file.csv', i, 'no event type', 'x', ?, NULL "
                "FROM range(?) AS lines(i)",
                [load_id, tenant, START, rows],
            )

    def _note_load(
        self, con: duckdb.DuckDBPyConnection, load_id: int, kind: str, taken: int
    ) -> None:
        con.execute(
            "INSERT INTO lake.raw.loads VALUES (?, ?, 'test', ?, ?, ?, 0, 0, NULL, NULL)",
            [load_id, kind, f"load {load_id}", START, taken],
        )

    def transform(self, **options: Any) -> Transformed:
        return transform(
            self.lake,
            self.transforms_folder,
            self.folder / ".wherry" / "dbt",
            **{"gap_minutes": GAP_MINUTES, **options},
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.lake.reader() as con:
            return con.execute(sql).fetchall()

    def hashes(self) -> dict[str, str]:
        with self.lake.reader() as con:
            return content_hashes(con, "marts")


def first_tellings(loads: list[list[Told]]) -> list[Told]:
    """Each event once, as it was told first."""
    firsts: dict[tuple[str, str], Told] = {}
    for load in loads:
        for event in sorted(load, key=lambda e: (_received(e), e.at)):
            firsts.setdefault((event.tenant, event.event_id), event)
    return list(firsts.values())


def sessionise(
    loads: list[list[Told]], gap_minutes: float = GAP_MINUTES
) -> dict[tuple[str, str], str]:
    """The session of each event, as one would write it down without any thought of speed."""
    answer: dict[tuple[str, str], str] = {}
    idle: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for event in first_tellings(loads):
        if event.session_id is not None:
            answer[event.tenant, event.event_id] = event.session_id
        else:
            assert event.visitor_id is not None
            idle[event.tenant, event.visitor_id].append(event)
    for (tenant, visitor), events in idle.items():
        session, last = "", None
        for event in sorted(events, key=lambda e: e.at):
            if last is None or event.at - last > timedelta(minutes=gap_minutes):
                milliseconds = (event.at - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
                session = f"{visitor}~{milliseconds}"
            answer[tenant, event.event_id] = session
            last = event.at
    return answer


def random_events(
    seed: int, *, count: int = 400, tenants: tuple[str, ...] = ("default", "north")
) -> list[Told]:
    """Visits of a few days: gaps near the bound, midnights, given ids, ties, shared ids."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        visitor = f"v{chance.randrange(12)}"
        given = chance.random() < 0.25
        # Whole multiples of half a gap make exact gaps, ties and merges likely.
        minute = chance.choice([0, 1380, 2880]) + 15.0 * chance.randrange(12)
        minute += chance.choice([0.0, 0.0, 0.5, 1 / 60])
        kind = chance.choice(
            ["view", "view", "click", "add", "remove", "purchase", "search", "page"]
        )
        items = tuple(
            (
                f"i{chance.randrange(12)}",
                chance.choice([None, 0.1, 9.99]),
                chance.choice([None, 1.0, 3.0]),
            )
            for _ in range(chance.randrange(3) if kind not in ("search", "page") else 0)
        )
        events.append(
            Told(
                event_id=f"e{number}",
                event_type=kind,
                minute=minute,
                visitor_id=None if given and chance.random() < 0.3 else visitor,
                session_id=f"s{chance.randrange(15)}" if given else None,
                items=items,
                tenant=chance.choice(tenants),
                properties={"transaction_id": f"t{chance.randrange(9)}"}
                if chance.random() < 0.5
                else None,
            )
        )
    return events


def random_loads(seed: int, events: list[Told], count: int = 4) -> list[list[Told]]:
    """The events shuffled into loads, some told again later: the same, or at another time."""
    chance = random.Random(seed)
    loads: list[list[Told]] = [[] for _ in range(count)]
    for event in chance.sample(events, len(events)):
        first = chance.randrange(count)
        loads[first].append(event)
        if chance.random() < 0.15:
            again = replace(
                event, minute=event.minute + chance.choice([0.0, 40.0]), received=5000.0
            )
            loads[chance.randrange(first, count)].append(again)
    return loads


def _received(event: Told) -> float:
    return event.minute if event.received is None else event.received


def _row(event: Told, load_id: int) -> list[object]:
    items = [{"id": i, "price": price, "quantity": quantity} for i, price, quantity in event.items]
    return [
        event.tenant,
        event.event_id,
        event.event_type,
        event.at,
        START + timedelta(minutes=_received(event)),
        event.visitor_id,
        event.session_id,
        items,
        event.query,
        json.dumps(event.properties) if event.properties else None,
        load_id,
    ]


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        items = ", ".join(_literal(item) for item in value)
        return f"[{items}]::STRUCT(id VARCHAR, price DOUBLE, quantity DOUBLE)[]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"'{key}': {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    return f"'{value.replace(chr(39), chr(39) * 2)}'" if isinstance(value, str) else str(value)
