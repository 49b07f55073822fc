"""What a model is: the protocol that candidates follow, packaged ones and a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.errors import ModelError
from wherry.learn.ranking import Ranking
from wherry.learn.sessions import Sessions


@runtime_checkable
class Model(Protocol):
    """A recommender of the next item of a session.

    A class is constructed with its parameters as keywords, each with a default. Sessions and
    answers speak in the vocabulary's numbers; items outside it never reach a model.
    ``wherry.testing.check_model`` runs a class through the laws written here.

    A class may declare ``space`` beside its grid: the ranges in which ``[learn.search]`` looks
    for parameters (:data:`wherry.learn.space.Space`). Without it the grid alone is tried. A model
    that is trained in epochs may have a ``curve``, a list of :class:`wherry.domain.Epoch`, which
    the card shows. One whose answer takes microseconds may rank for many sessions in one call:
    :class:`wherry.learn.questions.RanksMany`.
    """

    name: ClassVar[str]
    """What the model is called in settings, on the leaderboard and in ``model.json``."""

    grid: ClassVar[tuple[Params, ...]]
    """The parameter sets worth trying on a new shop; the first are the defaults."""

    @property
    def params(self) -> Params:
        """The parameters it was constructed with, defaults included."""
        ...

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Learn from sessions and return itself; the same seed gives the same model."""
        ...

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """Score every item as the next of a session, (n_items,), the higher the better.

        ``session`` holds one item or more, the latest last; ``now`` is when the answer is
        asked for, in milliseconds UTC. ``-inf`` marks an item it can say nothing about.
        """
        ...

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of :meth:`score`, best first, fewer if fewer are scored.

        Equal scores go by the item's number, lower first. This is the path that serves.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and arrays as ``.npy`` into a folder: no pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what :meth:`save` wrote; ModelError where it can't be."""
        ...


class ModelFile(msgspec.Struct, frozen=True):
    """The file ``model.json`` of a saved model: which class it is of, and its parameters."""

    model: str
    params: Params

    def save(self, folder: Path) -> None:
        """Write ``model.json`` into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_bytes(msgspec.json.encode(self))

    @classmethod
    def load(cls, folder: Path) -> ModelFile:
        """Read ``model.json``; ModelError if it is missing or says something else."""
        path = folder / "model.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(
                f"{path} can't be read as a saved model ({error}). Fit the model again."
            ) from error


def as_session(session: NDArray[np.int32]) -> NDArray[np.int32]:
    """A session as kernels take it: a fresh int32 array; ModelError if it holds no item."""
    if len(session) == 0:
        raise ModelError("A model was asked about an empty session; use the fallback for those.")
    return np.array(session, dtype=np.int32)
