"""The plan of a training flow: which candidates, on which training set, judged how."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import Candidate, Params
from wherry.errors import ModelError
from wherry.learn.choice import draw, sample
from wherry.learn.cost import Slo
from wherry.learn.instances import Instances
from wherry.learn.search import Budget
from wherry.learn.split import Split

MAX_QUESTIONS = 20_000
"""How many instances a candidate is asked about at the most, in whole sessions."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate to be: ``params`` fixes its parameters, None has them chosen.

    ``settings`` are the parameters that the shop has fixed; what is chosen keeps them.
    """

    name: str
    model: str
    params: Params | None = None
    settings: Params = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the tasks of a flow share, as the file ``plan.json``; folders are absolute paths.

    ``search`` is the budget of each candidate's search, ``journal`` the folder that keeps it;
    ``checkpoints`` is where models that are long in training keep how far they are.
    """

    dataset: str
    own_models: str
    entries: tuple[Entry, ...]
    test_share: float
    max_test_sessions: int
    max_validation_sessions: int
    metric: str
    seed: int
    slo: Slo = Slo()
    search: Budget = Budget()
    journal: str = ""
    checkpoints: str = ""

    def save(self, folder: Path) -> None:
        """Write ``plan.json`` into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_bytes(msgspec.json.format(msgspec.json.encode(self)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``plan.json`` back; ModelError where it can't be."""
        path = folder / "plan.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} can't be read as a plan ({error}). Run again.") from error

    def entry(self, name: str) -> Entry:
        """The entry of a name."""
        return next(entry for entry in self.entries if entry.name == name)


def test_instances(window: Split, *, max_sessions: int, seed: int) -> Instances:
    """The questions of a test window, the same for every candidate and for every run.

    Of a large window a seeded sample of whole sessions is asked about; the catalogue is always
    ranked whole.
    """
    return sample(window, seed, max_sessions, MAX_QUESTIONS)


def drawn_sessions(window: Split, *, max_sessions: int, seed: int) -> NDArray[np.int64]:
    """Which of a window's test sessions :func:`test_instances` asks about, by their places."""
    return draw(window, seed, max_sessions, MAX_QUESTIONS)


def write_candidate(folder: Path, candidate: Candidate) -> None:
    """Keep a candidate's line of the leaderboard beside its model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "candidate.json").write_bytes(msgspec.json.encode(candidate))


def read_candidate(folder: Path) -> Candidate:
    """Read a candidate back; ModelError where it can't be."""
    path = folder / "candidate.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Candidate)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path} can't be read ({error}). Run again.") from error
