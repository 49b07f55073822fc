"""The packaged models against the published results on RetailRocket.

    python -m acceptance --data DATA retailrocket

Reads ``retailrocket_srgnn`` (see the README beside the data for its origin and licence),
chooses parameters on the tail of train alone, fits on all of train, and asks about all 15,132
test instances: full ranking, ties against the model. Standard errors are by bootstrap over
sessions. Fails if the kNN or the two-stage model misses the figures in ``MUST``.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wherry.learn.choice import choose
from wherry.learn.instances import Instances
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.model import Model
from wherry.learn.models import MODELS
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split, split
from wherry.learn.twostage import is_lightgbm_here

FOLDER = "retailrocket_srgnn"
MUST = {"knn": (58.9, 31.9), "twostage": (59.7, 33.0)}
"""P@20 and MRR@20 that must be reached."""
SEED = 1
# The files have no clock, only an order: one session a minute spreads them over 88 days.
SESSION_MS = 60_000
PUBLISHED = (
    ("GRU4Rec, as later papers report it", 44.01, 23.67),
    ("NARM", 50.22, 24.59),
    ("STAMP", 50.96, 25.17),
    ("SR-GNN", 50.32, 26.57),
    ("S2-DHCN", 53.66, 27.30),
    ("COTREC", 56.17, 29.97),
)


def read_train(folder: Path) -> Sessions:
    table = pq.read_table(folder / "train_sessions.parquet")
    session = table["session_id"].to_numpy().astype(np.int64)
    items = table["item_id"].to_numpy()
    times = session * SESSION_MS + table["pos"].to_numpy()
    return Sessions.from_events(session, items, times, n_items=int(items.max()) + 1)


def read_test(folder: Path, n_items: int) -> Instances:
    """The prepared instances; prefixes that shorten one another are of the same session."""
    table = pq.read_table(folder / "test_instances.parquet")
    prefixes = table["prefix"].to_pylist()
    is_new = [a[:-1] != b for a, b in zip([[], *prefixes], prefixes, strict=False)]
    targets = table["target"].to_numpy()
    return Instances.prepared(
        prefixes, np.where(targets < n_items, targets, -1), sessions=np.cumsum(is_new) - 1
    )


def measure_answers(model: Model, instances: Instances, n: int = 3000) -> tuple[float, float]:
    """p50 and p99 of one recommend(…, 20), in microseconds."""
    chosen = np.random.default_rng(SEED).choice(len(instances), n)
    taken = np.empty(n)
    for place, i in enumerate(chosen):
        prefix = instances.prefix(int(i))
        started = time.perf_counter()
        model.recommend(prefix, 20)
        taken[place] = time.perf_counter() - started
    return float(np.median(taken) * 1e6), float(np.quantile(taken, 0.99) * 1e6)


def size_of(model: Model) -> int:
    """Bytes of the files of a saved model."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        return sum(file.stat().st_size for file in Path(folder).rglob("*"))


def tails(train: Sessions) -> list[Split]:
    """Windows of a twentieth of the sessions each, the last three, the newest first."""
    windows = [split(train, test_fraction=0.05)]
    for _ in range(2):
        windows.append(split(windows[-1].train, test_fraction=0.05))
    return windows


def error(evaluation: Evaluation, metric: str) -> float:
    """The standard error of a metric: its 95% interval, by bootstrap, is 3.92 of them wide."""
    estimate = evaluation.estimate(metric)
    return (estimate.high - estimate.low) / 3.92


def run(name: str, train: Sessions, test: Instances) -> Evaluation:
    started = time.perf_counter()
    choice = choose(MODELS[name], tails(train), seed=SEED, max_sessions=1500, max_questions=4000)
    chosen_in = time.perf_counter() - started
    started, worked = time.perf_counter(), time.process_time()
    model = MODELS[name](**choice.params).fit(train, seed=SEED)
    fitted_in, on_processor = time.perf_counter() - started, time.process_time() - worked
    evaluation = evaluate(model, test, popularity=train.item_counts())
    p50, p99 = measure_answers(model, test)
    figures = "".join(
        f"{100 * evaluation.values(metric).mean():8.2f} ± {100 * error(evaluation, metric):.2f}"
        for metric in ("hr@20", "mrr@20")
    )
    print(
        f"{name:36}{figures}  fit {fitted_in:.1f} s ({on_processor:.1f} s of processor time), "
        f"answer p50 {p50:.0f} µs, p99 {p99:.0f} µs, on disk {size_of(model) / 1e6:.0f} MB"
    )
    print(f"    seed {SEED}; chosen in {chosen_in:.0f} s on the tail of train: {choice.params}")
    for trial in sorted(choice.trials, key=lambda trial: -trial.figure)[:3]:
        different = {k: v for k, v in trial.params.items() if v != MODELS[name].grid[0][k]}
        print(f"    validation mrr@20 {trial.figure * 100:.2f}: {different or 'the defaults'}")
    return evaluation


def accept(data: Path) -> bool:
    folder = data / FOLDER
    if not folder.is_dir():
        print(f"{folder} is not there: passed over.")
        return True
    started = time.perf_counter()
    train = read_train(folder)
    test = read_test(folder, train.n_items)
    print(f"{len(train):,} sessions, {train.n_events:,} events, {train.n_items:,} items; ", end="")
    print(f"{len(test):,} instances of {len(np.unique(test.sessions)):,} sessions\n")
    print(f"{'':36}{'P@20':>8}{'':7}{'MRR@20':>8}")
    for name, hr, mrr in PUBLISHED:
        print(f"{name:36}{hr:8.2f}{'':7}{mrr:8.2f}")
    names = [name for name in MODELS if name != "twostage" or is_lightgbm_here()]
    evaluations = {name: run(name, train, test) for name in names}
    print("\nIn pairs, MRR@20 with its 95% interval:")
    for one, other in itertools.pairwise(names[1:]):
        gain = evaluations[other].difference(evaluations[one], "mrr@20")
        bounds = f"[{gain.low * 100:+.2f}, {gain.high * 100:+.2f}]"
        print(f"    {other} over {one}: {gain.value * 100:+.2f} {bounds}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - started:.0f} s in all, peak memory {peak:.0f} MB")
    reached = [reaches(evaluations[name], name) for name in MUST if name in names]
    return all(reached)


def reaches(evaluation: Evaluation, name: str) -> bool:
    """Whether a model reaches what it must, which is printed."""
    hr, mrr = (100 * evaluation.values(metric).mean() for metric in ("hr@20", "mrr@20"))
    print(f"{name} reaches P@20 {hr:.2f} and MRR@20 {mrr:.2f}; it must reach {MUST[name]}")
    return bool(hr >= MUST[name][0] and mrr >= MUST[name][1])
