"""The session kNN beside a reference that does the same sums, on the same machine.

    python benchmarks/knn.py [--sessions 126000] [--items 37000] [--data DATA]

* answer: against SciPy's sparse products, sessions × items, for similarity and for scores
* fit: against np.lexsort of the same events by (session, time)

The sessions are made up, in the shape of a shop's (a heavy head, neighbouring items together);
``--data`` takes RetailRocket's instead. One core. SciPy is passed over where it is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wherry.learn.knn import SessionKNN
from wherry.learn.sessions import Sessions
from wherry.learn.split import split

try:
    from scipy import sparse
except ImportError:
    sparse = None

SEED = 1
QUESTIONS = 2000


def made_up(n_sessions: int, n_items: int) -> Sessions:
    rng = np.random.default_rng(SEED)
    lengths = np.minimum(1 + rng.geometric(0.22, n_sessions), 200)
    owner = np.repeat(np.arange(n_sessions), lengths)
    centre = (n_items * rng.random(n_sessions) ** 3)[owner]
    items = (centre + np.abs(rng.standard_cauchy(len(owner))) * 4).astype(np.int64) % n_items
    return Sessions.from_events(
        owner, items, owner * 60_000 + np.arange(len(owner)), n_items=n_items
    )


def retailrocket(folder: Path) -> Sessions:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "retailrocket_srgnn" / "train_sessions.parquet")
    owner = table["session_id"].to_numpy().astype(np.int64)
    items = table["item_id"].to_numpy()
    times = owner * 60_000 + table["pos"].to_numpy()
    return Sessions.from_events(owner, items, times, n_items=int(items.max()) + 1)


def reference(sessions: Sessions, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """Similarity as one sparse product, the k best by argpartition, scores as another."""
    owner = np.repeat(np.arange(len(sessions)), sessions.lengths)
    shape = (len(sessions), sessions.n_items)
    by_session = sparse.csr_matrix(
        (np.ones(sessions.n_events, np.float32), (owner, sessions.items)), shape
    )
    by_session.data[:] = 1
    by_item = by_session.T.tocsr()
    idf = np.log(len(sessions) / np.maximum(np.diff(by_item.indptr), 1)).astype(np.float32)

    def answer(session: np.ndarray) -> np.ndarray:
        items, last = np.unique(session[::-1], return_index=True)
        asked = sparse.csr_matrix(
            ((idf[items] ** 2 / (1 + last)).astype(np.float32), items, [0, len(items)]),
            (1, shape[1]),
        )
        similar = asked @ by_item
        if similar.nnz > k:
            best = np.argpartition(similar.data, similar.nnz - k)[-k:]
            similar = sparse.csr_matrix(
                (similar.data[best], similar.indices[best], [0, k]), (1, shape[0])
            )
        scores = similar @ by_session
        values = scores.data * idf[scores.indices]
        head = np.argpartition(values, -min(20, len(values)))[-20:] if len(values) else []
        return scores.indices[head]

    return answer


def timed(answer: Callable[[np.ndarray], object], questions: list[np.ndarray]) -> np.ndarray:
    """Microseconds of each answer, after a round to warm up."""
    taken = np.empty(len(questions))
    for each in questions[:50]:
        answer(each)
    for place, each in enumerate(questions):
        started = time.perf_counter()
        answer(each)
        taken[place] = time.perf_counter() - started
    return taken * 1e6


def best_of(work: Callable[[], object], rounds: int = 3) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def row(what: str, measured: str, beside: str, ratio: float) -> None:
    print(f"{what:28}{measured:>28}{beside:>34}{ratio:>10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=126_000)
    parser.add_argument("--items", type=int, default=37_000)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    made = not options.data
    sessions = made_up(options.sessions, options.items) if made else retailrocket(options.data)
    window = split(sessions, test_fraction=0.05)
    train, test = window.train, window.test
    print(f"{len(train):,} sessions, {train.n_events:,} events, {train.n_items:,} items")
    model = SessionKNN().fit(train, seed=SEED)
    rng = np.random.default_rng(SEED)
    events = rng.choice(test.n_events, QUESTIONS)
    starts = test.offsets[np.searchsorted(test.offsets, events, side="right") - 1]
    questions = [test.items[lo : hi + 1] for lo, hi in zip(starts, events, strict=True)]

    print(f"{'':28}{'measured':>28}{'reference':>34}{'ratio':>10}")
    fit = best_of(lambda: SessionKNN().fit(train, seed=SEED))
    owner = np.repeat(np.arange(len(train)), train.lengths)
    mixed = rng.permutation(train.n_events)
    keys = (train.times[mixed], owner[mixed])
    sort = best_of(lambda: np.lexsort(keys))
    row("fit", f"{fit:.3f} s", f"lexsort {sort:.3f} s", fit / sort)
    mine = timed(lambda each: model.recommend(each, 20), questions)
    if sparse is None:
        print(f"answer: p50 {np.median(mine):.0f} µs; SciPy is not here, so no reference")
        return
    other = timed(reference(train, model.neighbours), questions)
    for name, share in (("answer p50", 0.5), ("answer p99", 0.99)):
        a, b = np.quantile(mine, share), np.quantile(other, share)
        row(name, f"{a:.0f} µs", f"sparse products {b:.0f} µs", a / b)


if __name__ == "__main__":
    main()
