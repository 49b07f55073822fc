"""The circle of the demo: live traffic, a release that proves better, and one that is undone.

Time runs fast in it: the shoppers do not pause, so minutes of a shop's life take seconds.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.text import Text

from wherry.cli.server import running_server
from wherry.cli.shopping import models_table
from wherry.domain import (
    DEFAULT_TENANT,
    Act,
    Candidate,
    Decision,
    Mode,
    Release,
    RunId,
)
from wherry.errors import WherryError
from wherry.learn.answer import Answerer
from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.catalogue import Catalogue
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Sessions, Vocabulary
from wherry.project import Project, utc_now
from wherry.project.decisions import DecisionLog
from wherry.registry import label
from wherry.report import indented
from wherry.simulate import Crowd, Visited, open_shop, send_crowd

BY_HAND = "by hand"
"""Who decides here, and what stands for the run where no run has made a release."""

_LOOK_SECONDS = 0.2
_MOST_VISITS = 60_000
_PATIENCE_SECONDS = 60.0

Report = Callable[[str], None]


class Circle(msgspec.Struct, frozen=True, kw_only=True):
    """What the circle showed: the crowds that came, and what was decided, the oldest first."""

    better: Visited
    worse: Visited
    decisions: tuple[Decision, ...]
    seconds: float


def put_out_dearest(project: Project, data: Path) -> Release:
    """Make a list of the dearest items the champion: the rule of thumb that a shop begins with."""
    release = _register(
        project,
        _bestsellers(data),
        lambda lists: lists.prices,
        called="dearest first",
        as_champion=True,
    )
    project.releasing(by=BY_HAND).take_over(release, "no run has made it")
    return release


def go_round(project: Project, data: Path, report: Report) -> Circle:
    """Send shoppers while a release is tried, until it has proved better or worse; twice."""
    began = time.monotonic()
    with running_server(project) as address:
        first = _await_decision(project, address, data, Act.FOUND_BETTER, 0, report)
        project.releasing(by=BY_HAND).promote(DEFAULT_TENANT)
        _await_champion(project, address)
        report("a release with its sign wrong is put beside it")
        worse = _put_out_upside_down(project, data)
        project.releasing(by=BY_HAND).start(worse, Mode.CANARY, 0.5)
        second = _await_decision(project, address, data, Act.STOPPED, _MOST_VISITS, report)
    decisions = DecisionLog(project.home.decisions).read(DEFAULT_TENANT).decisions
    return Circle(
        better=first,
        worse=second,
        decisions=tuple(reversed(decisions)),
        seconds=time.monotonic() - began,
    )


def _await_champion(project: Project, address: str) -> None:
    """Wait until the server answers with what was promoted, which it does by itself."""
    wanted, deadline = label(_champion(project)), time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{address}/readyz", timeout=30) as response:
            if wanted in response.read().decode():
                return
        time.sleep(_LOOK_SECONDS)
    raise WherryError(f"The server does not answer with {wanted}. See: wherry rollout")


def _decision(decision: Decision) -> Iterator[Any]:
    """A decision in a line, and why below it."""
    act = decision.act.replace("_", " ")
    yield Text(f"   {decision.decided_at:%H:%M:%S}  {decision.release} {act}, {decision.by}")
    if decision.why:
        yield indented(decision.why, 13)


def circle_report(circle: Circle) -> list[Any]:
    """What the circle showed, for the terminal."""
    return [
        "",
        Text("The circle: half of the shoppers see the new release", style="bold"),
        models_table(circle.better),
        "",
        Text(
            "It is promoted. Then one with the wrong sign is put out, past the gate", style="bold"
        ),
        models_table(circle.worse),
        "",
        Text("What was decided", style="bold"),
        *(line for each in circle.decisions for line in _decision(each)),
    ]


def _await_decision(
    project: Project, address: str, data: Path, act: Act, first: int, report: Report
) -> Visited:
    """Send shoppers until the guard has decided so about what is being tried."""
    log, looked_at, is_decided = DecisionLog(project.home.decisions), 0.0, False

    def is_over() -> bool:
        nonlocal looked_at, is_decided
        now = time.monotonic()
        if not is_decided and now - looked_at > _LOOK_SECONDS:
            looked_at = now
            newest = next(iter(log.read(DEFAULT_TENANT).decisions), None)
            is_decided = newest is not None and newest.act is act
        return is_decided

    def tell(so_far: Visited) -> None:
        lists = ", ".join(
            f"{model} {shown.click_through:.1%} of {shown.lists:,}"
            for model, shown in so_far.models.items()
        )
        report(f"shoppers: {lists}")

    visited = send_crowd(
        address,
        open_shop(data),
        Crowd(visits=_MOST_VISITS, at_once=16, first=first),
        is_over=is_over,
        on_progress=tell,
    )
    if not is_over():
        raise WherryError(
            f"The shoppers have gone, and nothing was {act.replace('_', ' ')}. See: wherry rollout"
        )
    return visited


def _put_out_upside_down(project: Project, data: Path) -> Release:
    """Register the bestsellers with the wrong sign: what nobody wants comes first."""
    return _register(
        project,
        _bestsellers(data),
        lambda lists: -lists.sold,
        called="bestsellers last",
        as_champion=False,
    )


def _champion(project: Project) -> Release:
    champion = project.champion()
    assert champion is not None
    return champion


def _bestsellers(data: Path) -> Answerer:
    """A recommender that shows everybody what is looked at most."""
    seen = pa.concat_tables(
        pq.read_table(path, columns=["item_id"]) for path in sorted(data.glob("events*.parquet"))
    )["item_id"].drop_null()
    vocabulary = Vocabulary(sorted(pc.unique(seen).to_pylist()))
    codes = np.asarray(vocabulary.codes(seen.to_pylist()), dtype=np.int32)
    at = np.zeros(len(codes), dtype=np.int64)
    model = Popularity(half_life=0.0).fit(
        Sessions.from_events(at, codes, at, n_items=len(vocabulary)), seed=1
    )
    facts = pq.read_table(data / "items.parquet")
    facts = facts.append_column("in_catalogue", pa.array([True] * facts.num_rows))
    catalogue = Catalogue.from_table(vocabulary.ids, facts)
    return Answerer(model, vocabulary, catalogue, model.score(codes[:1]))


class _Lists(NamedTuple):
    """What a list of everybody's can be ordered by: prices, and how often items were looked at."""

    prices: NDArray[np.float32]
    sold: NDArray[np.float32]


def _register(
    project: Project,
    answerer: Answerer,
    order_by: Callable[[_Lists], NDArray[np.float32]],
    *,
    called: str,
    as_champion: bool,
) -> Release:
    """Put a recommender into the registry by hand, as whoever reaches MLflow can: past the gate.

    It is a list of scores as a popularity model keeps them, and no popularity: its release is
    ``called`` what it is.
    """
    registry = project.registry
    with TemporaryDirectory() as place:
        folder = Path(place) / "recommender"
        answerer.save(folder)
        prices = np.nan_to_num(answerer.catalogue.prices).astype(np.float32)
        scores = order_by(_Lists(prices, load_array(folder / "model", "scores")))
        save_arrays(folder / "model", scores=scores)
        candidate = Candidate(name=called, model=called, params={}, seed=1, metrics={})
        runs = registry.log_candidates(DEFAULT_TENANT, [candidate], {"wherry.run": BY_HAND})
        release = Release(
            tenant=DEFAULT_TENANT,
            name=registry.name,
            version=0,
            model=called,
            params={},
            seed=1,
            snapshot=0,
            run_id=RunId(BY_HAND),
            code=BY_HAND,
            packages={},
            metrics={},
            released_at=utc_now(),
        )
        return registry.release(release, folder, runs[called], as_champion=as_champion)
