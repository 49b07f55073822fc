"""Tenants: nothing of one depends on another's events, even where all their ids collide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import NOW, START
from wherry.domain import Check, TenantRun
from wherry.lake import content_hash, content_hashes
from wherry.project import Project
from wherry.simulate import simulate

NORTH = "north"
# South has the same visitors, items and event ids as north, at other times and prices, and half
# of the events; its first load comes before north's. Nothing of that may show.
_SOUTH = """
SELECT * REPLACE (
    'south' AS tenant,
    occurred_at - INTERVAL 3 HOUR AS occurred_at,
    price * 7 AS price)
FROM '{file}' WHERE hash(event_id) % 2 = 0
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Events of north and south, and a catalogue of each that calls the same items otherwise."""
    folder = tmp_path_factory.mktemp("tenants")
    made = simulate(folder, events=6_000, seed=3, start=START, days=12)
    (events,) = made.files
    files = {name: folder / f"{name}.parquet" for name in ("north", "south", "items", "others")}
    with duckdb.connect() as con:
        north = f"SELECT * REPLACE ('north' AS tenant) FROM '{events}'"
        con.execute(f"COPY ({north}) TO '{files['north']}'")
        con.execute(f"COPY ({_SOUTH.format(file=events)}) TO '{files['south']}'")
        items = f"SELECT * REPLACE ('north' AS tenant) FROM '{made.catalogue}'"
        con.execute(f"COPY ({items}) TO '{files['items']}'")
        others = (
            "SELECT * REPLACE ('south' AS tenant, 'another ' || name AS name, 'all' AS category, "
            f"false AS available) FROM '{made.catalogue}'"
        )
        con.execute(f"COPY ({others}) TO '{files['others']}'")
    return files


def make_shop(folder: Path, imports: list[tuple[str, Path]]) -> tuple[Project, dict[str, Any]]:
    """A shop of some files, and what its run did for each tenant."""
    project = Project.create(folder, clock=lambda: NOW)
    (folder / "wherry.toml").write_text(
        '[lake]\nthreads = 1\n[learn]\ncandidates = ["popularity", "rules"]\n'
        "max_validation_sessions = 200\n"
        "[audit]\nmax_unknown_item_share = 1.0\n[behave]\nmax_answer_ms = 1000.0\n"
    )
    project = Project.open(folder, clock=lambda: NOW)
    for preset, path in imports:
        project.import_files(preset, str(path))
    record = project.run()
    return project, {tenant.tenant: tenant for tenant in record.tenants}


def marts(project: Project) -> dict[str, str]:
    """Content hashes of north's rows in every derived table."""
    with project.lake.reader() as con:
        con.execute("CREATE SCHEMA memory.mine")
        for name in content_hashes(con, "marts"):
            columns = [row[0] for row in con.execute(f"DESCRIBE lake.marts.{name}").fetchall()]
            assert "tenant" in columns, name
            # Loads are numbered over all tenants: the number of one is no fact of another's.
            kept = ", ".join(column for column in columns if column != "load_id")
            con.execute(
                f"CREATE TABLE memory.mine.{name} AS "
                f"SELECT {kept} FROM lake.marts.{name} WHERE tenant = '{NORTH}'"
            )
        return {
            name: content_hash(con, f"memory.mine.{name}") for name in content_hashes(con, "marts")
        }


def figures(checks: tuple[Check, ...]) -> list[tuple[object, ...]]:
    """What checks found, without times."""
    return [
        (check.name, check.slice, check.passed, check.bound)
        + (() if check.name == "answers in time" else (check.figure, check.sample))
        for check in checks
    ]


def facts(run: TenantRun) -> dict[str, object]:
    """All that a run says of a tenant, but its times and the numbers of snapshots."""
    assert run.audit is not None
    assert run.behave is not None
    assert run.release is not None
    return {
        "facts": run.facts,
        "audit": figures(run.audit.checks),
        "behave": figures(run.behave.checks),
        "candidates": [
            (each.name, each.params, each.metrics, each.trials) for each in run.candidates
        ],
        "winner": run.winner,
        "release": (run.release.version, run.release.params, run.release.metrics),
    }


def test_a_tenant_s_tables_figures_and_answers_are_the_same_beside_another(
    files: dict[str, Path], tmp_path: Path
) -> None:
    mine = [("wherry-items", files["items"]), ("wherry", files["north"])]
    others = [("wherry", files["south"]), ("wherry-items", files["others"])]
    alone, by_itself = make_shop(tmp_path / "alone", mine)
    beside, together = make_shop(tmp_path / "beside", [others[0], *mine, others[1]])
    assert set(by_itself) == {NORTH}
    assert set(together) == {NORTH, "south"}

    assert marts(beside) == marts(alone)
    assert facts(together[NORTH]) == facts(by_itself[NORTH])
    for session in alone.newest_sessions(at_most=20, tenant=NORTH):
        answers = [shop.recommend(session, tenant=NORTH) for shop in (alone, beside)]
        assert answers[0].items == answers[1].items
        assert not any((each.name or "").startswith("another") for each in answers[1].items)
    assert alone.newest_sessions(at_most=99, tenant=NORTH) == beside.newest_sessions(
        at_most=99, tenant=NORTH
    )
