"""What the script of every rival does: read the sessions, fit in its budget, stream its scores.

It runs in the rival's own environment and knows nothing of Wherry: arrays come in a file, and
out of standard output come one line of JSON and then a row of float32 for each question, which
:mod:`benchmarks.crosscheck` ranks as it ranks its own models.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Prefix = NDArray[np.int32]
Scores = NDArray[np.float32]
SEED = 1
AT_ONCE = 128
ALONE = 200
"""Questions that are asked one by one, to take their time."""


class Told(NamedTuple):
    """What a rival may know: the training sessions and how many items there are."""

    sessions: list[Prefix]
    n_items: int


class Budget(NamedTuple):
    """How long to train: whole epochs at the most, and seconds of processor time."""

    epochs: int
    seconds: float


class Rival(Protocol):
    """A model of another library, behind the two things that are asked of it."""

    def fit(self, told: Told, budget: Budget) -> str:
        """Learn, and say in a few words how far it came."""
        ...

    def score(self, prefixes: list[Prefix]) -> Scores:
        """Every item as the next of each prefix, (prefixes, items); -inf where unscored."""
        ...


class Meter:
    """Hands batches on until the seconds are spent, and counts how far that was."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.epochs = 0.0
        self.start()

    def start(self) -> None:
        """Begin to count: what came before (reading, tables) is not training."""
        self._since = time.process_time()

    @property
    def is_spent(self) -> bool:
        return time.process_time() - self._since >= self._budget.seconds

    def batches(self, loader: Iterable[Any], n_batches: int) -> Iterator[Any]:
        for batch in loader:
            if self.is_spent:
                return
            yield batch
            self.epochs += 1 / n_batches

    def __str__(self) -> str:
        cut = ", CUT OFF by the budget" if self.epochs < self._budget.epochs - 0.01 else ""
        return f"{self.epochs:.3f} of {self._budget.epochs} epochs{cut}"


def curve(losses: list[float]) -> str:
    """The mean loss of each epoch, in words."""
    return "loss by epoch " + " ".join(f"{loss:.2f}" for loss in losses)


def run(rivals: dict[str, Callable[[], Rival]]) -> None:
    """``python by_LIBRARY.py NAME FOLDER EPOCHS SECONDS``: all that a rival's script does."""
    name, folder, epochs, seconds = sys.argv[1:5]
    # Libraries print: what they say goes to the log, only scores to standard output.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    arrays = np.load(Path(folder) / "told.npz")
    told = Told(
        np.split(arrays["items"], arrays["offsets"][1:-1]), int(arrays["n_items"])
    )  # fmt: skip
    asked = np.split(arrays["asked"], arrays["stops"][:-1])
    rival = rivals[name]()
    wall, worked = time.perf_counter(), time.process_time()
    how = rival.fit(told, Budget(int(epochs), float(seconds)))
    wall, worked = time.perf_counter() - wall, time.process_time() - worked
    head = {"how": how, "wall": wall, "worked": worked, "answer_ms": time_alone(rival, asked)}
    answers.write(json.dumps(head).encode() + b"\n")
    for start in range(0, len(asked), AT_ONCE):
        rows = rival.score(asked[start : start + AT_ONCE])
        answers.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
    answers.close()


def time_alone(rival: Rival, asked: list[Prefix]) -> float:
    """Median milliseconds of one question: its scores, and the 20 best of them."""
    taken = []
    for i in np.random.default_rng(SEED).choice(len(asked), min(ALONE, len(asked)), replace=False):
        since = time.perf_counter()
        np.argpartition(-rival.score([asked[i]])[0], 20)[:20]
        taken.append(time.perf_counter() - since)
    return statistics.median(taken) * 1e3
