"""A neural model: an encoder of the session, and the cosine of its state with every item."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import Epoch, Params
from wherry.errors import ModelError
from wherry.learn.arrays import frozen, load_array, save_arrays
from wherry.learn.model import ModelFile, as_session
from wherry.learn.neural.batches import LONGEST
from wherry.learn.neural.encoders import GRU, Attention, Encoder, Weights
from wherry.learn.neural.training import CURVE, INPUT_NORM, Settings, Trained, train
from wherry.learn.ranking import UNSCORED, Ranking, top
from wherry.learn.repeats import count_repeats, share_out
from wherry.learn.sessions import Sessions
from wherry.learn.space import Range, Space

_DEFAULTS: Params = {
    "dimensions": 100,
    "layers": 1,
    "epochs": 6,
    "rate": 0.005,
    "dropout": 0.3,
    "batch": 1024,
    "negatives": 512,
    "alpha": 0.75,
    "temperature": 16.0,
    "confidence": 0.5,
    "repeat": 1.0,
}


class Network:
    """Scores an item by its share of a softmax over the cosines with the session's state.

    1. The last 20 items of the session go through the encoder, as vectors of ``dimensions``
       numbers; its ``layers`` follow one another.
    2. The state's cosine with an item's vector times ``temperature``, plus the item's bias,
       is what the softmax is taken of. The same vectors go in and come out.
    3. A network is surer of itself than it is right. In an answer both are multiplied by
       ``confidence`` before shares are taken (temperature scaling: Guo et al., "On calibration
       of modern neural networks", 2017), so that what is new and what is a repeat are compared
       by what they are worth. Among what is new the order stays.
    4. The session's own items together get the odds of a repeat, as in
       :class:`wherry.learn.knn.SessionKNN`, times ``repeat``.

    Training asks each item of each session for the next, ``epochs`` times over, ``batch`` items
    at once, against ``negatives`` drawn by their events to the power of ``alpha``; each counts
    for as many as it was unlikely to be drawn, so that popular items are not overrated. The
    step begins at ``rate`` and falls to 0. Items that were never seen are unscored.

    A fit needs JAX, an answer doesn't. The same seed gives the same arrays on the same machine.
    """

    name: ClassVar[str]
    encoder: ClassVar[Encoder]
    tolerance: ClassVar[float] = 0.02
    """On another machine sums come out otherwise: metrics then agree within this share."""

    grid: ClassVar[tuple[Params, ...]] = (_DEFAULTS,)
    space: ClassVar[Space] = {
        "dimensions": Range(32, 160),
        "layers": Range(1, 2),
        "rate": Range(0.001, 0.01, log=True),
        "dropout": Range(0.0, 0.5),
        "alpha": Range(0.25, 1.0),
        "temperature": Range(8.0, 24.0),
        "confidence": Range(0.3, 1.0),
    }

    def __init__(
        self,
        *,
        dimensions: int = 100,
        layers: int = 1,
        epochs: int = 6,
        rate: float = 0.005,
        dropout: float = 0.3,
        batch: int = 1024,
        negatives: int = 512,
        alpha: float = 0.75,
        temperature: float = 16.0,
        confidence: float = 0.5,
        repeat: float = 1.0,
    ) -> None:
        if min(dimensions, layers, epochs, batch, negatives) < 1:
            raise ModelError(
                f"{self.name} was given dimensions={dimensions}, layers={layers}, "
                f"epochs={epochs}, batch={batch} and negatives={negatives}; all must be above 0."
            )
        if not 0 <= dropout < 1:
            raise ModelError(
                f"{self.name} was given dropout={dropout}; it must be 0 or more, and under 1."
            )
        if not confidence > 0:
            raise ModelError(f"{self.name} was given confidence={confidence}; it must be above 0.")
        self._settings = Settings(
            dimensions, layers, epochs, rate, dropout, batch, negatives, alpha, temperature
        )
        self._confidence = confidence
        self._repeat = repeat
        self._weights: Weights = {}
        self._table = np.empty((0, dimensions), dtype=np.float32)
        self._bias = np.empty(0, dtype=np.float32)
        self._repeats = np.empty((0, 0, 0), dtype=np.float32)
        self._checkpoint: Path | None = None
        self.curve: list[Epoch] = []

    @property
    def params(self) -> Params:
        """The parameters it was constructed with."""
        rest = {"confidence": self._confidence, "repeat": self._repeat}
        return {**self._settings._asdict(), **rest}

    def checkpoint_in(self, folder: Path) -> None:
        """Keep the state of training in a folder, and go on from what lies there."""
        self._checkpoint = folder

    def fit(self, sessions: Sessions, *, seed: int) -> Self:
        """Train on sessions.

        Raises:
            ModelError: JAX is not installed.
        """
        trained = train(
            self.encoder, sessions, self._settings, seed=seed, checkpoint=self._checkpoint
        )
        is_seen = sessions.item_counts() > 0
        norms = np.linalg.norm(trained.table, axis=1, keepdims=True)
        table = trained.table / np.maximum(norms, 1e-6)
        bias = np.where(is_seen, trained.bias, UNSCORED)
        repeats = count_repeats(sessions.offsets, sessions.items)
        return self._know(trained._replace(table=table, bias=bias), repeats)

    def _know(self, trained: Trained, repeats: NDArray[np.float32]) -> Self:
        self._weights = {name: frozen(a, np.float32) for name, a in trained.weights.items()}
        self._table = frozen(trained.table, np.float32)
        self._bias = frozen(trained.bias, np.float32)
        self._repeats = frozen(repeats, np.float32)
        self.curve = trained.curve
        return self

    def logits(self, session: NDArray[np.int32]) -> NDArray[np.float32]:
        """What the softmax is taken of, (n_items,); ``-inf`` for items that were never seen."""
        if not len(self._bias):
            raise ModelError(f"This {self.name} is not fitted; call fit or load first.")
        latest = as_session(session)[-LONGEST:]
        steps = self._table[latest][None] * np.float32(INPUT_NORM)
        is_step = np.ones((1, len(latest)), dtype=bool)
        state = self.encoder(np, self._weights, steps, is_step, lambda array: array)[0, -1]
        state *= self._settings.temperature / max(float(np.linalg.norm(state)), 1e-6)
        # Not by BLAS, whose threads wait for one another where a machine is busy.
        logits = np.einsum("id,d->i", self._table, state) + self._bias
        return np.asarray(logits * np.float32(self._confidence), dtype=np.float32)

    def score(self, session: NDArray[np.int32], *, now: int | None = None) -> NDArray[np.float32]:
        """The shares, repeats weighed, ``-inf`` for items never seen; see :class:`Model`."""
        scores = self.logits(session)
        share_out(scores, as_session(session), self._repeats, self._repeat)
        return scores

    def recommend(self, session: NDArray[np.int32], k: int, *, now: int | None = None) -> Ranking:
        """The k best of :meth:`score`; see :class:`Model`."""
        return top(self.score(session), k)

    def save(self, folder: Path) -> None:
        """Write ``model.json``, ``curve.json`` and the arrays as ``.npy``."""
        ModelFile(self.name, self.params).save(folder)
        (folder / CURVE).write_bytes(msgspec.json.encode(self.curve))
        save_arrays(folder, table=self._table, bias=self._bias, repeats=self._repeats)
        save_arrays(folder / "weights", **self._weights)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved model back; its arrays stay on disk, shared between processes."""
        model = cls(**ModelFile.load(folder).params)  # type: ignore[arg-type]
        try:
            curve = msgspec.json.decode((folder / CURVE).read_bytes(), type=list[Epoch])
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{folder / CURVE}: {error}. Fit the model again.") from error
        settings = model._settings
        names = cls.encoder.weights(settings.dimensions, settings.layers, np.random.default_rng(0))
        weights = {name: load_array(folder / "weights", name) for name in names}
        table, bias = load_array(folder, "table"), load_array(folder, "bias")
        return model._know(Trained(weights, table, bias, curve), load_array(folder, "repeats"))


class GRU4Rec(Network):
    """Gated recurrent units over the session; see :class:`Network`.

    After Hidasi et al., "Session-based recommendations with recurrent neural networks" (2016),
    and the loss of Hidasi and Karatzoglou (2018): cross-entropy over sampled negatives.
    """

    name: ClassVar[str] = "gru4rec"
    encoder: ClassVar[Encoder] = GRU()


class SASRec(Network):
    """Self-attention over the session; see :class:`Network`.

    After Kang and McAuley, "Self-attentive sequential recommendation" (2018), with a sampled
    softmax in place of one negative an item, which overrates what is popular (Klenitskiy and
    Vasilev, "Turning dross into gold loss", 2023).
    """

    name: ClassVar[str] = "sasrec"
    encoder: ClassVar[Encoder] = Attention()
