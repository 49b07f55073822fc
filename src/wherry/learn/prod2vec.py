"""prod2vec: the items whose vectors lie nearest to those of the session.

After Grbovic et al., "E-commerce in your inbox: product recommendations at scale" (2015).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wherry.domain import Params
from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.model import ModelFile, as_session
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.repeats import LONGEST, count_repeats, share_out
from wherry.learn.sessions import Sessions
from wherry.learn.skipgram import train
from wherry.learn.space import Range, Space

_DEFAULTS: Params = {
    "dimensions": 64,
    "window": 5,
    "negatives": 5,
    "alpha": 0.75,
    "epochs": 3,
    "rate": 0.05,
    "decay": 1.0,
    "temperature": 10.0,
    "repeat": 1.0,
}


def _but(**changes: float) -> Params:
    return {**_DEFAULTS, **changes}


class Prod2Vec:
    """Scores an item by the cosine of its vector with the session's.

    1. The vectors, of ``dimensions`` numbers, are those of
       :func:`wherry.learn.skipgram.train`: items that stand within ``window`` events of the same
       items lie close together. With ``epochs`` of 0 they are those that training begins with,
       :func:`wherry.learn.embedding.embed`.
    2. The session's vector is the sum of its last 50 items', each divided by
       (1 + events since) ** ``decay``. The softmax of ``temperature`` times the cosines is
       each item's share.
    3. The session's own items together get the odds of a repeat, as in
       :class:`wherry.learn.knn.SessionKNN`, times ``repeat``.

    Items that were never seen are unscored.
    """

    name: ClassVar[str] = "prod2vec"
    grid: ClassVar[tuple[Params, ...]] = (_DEFAULTS, _but(epochs=0))
    space: ClassVar[Space] = {
        "dimensions": Range(32, 128, log=True),
        "window": Range(1, 10, log=True),
        "negatives": Range(3, 20, log=True),
        "alpha": Range(-0.5, 1.0),
        "epochs": Range(0, 10),
        "rate": Range(0.01, 0.2, log=True),
        "decay": Range(0.0, 2.0),
        "temperature": Range(6.0, 30.0),
    }

    def __init__(
        self,
        *,
        dimensions: int = 64,
        window: int = 5,
        negatives: int = 5,
        alpha: float = 0.75,
        epochs: int = 3,
        rate: float = 0.05,
        decay: float = 1.0,
        temperature: float = 10.0,
        repeat: float = 1.0,
    ) -> None:
        if min(dimensions, window, negatives, epochs + 1) < 1:
            raise ModelError(
                f"prod2vec was given dimensions={dimensions}, window={window}, "
                f"negatives={negatives} and epochs={epochs}; epochs must be 0 or more, the others "
                "above 0."
            )
        self.dimensions, self.window, self.negatives = dimensions, window, negatives
        self.alpha, self.epochs, self.rate = alpha, epochs, rate
        self.decay, self.temperature, self.repeat = decay, temperature, repeat
        self._vectors = np.empty((0, dimensions), dtype=np.float32)
        self._unseen: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._repeats = np.empty((0, 0, 0), dtype=np.float32)

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        return {name: getattr(self, name) for name in _DEFAULTS}

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Train the items' vectors on the sessions."""
        vectors = train(
            sessions,
            dimensions=self.dimensions,
            window=self.window,
            negatives=self.negatives,
            alpha=self.alpha,
            epochs=self.epochs,
            rate=self.rate,
            seed=seed,
        )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.maximum(lengths, np.finfo(np.float32).tiny)
        return self._know(vectors, count_repeats(sessions.offsets, sessions.items))

    def _know(self, vectors: NDArray[np.float32], repeats: NDArray[np.generic]) -> Self:
        self._vectors = frozen(vectors, np.float32)
        self._unseen = np.asarray(~np.any(self._vectors, axis=1), dtype=np.bool_)
        self._repeats = frozen(repeats, np.float32)
        return self

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The shares, repeats weighed, ``-inf`` for items never seen; see :class:`Model`."""
        if not len(self._vectors):
            raise ModelError("This prod2vec is not fitted; call fit or load first.")
        session = as_session(session)[-LONGEST:]
        since = np.arange(len(session), 0, -1, dtype=np.float32)
        weights = since ** np.float32(-self.decay)
        mean = weights @ self._vectors[session]
        mean *= self.temperature / max(float(np.linalg.norm(mean)), 1e-6)
        # Not by BLAS, whose threads wait for one another where a machine is busy.
        scores = np.asarray(np.einsum("id,d->i", self._vectors, mean), dtype=np.float32)
        scores[self._unseen] = UNSCORED
        share_out(scores, session, self._repeats, self.repeat)
        return scores

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of :meth:`score`; see :class:`Model`."""
        return top(self.score(session), k)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the arrays as ``.npy``."""
        ModelFile(self.name, self.params).save(folder)
        save_arrays(folder, vectors=self._vectors, repeats=self._repeats)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        return model._know(load_array(folder, "vectors"), load_array(folder, "repeats"))
