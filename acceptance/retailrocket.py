"""The packaged models against the published results on RetailRocket.

    python -m acceptance --data DATA retailrocket
    python -m acceptance --data DATA retailrocket-neural

The second has the models with a network in them, which train for minutes, and runs only where it
is named.

Reads ``retailrocket_srgnn`` (see the README beside the data for its origin and licence),
chooses parameters on the tail of train alone, fits on all of train, and asks about all 15,132
test instances: full ranking, ties against the model. Standard errors are by bootstrap over
sessions. Fails if a model misses the figures in ``MUST``, or the better of the two networks
those in ``A_NETWORK_MUST``.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wherry.domain import Params
from wherry.learn.choice import Choice, choose
from wherry.learn.instances import Instances
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.model import Model
from wherry.learn.models import MODELS
from wherry.learn.neural import is_jax_here
from wherry.learn.sessions import Sessions
from wherry.learn.split import Split, split
from wherry.learn.twostage import TwoStage, is_lightgbm_here

FOLDER = "retailrocket_srgnn"
WITH_GRU = "twostage + gru4rec"
MUST = {"knn": (58.9, 31.9), "twostage": (59.7, 33.0), WITH_GRU: (60.5, 33.3)}
"""P@20 and MRR@20 that must be reached."""
A_NETWORK_MUST = (57.0, 30.0)
NETWORKS = ("gru4rec", "sasrec")
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


def run(
    name: str, train: Sessions, test: Instances, model: str = "", params: Params | None = None
) -> Evaluation:
    """Measure a model, called ``name`` in print; without ``params`` they are chosen."""
    model_class = MODELS[model or name]
    started = time.perf_counter()
    choice = Choice(params, ()) if params is not None else _choose(model_class, train)
    chosen_in = time.perf_counter() - started
    started, worked = time.perf_counter(), time.process_time()
    fitted = model_class(**choice.params).fit(train, seed=SEED)
    fitted_in, on_processor = time.perf_counter() - started, time.process_time() - worked
    evaluation = evaluate(fitted, test, popularity=train.item_counts())
    p50, p99 = measure_answers(fitted, test)
    figures = "".join(
        f"{100 * evaluation.values(metric).mean():8.2f} ± {100 * error(evaluation, metric):.2f}"
        for metric in ("hr@20", "mrr@20")
    )
    print(
        f"{name:36}{figures}  fit {fitted_in:.1f} s ({on_processor:.1f} s of processor time), "
        f"answer p50 {p50:.0f} µs, p99 {p99:.0f} µs, on disk {size_of(fitted) / 1e6:.0f} MB, "
        f"peak memory so far {peak_memory():.0f} MB",
        flush=True,
    )
    print(f"    seed {SEED}; chosen in {chosen_in:.0f} s on the tail of train: {choice.params}")
    for trial in sorted(choice.trials, key=lambda trial: -trial.figure)[:3]:
        different = {k: v for k, v in trial.params.items() if v != model_class.grid[0][k]}
        print(f"    validation mrr@20 {trial.figure * 100:.2f}: {different or 'the defaults'}")
    return evaluation


def _choose(model_class: type[Model], train: Sessions) -> Choice:
    return choose(model_class, tails(train), seed=SEED, max_sessions=1500, max_questions=4000)


def peak_memory() -> float:
    """The most that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def accept(data: Path) -> bool:
    """The models that count, and the trees where LightGBM is installed."""
    read = _read(data)
    if read is None:
        return True
    names = [name for name in MODELS if name not in NETWORKS]
    names = [name for name in names if name != "twostage" or is_lightgbm_here()]
    evaluations = {name: run(name, *read) for name in names}
    compare(evaluations, itertools.pairwise(names[1:]))
    return reach(evaluations, MUST)


def accept_neural(data: Path) -> bool:
    """The networks alone, and the two-stage model without one and with one."""
    if not (is_jax_here() and is_lightgbm_here()):
        print('This needs the extras: pip install "wherry[neural,rank]". Passed over.')
        return True
    read = _read(data)
    if read is None:
        return True
    evaluations = {name: run(name, *read) for name in (*NETWORKS, "twostage")}
    params = {**TwoStage.grid[0], "neural": "gru4rec"}
    evaluations[WITH_GRU] = run(WITH_GRU, *read, model="twostage", params=params)
    compare(evaluations, [NETWORKS, ("gru4rec", WITH_GRU), ("twostage", WITH_GRU)])
    better = max(NETWORKS, key=lambda name: evaluations[name].values("mrr@20").mean())
    return reach(evaluations, {better: A_NETWORK_MUST, **MUST})


def _read(data: Path) -> tuple[Sessions, Instances] | None:
    """Train and test, and the published figures printed; None where the data is absent."""
    folder = data / FOLDER
    if not folder.is_dir():
        print(f"{folder} is not there: passed over.")
        return None
    train = read_train(folder)
    test = read_test(folder, train.n_items)
    print(f"{len(train):,} sessions, {train.n_events:,} events, {train.n_items:,} items; ", end="")
    print(f"{len(test):,} instances of {len(np.unique(test.sessions)):,} sessions\n")
    print(f"{'':36}{'P@20':>8}{'':7}{'MRR@20':>8}")
    for name, hr, mrr in PUBLISHED:
        print(f"{name:36}{hr:8.2f}{'':7}{mrr:8.2f}")
    return train, test


def compare(evaluations: dict[str, Evaluation], pairs: Iterable[tuple[str, str]]) -> None:
    """Print how much the second of each pair gains over the first."""
    print("\nIn pairs, MRR@20 with its 95% interval:")
    for one, other in pairs:
        gain = evaluations[other].difference(evaluations[one], "mrr@20")
        bounds = f"[{gain.low * 100:+.2f}, {gain.high * 100:+.2f}]"
        print(f"    {other} over {one}: {gain.value * 100:+.2f} {bounds}")


def reach(evaluations: dict[str, Evaluation], musts: dict[str, tuple[float, float]]) -> bool:
    """Whether each model that was measured reaches what it must, which is printed."""
    short = 0
    for name in (each for each in musts if each in evaluations):
        evaluation = evaluations[name]
        hr, mrr = (100 * evaluation.values(metric).mean() for metric in ("hr@20", "mrr@20"))
        print(f"{name} reaches P@20 {hr:.2f} and MRR@20 {mrr:.2f}; it must reach {musts[name]}")
        short += hr < musts[name][0] or mrr < musts[name][1]
    return not short
