"""The documentation is held to the code: references, links, commands, settings and examples."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import serve_shop
import wherry
from behave_subject import answerer, subject
from transform_shop import Shop, Told
from wherry.behave import load_own_checks
from wherry.behave.own import run_own_check
from wherry.cli.app import app
from wherry.collect import find_files, find_mapping, load_file
from wherry.config import parse_settings, read_settings
from wherry.domain import STAGES
from wherry.lake import Lake
from wherry.learn.answer import Answerer
from wherry.learn.catalogue import Catalogue
from wherry.learn.models import MODELS, load_own_models
from wherry.serve import Metrics
from wherry.testing import MODEL_CHECKS, check_model

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _load_generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _load_generate()
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, info: str) -> list[str]:
    """The fenced blocks of a page whose info string begins with these words."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [body for head, body in found if head.split()[: len(info.split())] == info.split()]


def write_files(page: str, folder: Path) -> list[str]:
    """Write the blocks of a page that name a file into a folder; the names."""
    names = []
    for head, body in FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        named = re.search(r"file=(\S+)", head)
        if named:
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
            names.append(named[1])
    return names


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every ``wherry …`` of a page, as words: in blocks of shell, and in code within a line."""
    text = page.read_text(encoding="utf-8")
    lines = [line for body in blocks(page, "sh") for line in body.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    for line in lines:
        words = shlex.split(line, comments=True) if line.startswith("wherry ") else []
        if words:
            yield words[1:]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_generated_pages_are_what_the_code_says() -> None:
    for path, text in generate.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale. Run: make docs"


def test_every_setting_is_described() -> None:
    unexplained = {heading: generate.unexplained_keys(t) for heading, t in generate.tables()}
    assert {"`[[sources]]`", "`[learn]`", "`[learn.search]`"} <= unexplained.keys()
    assert not any(unexplained.values()), unexplained


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained_beyond_its_help(command: str) -> None:
    written = [page for page in PAGES if page.name not in ("cli.md", "CHANGELOG.md")]
    used = {words[0] for page in written for words in command_lines(page) if words}
    assert command in used, f"No page but cli.md shows: wherry {command}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name} links to {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_the_docs_exists_with_its_options(page: Path) -> None:
    for words in command_lines(page):
        if words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, f"{page.name}: wherry {' '.join(words)}"
        command = COMMANDS[words[0]]
        if hasattr(command, "commands"):
            assert len(words) == 1 or words[1] in command.commands, f"{page.name}: {words}"
            command = command.commands[words[1]] if len(words) > 1 else command
        known = {option for each in command.params for option in each.opts} | {"--help"}
        given = {word for word in words[1:] if re.match(r"-{1,2}[a-zA-Z]", word)}
        assert given <= known, f"{page.name}: wherry {' '.join(words)}"
        for option, value in pairwise(words):
            if words[0] == "run" and option in ("--from", "--only"):
                assert value in STAGES, f"{page.name}: wherry {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_in_the_docs_exists(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    shown = "\n".join(blocks(page, "sh")) + "\n" + "\n".join(re.findall(r"`(make \w+)`", text))
    assert set(re.findall(r"^make (\w+)", shown, re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_example_of_settings_is_valid(page: Path) -> None:
    for text in blocks(page, "toml"):
        parse_settings(text, page.name)


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # MLflow, as it is imported
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_example_of_python_imports_what_there_is(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wherry"):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)


def test_the_serving_page_names_every_metric() -> None:
    text = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    found = {f.name + "_total" * (f.type == "counter") for f in Metrics().registry.collect()}
    assert not [name for name in found if f"`{name}`" not in text]


def test_the_changelog_begins_with_the_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == wherry.__version__


def test_the_telemetry_of_the_parts_is_off_once_wherry_is_imported() -> None:
    names = ("DO_NOT_TRACK", "DBT_SEND_ANONYMOUS_USAGE_STATS", "MLFLOW_DISABLE_TELEMETRY")
    ask = f"import os, wherry; print(*(os.environ.get(name) for name in {names!r}))"
    environment = {key: value for key, value in os.environ.items() if key not in names}
    told = subprocess.run(
        [sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["1", "false", "true"]


def test_the_start_page_s_mapping_takes_its_log(tmp_path: Path) -> None:
    assert write_files("docs/start.md", tmp_path) == ["data/log.csv", "wherry.toml"]
    settings = read_settings(tmp_path / "wherry.toml")
    (source,) = settings.sources
    (log,) = find_files(source.path, tmp_path)
    with Lake(tmp_path / "lake").writer() as con:
        mapping = find_mapping(source.preset, settings.imports)
        loaded = load_file(con, log, mapping, now=datetime(2026, 3, 2))
        rows = con.sql(
            "SELECT event_type, occurred_at, visitor_id, items[1].id, items[1].price "
            "FROM lake.raw.events ORDER BY occurred_at"
        ).fetchall()
    assert (loaded.taken, loaded.known, loaded.rejected) == (4, 0, 0)
    assert rows[2] == ("purchase", datetime(2026, 3, 1, 10, 3), "anna", "stove", 49.0)


def test_the_own_model_of_the_docs_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files("docs/models.md", tmp_path)
    own = load_own_models(tmp_path / "models")
    assert list(own) == ["latest"]
    check_model(own["latest"])
    monkeypatch.syspath_prepend(tmp_path / "models")
    for text in blocks(ROOT / "docs" / "models.md", "python run"):
        exec(compile(text, "docs/models.md", "exec"), {})
    sys.modules.pop("latest", None)


def test_the_models_page_names_what_there_is() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for name in MODELS:
        assert f"| `{name}` |" in text
    assert f"asks it {len(MODEL_CHECKS)} things" in text


def test_the_own_checks_of_the_docs_judge_a_recommender(tmp_path: Path) -> None:
    write_files("docs/models.md", tmp_path)
    own = load_own_checks(tmp_path / "behaviour")
    judged = [found for name, each in own.items() for found in run_own_check(name, each, subject())]
    assert {check.name: check.passed for check in judged} == {
        "fills a page": True,
        "shows variety": True,
    }


def test_the_own_checks_of_the_docs_can_fail(tmp_path: Path) -> None:
    write_files("docs/models.md", tmp_path)
    whole = answerer()
    few = serve_shop.items_table(available=[code < 5 for code in range(serve_shop.N + 1)])
    catalogue = Catalogue.from_table(serve_shop.IDS, few)
    poor = Answerer(whole.model, whole.vocabulary, catalogue, whole.popularity)
    own = load_own_checks(tmp_path / "behaviour")
    (full_page,) = run_own_check(
        "full page", own["answers.check_a_full_page"], subject(answerer=poor)
    )
    assert not full_page.passed
    assert full_page.is_blocking
    assert full_page.sample


def test_the_own_sql_of_the_docs_is_built_and_tested(tmp_path: Path) -> None:
    shop = Shop(tmp_path).empty()
    names = write_files("docs/transforms.md", tmp_path)
    assert len(names) == 2
    shop.load(
        [
            Told("e1", "purchase", 0, items=(("tent", 199.0, 1.0), ("stove", 49.0, 1.0))),
            Told("e2", "view", 1, items=(("mat", -1.0, None),)),
        ]
    )
    made = shop.transform()
    assert [test.name for test in made.tests if not test.passed] == ["prices_are_positive"]
    with Lake(tmp_path / "lake").reader() as con:
        pairs = con.sql("SELECT item_id, bought_with, sessions FROM lake.marts.bought_together")
        assert pairs.fetchall() == [("stove", "tent", 1)]
