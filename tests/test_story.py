"""The product's sentence, end to end, by its commands and its server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from wherry.cli import main

HERE = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE / "src")}
PATIENCE_SECONDS = 60


@pytest.fixture
def wherry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in the current folder; the document that it answers with."""

    def run(*words: str | Path, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["wherry", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert end.value.code == code, out + err
        return json.loads(out)

    return run


@contextmanager
def serving() -> Iterator[httpx.Client]:
    """The server of the current folder, on a free port, and a client of it."""
    command = [sys.executable, "-m", "wherry", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while "}" not in text:
            line = process.stdout.readline()
            assert line, "the server did not start"
            text += line
        try:
            with httpx.Client(base_url=json.loads(text)["address"]) as client:
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_SECONDS)
        assert code == 0


def asked(client: httpx.Client, items: list[str]) -> dict[str, Any]:
    """What the server recommends for a session; every request must succeed."""
    response = client.post("/v1/recommend", json={"session_items": items, "k": 5})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def told(client: httpx.Client, event: dict[str, Any]) -> None:
    """Send an event; it must be taken."""
    response = client.post("/v1/events", json=event)
    assert response.json()["taken"] == 1, response.text


def shown_to(client: httpx.Client, visitor: str) -> dict[str, Any]:
    """What the server recommends to a visitor of whom it knows itself."""
    response = client.post("/v1/recommend", json={"visitor_id": visitor, "k": 5})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def seen_by(client: httpx.Client, visitors: list[str], *, of: set[str]) -> dict[str, str]:
    """Which release answers each visitor, once all of these answer somebody, and nobody's changes.

    A release may be taken into service while they are asked the first time.
    """
    deadline, before = time.monotonic() + PATIENCE_SECONDS, {}
    while True:
        models = {visitor: shown_to(client, visitor)["model"] for visitor in visitors}
        if set(models.values()) == of and models == before:
            return models
        before = models
        assert time.monotonic() < deadline, models


def answers_as(client: httpx.Client, items: list[str], model: str) -> dict[str, Any]:
    """Ask until a version answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := asked(client, items))["model"] != model:
        assert time.monotonic() < deadline, answer
    return answer


def cut_in_two(folder: Path) -> None:
    """The first twenty days, the others, and bad ones, as a file each."""
    with duckdb.connect() as con:
        cut = datetime(2026, 1, 21)
        for name, sign in (("first", "<"), ("second", ">=")):
            con.execute(
                f"COPY (SELECT * FROM '{folder}/events*.parquet' WHERE occurred_at {sign} "
                f"TIMESTAMP '{cut}') TO '{folder}/{name}.parquet'"
            )
        con.execute(
            "COPY (SELECT 'bad' || range AS event_id, 'bot' AS event_type, "
            f"TIMESTAMP '{cut}' + to_seconds(range) AS occurred_at, 'bot' AS visitor_id "
            f"FROM range(9000)) TO '{folder}/bad.csv'"
        )


def test_from_raw_events_to_recommendations_that_are_tested_and_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wherry: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    wherry("simulate", "data", "--events", "16000", "--days", "25")
    cut_in_two(tmp_path / "data")
    wherry("init", "shop")
    monkeypatch.chdir(tmp_path / "shop")
    settings = Path("wherry.toml")
    settings.write_text(
        'shop = "shop"\n[learn]\ncandidates = ["popularity", "rules"]\n'
        "max_validation_sessions = 200\n[behave]\nmargin = 0.5\nslice_margin = 1.0\n"
    )

    # Raw events and a catalogue come in.
    wherry("import", "wherry-items", "../data/items.parquet")
    (load,) = wherry("import", "wherry", "../data/first.parquet")
    assert load["taken"] > 8_000

    # One command makes a tested, released recommender of them.
    (tenant,) = wherry("run")["tenants"]
    assert tenant["release"]["version"] == 1
    first = wherry("status")

    with serving() as client:
        items = [each["item"] for each in asked(client, ["nobody knows this"])["items"]][:2]
        by_http = asked(client, items)
        assert by_http["model"] == "recommender@1"
        by_command = wherry("recommend", *items, "-k", "5")
        assert [i["item"] for i in by_command["items"]] == [i["item"] for i in by_http["items"]]

        # Bad data is stopped, and the verdict says which rows.
        (bad,) = wherry("import", "wherry", "../data/bad.csv")
        assert bad["taken"] == 9000
        (tenant,) = wherry("run", code=1)["tenants"]
        failed = [check for check in tenant["audit"]["checks"] if not check["passed"]]
        assert any("bot" in json.dumps(check["sample"]) for check in failed)
        assert all(check["sql"] for check in failed)
        now = wherry("status")
        for was, is_now in zip(first["tenants"], now["tenants"], strict=True):
            assert is_now["published"] == was["published"]
            assert is_now["champion"] == was["champion"]
        assert asked(client, items)["items"] == by_http["items"]

        # Left out, with new days beside it, there is a second release, which takes over.
        load_id = 3
        settings.write_text(f"{settings.read_text()}[transform]\nexclude_loads = [{load_id}]\n")
        wherry("import", "wherry", "../data/second.parquet")
        (tenant,) = wherry("run")["tenants"]
        assert tenant["release"]["version"] == 2
        assert tenant["facts"]["events"] > first["tenants"][0]["volumes"]["events"]
        answers_as(client, items, "recommender@2")

        # One command takes it back, under the running server.
        assert wherry("rollback")["version"] == 1
        assert answers_as(client, items, "recommender@1")["items"] == by_http["items"]

        # What a visitor does counts in the next answer.
        told(client, {"event_type": "view", "visitor_id": "anna", "items": [{"id": items[0]}]})
        for_anna = shown_to(client, "anna")
        assert for_anna["items"] == asked(client, items[:1])["items"]
        clicked = for_anna["items"][1]["item"]
        told(
            client,
            {"event_type": "click", "visitor_id": "anna", "items": [{"id": clicked}],
             "properties": {"request_id": for_anna["request_id"]}},
        )  # fmt: skip

        # A release is tried on some visitors, who stay with it, and then on all.
        wherry("release", "2", "--canary", "50%")
        visitors = [f"visitor-{number}" for number in range(40)]
        models = seen_by(client, visitors, of={"recommender@1", "recommender@2"})
        assert {v: shown_to(client, v)["model"] for v in visitors} == models
        assert wherry("promote")["version"] == 2
        answers_as(client, items, "recommender@2")
        acts = [each["act"] for each in wherry("decisions")["decisions"]]
        assert acts[:2] == ["promoted", "started"]

    # Events and answers are in the log, and what came of the answers in a table.
    wherry("run", "--only", "load")
    wherry("run", "--only", "transform")
    wherry("run", "--only", "publish")
    (first,) = [each for each in wherry("outcomes") if each["part"] == "recommender@1"]
    assert first["answers"] > 20
    assert first["click_through"]["value"] > 0
