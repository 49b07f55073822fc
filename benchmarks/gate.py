"""How often the gate blocks: equal models (it should not), and a loss on one slice (it should).

    python benchmarks/gate.py [--runs 400] [--data DATA]

Each run makes a test window of 6,000 sessions and a family of slices such as a shop's (lengths,
items, categories, brands, prices, countries, hours, devices, weekdays), and holds a challenger
against a champion through the code of the gate, with its defaults. Every second column plants a
loss: on one slice of 2,000 sessions the challenger misses 5% of what it would have found.

What decides is how much the two disagree, so that stands beside the figures: the standard
deviation of the paired difference, of a session, relative to the champion's figure. ``--data``
adds real disagreement: answers of two recipes to RetailRocket's sessions, swapped at random
from session to session, which makes two models that are equal and disagree as those two do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wherry.behave.paired import Paired, compare
from wherry.config import Behave
from wherry.learn.instances import Instances
from wherry.learn.knn import SessionKNN
from wherry.learn.metrics import evaluate
from wherry.learn.model import Model
from wherry.learn.rules import Rules
from wherry.learn.sessions import Sessions
from wherry.learn.split import split

SEED = 1
SESSIONS = 6_000
SLICE = 2_000
LOSS = 0.05
PARTS = {"length": 3, "item": 3, "category": 8, "brand": 8, "price": 4, "country": 6, "hour": 4,
         "device": 3, "weekday": 7}  # fmt: skip
OF_INSTANCE = ("item", "category", "brand", "price")
RULES = Behave()


class Window(NamedTuple):
    """Figures of two equal models, (I,) each, and of which session each instance is."""

    sessions: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray


Maker = Callable[[np.random.Generator], Window]


def made_up(agreement: float, lopsided: bool = False) -> Maker:
    """Models that answer alike with a chance, and else as if they had never met.

    A session has its own difficulty, so that its instances rise and fall together. Where it is
    lopsided the challenger wins a little often, and loses all seldom; the mean is the same.
    """

    def make(rng: np.random.Generator) -> Window:
        lengths = np.minimum(rng.geometric(0.25, SESSIONS), 50)
        sessions = np.repeat(np.arange(SESSIONS), lengths)
        easy = rng.beta(1.2, 0.9, SESSIONS)[sessions]
        champion, other = _figures(rng, easy), _figures(rng, easy)
        if lopsided:
            lost = rng.random(len(easy)) < 0.03
            return Window(sessions, champion, np.where(lost, 0.0, champion / 0.97))
        same = rng.random(len(easy)) < agreement
        return Window(sessions, champion, np.where(same, champion, other))

    return make


def _figures(rng: np.random.Generator, easy: np.ndarray) -> np.ndarray:
    """Reciprocal ranks: found or not, and if so mostly near the top."""
    ranks = np.ceil(20 * rng.random(len(easy)) ** 2.5)
    return np.where(rng.random(len(easy)) < easy, 1 / ranks, 0.0)


def swapped(sessions: np.ndarray, one: np.ndarray, other: np.ndarray) -> Maker:
    """Two real models, made equal: of each session a coin says which is the champion's answer."""
    _, group = np.unique(sessions, return_inverse=True)

    def make(rng: np.random.Generator) -> Window:
        heads = (rng.random(group.max() + 1) < 0.5)[group]
        return Window(group, np.where(heads, one, other), np.where(heads, other, one))

    return make


def slices(rng: np.random.Generator, window: Window) -> np.ndarray:
    """Masks, (S, I): the whole, a slice of 2,000 sessions, and the parts of each dimension."""
    n = window.sessions.max() + 1
    chosen = np.zeros(n, dtype=bool)
    chosen[rng.choice(n, SLICE, replace=False)] = True
    masks = [np.ones(len(window.sessions), dtype=bool), chosen[window.sessions]]
    for name, parts in PARTS.items():
        of = rng.choice(parts, len(window.sessions) if name in OF_INSTANCE else n,
                        p=(w := 1 / np.arange(1, parts + 1)) / w.sum())  # fmt: skip
        of = of if name in OF_INSTANCE else of[window.sessions]
        masks += [of == part for part in range(parts)]
    return np.stack(masks)


def judge(window: Window, masks: np.ndarray, seed: int) -> tuple[np.ndarray, Paired]:
    """Which slices block, with the figures behind it."""
    margins = np.full(len(masks), RULES.slice_margin)
    margins[0] = RULES.margin
    paired = compare(window.sessions, window.champion, window.challenger, masks, seed=seed,
                     significance=RULES.significance, resamples=1000)  # fmt: skip
    return paired.difference < -paired.allowed(margins), paired


def simulate(name: str, make: Maker, runs: int) -> None:
    rng = np.random.default_rng(SEED)
    false, caught, spreads, detectable = [], [], [], []
    for run in range(runs):
        window = make(rng)
        masks = slices(rng, window)
        blocked, paired = judge(window, masks, run)
        false.append(blocked.any())
        spreads.append(paired.errors[1] * np.sqrt(SLICE) / paired.champion[1])
        detectable.append(paired.detectable(np.full(len(masks), RULES.slice_margin))[1])
        lost = masks[1] & (rng.random(len(masks[1])) < LOSS)
        worse = window._replace(challenger=np.where(lost, 0.0, window.challenger))
        blocked, _ = judge(worse, masks, run)
        caught.append(blocked.any())
    print(f"{name:44}{np.mean(spreads):8.2f}{_share(false):>16}{_share(caught):>16}"
          f"{np.median(detectable):12.1%}", flush=True)  # fmt: skip


def _share(found: list[bool]) -> str:
    share = float(np.mean(found))
    return f"{share:.1%} ± {1.96 * np.sqrt(share * (1 - share) / len(found)):.1%}"


def retailrocket(folder: Path) -> dict[str, Maker]:
    """The pairs that real recipes make on the tail of RetailRocket's training sessions."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "retailrocket_srgnn" / "train_sessions.parquet")
    owner = table["session_id"].to_numpy().astype(np.int64)
    items = table["item_id"].to_numpy()
    times = owner * 60_000 + table["pos"].to_numpy()
    all_ = Sessions.from_events(owner, items, times, n_items=int(items.max()) + 1)
    window = split(all_, test_fraction=0.05)
    asked = Instances.of(window.test, since=window.cut)
    counts = window.train.item_counts()
    first, other = SessionKNN.grid[0], SessionKNN.grid[-1]

    def figures(model: Model) -> np.ndarray:
        return evaluate(model.fit(window.train, seed=SEED), asked, popularity=counts).values(
            "mrr@20"
        )

    knn, knn2, rules = figures(SessionKNN(**first)), figures(SessionKNN(**other)), figures(Rules())
    blend = np.where(np.random.default_rng(SEED).random(len(knn)) < 0.5, knn, rules)
    return {
        "RetailRocket: kNN, two sets of parameters": swapped(asked.sessions, knn, knn2),
        "RetailRocket: kNN, half of it rules": swapped(asked.sessions, knn, blend),
        "RetailRocket: kNN and rules": swapped(asked.sessions, knn, rules),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    pairs: dict[str, Maker] = {
        "made up: 90% the same answers": made_up(0.9),
        "made up: 80% the same answers": made_up(0.8),
        "made up: half the same answers": made_up(0.5),
        "made up: wins a little, seldom loses all": made_up(1.0, lopsided=True),
    }
    if arguments.data:
        pairs |= retailrocket(arguments.data)
    family = sum(PARTS.values()) + 2
    print(f"{arguments.runs} runs a line, {family} slices, seed {SEED}; ± is the 95% of the runs")
    print(f"{'':44}{'spread':>8}{'blocks equals':>16}{'blocks the loss':>16}{'detectable':>12}")
    for name, make in pairs.items():
        simulate(name, make, arguments.runs)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
