"""A person in the log: their rows and no others, whatever their id looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.collect.person import Person, other_names
from wherry.domain import tenant_id
from wherry.lake import TABLES

NORTH = tenant_id("north")
ODD = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), max_codepoint=0x2FFF), min_size=1, max_size=12
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """The raw tables in memory: DuckLake reads the same SQL."""
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS lake")
        con.execute("CREATE SCHEMA lake.raw")
        for table in ("events", "answers"):
            spec = ", ".join(f"{name} {kind}" for name, kind in TABLES[table].items())
            con.execute(f"CREATE TABLE lake.raw.{table} ({spec})")
        yield con


Row = tuple[str, str | None, str | None]


def found(con: duckdb.DuckDBPyConnection, person: Person, rows: dict[str, Row]) -> set[str]:
    con.execute("DELETE FROM lake.raw.events")
    for event_id, (visitor, session, told) in rows.items():
        con.execute(
            "INSERT INTO lake.raw.events BY NAME SELECT 'north' AS tenant, ? AS event_id, "
            "? AS visitor_id, ? AS session_id, ? AS properties",
            [event_id, visitor, session, told],
        )
    query = f"SELECT event_id FROM lake.raw.events WHERE {person.events()}"
    return {event_id for (event_id,) in con.execute(query).fetchall()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visitor=ODD.filter(str.strip), other=ODD.filter(str.strip), as_ascii=st.booleans())
def test_any_id_is_found_in_all_its_places_and_no_other_is(
    con: duckdb.DuckDBPyConnection, visitor: str, other: str, as_ascii: bool
) -> None:
    visitor, other = visitor.strip(), other.strip()
    if visitor == other or other.startswith(visitor + "."):
        return

    def told(**properties: object) -> str:
        return json.dumps(properties, ensure_ascii=as_ascii)

    rows: dict[str, Row] = {
        "own": (f" {visitor} ", None, None),
        "session": (other, visitor, None),
        "device's session": (other, f"{visitor}.12", None),
        "alias": (other, None, told(a=1, anonymous_id=visitor)),
        "nested": (other, None, told(traits={"userId": visitor}, z=[1])),
        "previous": (other, None, told(previousId=visitor)),
        "other": (other, other, told(anonymous_id=other)),
        "longer": (visitor + "x", f"{visitor}x.12", told(user_id=visitor + "x")),
        "text": (other, None, told(about=visitor)),
    }
    wanted = {"own", "session", "device's session", "alias", "nested", "previous"}
    assert found(con, Person(NORTH, [visitor]), rows) == wanted


def test_another_tenant_s_visitor_of_the_same_name_is_left_alone(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows: dict[str, Row] = {"own": ("anna", None, None)}
    assert found(con, Person(NORTH, ["anna"]), rows) == {"own"}
    assert found(con, Person(tenant_id("south"), ["anna"]), rows) == set()


def test_other_names_of_the_same_person_are_told(con: duckdb.DuckDBPyConnection) -> None:
    person = Person(NORTH, ["anna"])
    rows: dict[str, Row] = {
        "e1": ("anna", None, '{"anonymous_id": "phone"}'),
        "e2": ("laptop", None, '{"userId": "anna"}'),
        "e3": ("bob", None, '{"anonymous_id": "tablet"}'),
    }
    assert found(con, person, rows) == {"e1", "e2"}
    assert other_names(con, person) == ["laptop", "phone"]


@pytest.mark.parametrize(
    ("text", "is_in"),
    [
        ("anna@x.org", True),
        ('{"v": "anna@x.org"}', True),
        ("v=anna%40x.org&w=1", True),
        ("joanna@x.org", False),
        ("anna@x.orgs", False),
        ("anna@x-org", False),
        ("", False),
    ],
)
def test_a_mention_is_a_word_of_its_own(text: str, is_in: bool) -> None:
    assert Person(NORTH, ["anna@x.org"]).is_in(text.encode()) is is_in


@given(ODD.filter(str.strip), st.binary(max_size=30))
def test_a_mention_is_blotted_out_whatever_stands_around_it(visitor: str, around: bytes) -> None:
    person = Person(NORTH, [visitor])
    text = around + b" " + json.dumps(visitor.strip()).encode() + b" " + around
    assert person.is_in(text)
    assert not person.is_in(person.without(text).replace(b"(forgotten)", b""))


def test_visitors_may_be_forgotten_together(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    person = Person(NORTH, ["anna", "bob", "anna"])
    assert person.visitors == ("anna", "bob")
    rows: dict[str, Row] = {n: (n, None, None) for n in ("anna", "bob", "carl")}
    assert found(con, person, rows) == {"anna", "bob"}


def test_an_answer_is_theirs_by_name_by_session_or_by_an_event_that_names_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    person = Person(NORTH, ["anna"])
    events: dict[str, Row] = {
        "own": ("anna", " s1 ", json.dumps({"request_id": "told"})),
        "other": ("bob", "s2", json.dumps({"request_id": "other"})),
        "anonymous": ("bob", None, None),
    }
    found(con, person, events)
    answers = [
        ("asked", " anna ", None),
        ("in a session", None, "s1"),
        ("in one that bears the name", None, "anna~1700000000000"),
        ("told", None, None),
        ("other", "bob", "s2"),
        ("nobody's", None, None),
        ("longer", "annabel", "annabel~1"),
    ]
    for tenant in ("north", "south"):
        con.executemany(
            "INSERT INTO lake.raw.answers BY NAME SELECT ? AS tenant, ? AS request_id, "
            "? AS visitor_id, ? AS session_id",
            [(tenant, *answer) for answer in answers],
        )
    rows = con.execute(
        f"SELECT tenant, request_id FROM lake.raw.answers WHERE {person.answers()}"
    ).fetchall()
    assert set(rows) == {("north", request) for request, *_ in answers[:4]}
