"""Do the networks' defaults hold in other windows and on other data than they were chosen on?

    python -m benchmarks.networks --data DATA [--only gru4rec] [--sets retailrocket]

Each set is cut into a part to learn from and a window after it, out of the training sessions
where a set has a test part: nothing that is judged elsewhere is looked at. In each window the
baseline, the kNN, the network with its defaults and with one parameter changed at a time answer
the same questions. A row is P@20 and MRR@20 with their standard errors over sessions, and what
MRR@20 gains over the defaults in pairs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from acceptance.retailrocket import FOLDER, SEED, error, read_train

from benchmarks.content import read_baskets
from wherry.domain import Params
from wherry.learn.choice import sample
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.models import MODELS
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split, split

NETWORKS = ("gru4rec", "sasrec")
CHANGES: tuple[Params, ...] = (
    {"rate": 0.002},
    {"epochs": 12},
    {"dropout": 0.5},
    {"dimensions": 64},
    {"alpha": 0.5},
    {"batch": 256},
    {"temperature": 12.0},
    {"confidence": 1.0},
)
MAX_SESSIONS = 1500
MAX_QUESTIONS = 4000
EVENTS = 60_000
"""How many events before a window, the newest, are learned from: some ten seconds a fit."""

_EVENTS = """
SELECT dense_rank() OVER (ORDER BY user_session) AS session,
       dense_rank() OVER (ORDER BY product_id) - 1 AS item, epoch_ms(event_time) AS time
FROM read_parquet($file) ORDER BY event_time, user_session, event_type, product_id
"""


class Window(NamedTuple):
    name: str
    split: Split
    max_questions: int


def retailrocket(data: Path) -> Iterator[Window]:
    """Three windows of a twentieth, before the newest one, by which the defaults were chosen."""
    rest = split(read_train(data / FOLDER), test_fraction=0.05).train
    for number in (2, 3, 4):
        window = split(rest, test_fraction=0.05)
        rest = window.train
        yield Window(f"retailrocket, window {number}", recent(window), MAX_QUESTIONS)


def online_retail(data: Path) -> Iterator[Window]:
    """Two windows of baskets, which have 26 lines on the average: more questions for as many."""
    known, _ = read_baskets(data / "online_retail_ii")
    sessions = known.sessions
    for share in (0.75, 0.92):
        head = sessions.take(np.arange(int(len(sessions) * (share + 0.05))))
        window = recent(split(head, test_fraction=0.05 / (share + 0.05)))
        yield Window(f"online retail, {share:.0%}", window, 3 * MAX_QUESTIONS)


def rees46(data: Path) -> Iterator[Window]:
    """Three hours of a shop: a fifth of very few sessions is asked about."""
    with duckdb.connect() as con:
        events = con.execute(_EVENTS, {"file": str(data / "rees46_sample" / "*.parquet")})
        found = events.fetchnumpy()
    sessions = Sessions.from_events(
        found["session"], found["item"], found["time"], n_items=int(found["item"].max()) + 1
    )
    sessions = sessions.take(sessions.lengths > 1)
    yield Window("rees46, three hours", split(sessions, test_fraction=0.2), MAX_QUESTIONS)


SETS = {"retailrocket": retailrocket, "online-retail": online_retail, "rees46": rees46}


def recent(window: Split) -> Split:
    """The newest sessions of what lies before a window, up to so many events."""
    sessions = window.train
    first = int(np.searchsorted(sessions.offsets, sessions.n_events - EVENTS))
    train = sessions.take(np.arange(first, len(sessions)))
    return Split(train=train, test=window.test, cut=window.cut)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(NETWORKS), help="networks, with commas")
    parser.add_argument("--sets", default=",".join(SETS), help="data sets, with commas")
    parser.add_argument("--changes", type=int, nargs="*", help="places in CHANGES; all by default")
    options = parser.parse_args()
    changes = CHANGES if options.changes is None else [CHANGES[i] for i in options.changes]
    for name in options.sets.split(","):
        for window in SETS[name](options.data):
            measure(window, options.only.split(","), changes)


def measure(window: Window, networks: list[str], changes: list[Params]) -> None:
    train = window.split.train
    asked = sample(window.split, SEED, MAX_SESSIONS, window.max_questions)
    print(f"\n{window.name}: {len(train):,} sessions, {train.n_events:,} events, ", end="")
    print(f"{np.count_nonzero(train.item_counts()):,} items; {len(asked):,} questions of ", end="")
    print(f"{len(np.unique(asked.sessions)):,} sessions", flush=True)

    def row(model: str, params: Params, beside: Evaluation | None = None) -> Evaluation:
        since = time.process_time()
        fitted = MODELS[model](**params).fit(train, seed=SEED)
        worked = time.process_time() - since
        found = evaluate(fitted, asked, popularity=train.item_counts())
        figures = "".join(
            f"{100 * found.values(metric).mean():8.2f} ± {100 * error(found, metric):.2f}"
            for metric in ("hr@20", "mrr@20")
        )
        curve = getattr(fitted, "curve", [])
        loss = f"  loss {curve[0].loss:.2f} to {curve[-1].loss:.2f}" if curve else ""
        gain = ""
        if beside is not None:
            gained = [found.difference(beside, metric) for metric in ("hr@20", "mrr@20")]
            gain = "".join(
                f"{100 * each.value:+8.2f} ± {100 * (each.high - each.low) / 3.92:.2f}"
                for each in gained
            )
        changed = ", ".join(f"{key}={value}" for key, value in params.items())
        print(f"  {model:11}{changed:16}{figures}{worked:8.1f} s{loss}{gain}", flush=True)
        return found

    for baseline in ("popularity", "knn"):
        row(baseline, {})
    for network in networks:
        beside = row(network, {})
        for change in changes:
            row(network, change, beside)


if __name__ == "__main__":
    main()
