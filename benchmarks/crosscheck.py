"""Other libraries' models beside Wherry's kNN: one split, one ranking, quality and cost.

    python -m benchmarks.crosscheck --data DATA [--only bm25,recbole-gru4rec] [--minutes 20]

``implicit``, RecTools and RecBole each get an environment of their own (made under ``--envs``,
kept for the next time). They are told the training sessions of ``acceptance/retailrocket.py``
and asked its 15,132 questions; the scores that they stream back are ranked by
``wherry.learn.metrics.evaluate``: the whole catalogue, ties against the model.

A rival trains for so many epochs or minutes of processor time, whichever ends first; twenty are
some ten minutes of two calm cores. A row that was cut off by the budget says so, and is not the
best that its method can do. A rival that can't be installed or run is named with its error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from acceptance.retailrocket import FOLDER, SEED, error, measure_answers, read_test, read_train

from benchmarks.environments import environment
from wherry.learn.instances import Instances
from wherry.learn.knn import SessionKNN
from wherry.learn.metrics import Evaluation, evaluate
from wherry.learn.sessions import Sessions

HERE = Path(__file__).parent / "rivals"
TORCH = "torch==2.13.0"
# RecBole speaks of np.float_, which NumPy 2 has no more, and fills pandas' columns in place.
OLDER = ("numpy==1.26.4", "pandas==2.3.3", "scipy==1.17.1")
ENVIRONMENTS = {
    "implicit": ("implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1"),
    "rectools": ("rectools[torch]==0.19.0", TORCH, *OLDER),
    "recbole": ("recbole==1.2.1", TORCH, *OLDER),
}


class Rival(NamedTuple):
    """Where a model comes from: its environment, its script, its name there, its epochs."""

    library: str
    script: str
    model: str
    epochs: int


RIVALS = {
    "bm25": Rival("implicit", "by_implicit.py", "bm25", 1),
    "als": Rival("implicit", "by_implicit.py", "als", 15),
    "rectools-sasrec": Rival("rectools", "by_rectools.py", "sasrec", 10),
    "recbole-gru4rec": Rival("recbole", "by_recbole.py", "GRU4Rec", 10),
    "recbole-sasrec": Rival("recbole", "by_recbole.py", "SASRec", 10),
}
QUIET = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "disabled",
    # Threads that wait for one another must not spin: their time is on the bill.
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",
    # A softmax over all items takes blocks of 75 MB: kept for the next batch, and not given back
    # to the system and cleared again, they cost a third less.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
}


class Streamed:
    """A model whose scores come out of a pipe, a row for each question in their order."""

    def __init__(self, pipe: IO[bytes], n_items: int) -> None:
        self._pipe, self._n_items = pipe, n_items

    def score(self, session: np.ndarray, *, now: int | None = None) -> np.ndarray:
        data = self._pipe.read(4 * self._n_items)
        if len(data) < 4 * self._n_items:
            raise EOFError("The rival ended before it had answered everything.")
        scores = np.frombuffer(data, dtype=np.float32)
        if np.isnan(scores).any():
            raise ValueError("The rival answered with numbers that are none (NaN).")
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help=f"folder that holds {FOLDER}/")
    parser.add_argument("--only", default="", help=f"of {', '.join(RIVALS)}, with commas")
    parser.add_argument("--minutes", type=float, default=20, help="of processor time a rival")
    parser.add_argument("--epochs", type=int, help="at the most; each rival's own by default")
    parser.add_argument("--envs", type=Path, default=Path(tempfile.gettempdir()) / "wherry-rivals")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(RIVALS)
    if unknown := [name for name in names if name not in RIVALS]:
        parser.error(f"There is no {unknown[0]!r}; there are {', '.join(RIVALS)}.")
    if not (options.data / FOLDER).is_dir():
        parser.error(f"{options.data / FOLDER} is not there; name the folder that holds it.")
    train = read_train(options.data / FOLDER)
    test = read_test(options.data / FOLDER, train.n_items)
    print(f"{len(train):,} sessions, {train.n_items:,} items, {len(test):,} questions; ", end="")
    print(f"budget {options.minutes:g} minutes of processor time; {os.getloadavg()[0]:.0f} waiting")
    print(f"{'':18}{'P@20':>14}{'MRR@20':>15}{'fit s':>9}{'processor s':>13}{'ms an answer':>14}")
    own = measure_own(train, test)
    failed = []
    with tempfile.TemporaryDirectory() as place:
        hand_over(Path(place), train, test)
        for name in names:
            try:
                measure(name, Path(place), train, test, own, options)
            except (subprocess.CalledProcessError, EOFError, ValueError) as problem:
                failed.append(f"{name}: {problem}")
    for each in failed:
        print(f"Left out of the table: {each}")


def measure_own(train: Sessions, test: Instances) -> Evaluation:
    """Wherry's kNN with its defaults, in this process."""
    SessionKNN().fit(train, seed=SEED).recommend(test.prefix(0), 20)  # Numba compiles
    since, worked = time.perf_counter(), time.process_time()
    model = SessionKNN().fit(train, seed=SEED)
    wall, worked = time.perf_counter() - since, time.process_time() - worked
    evaluation = evaluate(model, test, popularity=train.item_counts())
    p50, _ = measure_answers(model, test)
    show("wherry knn", evaluation, wall, worked, p50 / 1e3, "its defaults")
    return evaluation


def hand_over(place: Path, train: Sessions, test: Instances) -> None:
    """Write what a rival may know: training sessions, and the questions without their answers."""
    asked = [test.prefix(i) for i in range(len(test))]
    np.savez(
        place / "told.npz",
        items=train.items,
        offsets=train.offsets,
        n_items=train.n_items,
        asked=np.concatenate(asked),
        stops=np.cumsum([len(prefix) for prefix in asked]),
    )


def measure(
    name: str,
    place: Path,
    train: Sessions,
    test: Instances,
    own: Evaluation,
    options: argparse.Namespace,
) -> None:
    """Train a rival in a process of its own and rank what it streams back."""
    rival = RIVALS[name]
    python = environment(options.envs / rival.library, ENVIRONMENTS[rival.library])
    epochs = options.epochs or rival.epochs
    command = [str(python), str(HERE / rival.script), rival.model, str(place), str(epochs)]
    command.append(str(options.minutes * 60))
    with (
        (place / f"{name}.log").open("w+b") as log,
        subprocess.Popen(
            command, cwd=place, env={**os.environ, **QUIET}, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        assert process.stdout is not None
        try:
            if not (line := process.stdout.readline()):
                raise EOFError(f"it ended with {process.wait()}:\n{tail(log)}")
            head = json.loads(line)
            scores = Streamed(process.stdout, train.n_items)
            evaluation = evaluate(scores, test, popularity=train.item_counts())
        finally:
            process.kill()
    show(name, evaluation, head["wall"], head["worked"], head["answer_ms"], head["how"])
    gain = own.difference(evaluation, "mrr@20")
    print(f"    wherry knn over it, MRR@20 in pairs: {gain.value * 100:+.2f} ", end="")
    print(f"[{gain.low * 100:+.2f}, {gain.high * 100:+.2f}]", flush=True)


def tail(log: IO[bytes]) -> str:
    """The last lines that a rival's process printed."""
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-12:])


def show(
    name: str, evaluation: Evaluation, wall: float, worked: float, answer_ms: float, how: str
) -> None:
    figures = "".join(
        f"{100 * evaluation.values(metric).mean():8.2f} ± {100 * error(evaluation, metric):.2f}"
        for metric in ("hr@20", "mrr@20")
    )
    print(f"{name:18}{figures}{wall:9.1f}{worked:13.1f}{answer_ms:14.2f}  {how}", flush=True)


if __name__ == "__main__":
    main()
