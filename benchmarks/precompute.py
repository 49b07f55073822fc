"""Precomputing: lists a second beside the model called in a loop, and a look-up beside an answer.

    python benchmarks/precompute.py [--data ../shared/data] [--rounds 3] [--lists 20000]
                                    [--models knn,covisits]

The reference asks the same answerer for the same answers, one after the other, in one thread.
Without --models all are measured that what is installed can fit, but prod2vec. Models whose answer
takes longer make fewer lists, so that a round takes some seconds. A network is asked after one
epoch of training: how well it answers doesn't matter here.
Rounds are interleaved and figures are medians, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from serve import made_up, retailrocket
from wherry.domain import DEFAULT_TENANT, VisitorId
from wherry.learn.answer import Answerer, Query
from wherry.learn.catalogue import Catalogue
from wherry.learn.models import MODELS
from wherry.learn.neural import is_jax_here
from wherry.learn.popularity import Popularity
from wherry.learn.sessions import Vocabulary
from wherry.learn.twostage import is_lightgbm_here
from wherry.project.lists import Session, make
from wherry.serve.precomputed import Kind, Precomputed, PrecomputedLists, land

K = 20
QUICK = ("popularity", "rules", "covisits", "knn", "blend")
NETWORKS = ("gru4rec", "sasrec")
SLOWER = {"twostage": 5, "prod2vec": 8, "gru4rec": 16, "sasrec": 16}
"""By how many lists fewer these make."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder that holds retailrocket_srgnn/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lists", type=int, default=20_000)
    parser.add_argument("--models", default=",".join(at_hand()))
    options = parser.parse_args()
    sessions, _, source = made_up() if options.data is None else retailrocket(options.data)
    runs = zip(sessions.offsets[:-1].tolist(), sessions.offsets[1:].tolist(), strict=True)
    asked: list[Session] = [(tuple(sessions.items[a:b].tolist()), ()) for a, b in runs]
    asked = list(dict.fromkeys(asked))[-options.lists :]
    print(f"{source}: {len(asked):,} different sessions, k = {K}, {os.cpu_count()} cores")
    popular = Popularity().fit(sessions, seed=1).score(sessions.items[:1])
    for name in options.models.split(","):
        model = MODELS[name](**({"epochs": 1} if name in NETWORKS else {}))
        answerer = Answerer(
            model.fit(sessions, seed=1),
            Vocabulary(f"item-{code}" for code in range(sessions.n_items)),
            Catalogue.unknown(sessions.n_items),
            popular,
        )
        few = len(asked) // SLOWER.get(name, 1)
        measure(answerer, asked[-few:], options.rounds)


def at_hand() -> list[str]:
    """The models that can be fitted with what is installed."""
    trees = ["twostage"] if is_lightgbm_here() else []
    return [*QUICK, *trees, *(NETWORKS if is_jax_here() else ())]


def measure(answerer: Answerer, asked: list[Session], rounds: int) -> None:
    ids = answerer.vocabulary.ids
    queries = [Query(session=[ids[code] for code in codes], k=K) for codes, _ in asked]

    def loop() -> None:
        for query in queries:
            answerer.answer(query)

    def threads(workers: int) -> Callable[[], object]:
        return lambda: make(answerer, asked, K, workers=workers, now=0, report=lambda words: None)

    ways = {
        "a loop": loop,
        "1 thread": threads(1),
        "all cores": threads(os.cpu_count() or 1),
    }
    make(answerer, asked[:256], K, workers=1, now=0, report=lambda words: None)  # compiled by now
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = perf_counter()
            way()
            rates[name].append(len(asked) / (perf_counter() - began))
    rate = {name: statistics.median(each) for name, each in rates.items()}
    told = ", ".join(f"{name} {each:,.0f}" for name, each in rate.items())
    ratio = statistics.median(
        ours / theirs for ours, theirs in zip(rates["all cores"], rates["a loop"], strict=True)
    )
    print(f"{answerer.model.name}: lists a second: {told}; all cores {ratio:.2f} × the loop")
    look_up(answerer, asked, queries)


def look_up(answerer: Answerer, asked: list[Session], queries: list[Query]) -> None:
    """Time finding a visitor's list among a million, beside the model's own answer."""
    made = make(answerer, asked, K, workers=os.cpu_count() or 1, now=0, report=lambda words: None)
    keys = [f"visitor-{n}" for n in range(1_000_000)]
    info = Precomputed(
        kind=Kind.VISITORS, folder="visitors-1", model="recommender@1", snapshot=1, k=K,
        keys=len(keys), lists=len(asked), made_at=datetime(2026, 1, 1),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        land(Path(folder), DEFAULT_TENANT, info, keys, [n % len(asked) for n in range(len(keys))],
             made.lists)  # fmt: skip
        landed = perf_counter() - began
        lookup = PrecomputedLists(Path(folder))
        chosen = np.random.default_rng(1).choice(len(keys), 5_000)
        found, answered, listed = [], [], []
        for n in chosen.tolist():
            began = perf_counter()
            one = lookup(DEFAULT_TENANT, "recommender@1", VisitorId(keys[n]))
            found.append(perf_counter() - began)
            assert one is not None
            query = queries[n % len(asked)]
            began = perf_counter()
            answerer.answer(query)
            answered.append(perf_counter() - began)
            ready = Query(session=query.session, k=K, made=one.made)
            began = perf_counter()
            answerer.answer(ready)
            listed.append(perf_counter() - began)
    f, a, r = (np.median(each) * 1e6 for each in (found, answered, listed))
    print(f"{answerer.model.name}: a million keys written in {landed:.1f} s; a look-up {f:.1f} µs, "
          f"the answer from it {r:.1f} µs; the model's own answer {a:.1f} µs")  # fmt: skip


if __name__ == "__main__":
    main()
