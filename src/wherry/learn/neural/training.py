"""Training: the next item by a sampled softmax over cosines, with Adam, epoch by epoch.

JAX does it, on the processor or on a GPU where it finds one; it is the extra
``wherry[neural]``. After each epoch the state lies on disk, where a folder is given: training
that was cut short goes on from there and ends in the same arrays.
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from wherry.domain import Epoch
from wherry.errors import ModelError
from wherry.learn.arrays import load_array, save_arrays
from wherry.learn.embedding import embed
from wherry.learn.neural.batches import Batch, Draw, Pieces, epoch_batches
from wherry.learn.neural.encoders import Encoder, Weights
from wherry.learn.neural.table import MOMENTS, TINY, Table, gather, move
from wherry.learn.sessions import Sessions

INPUT_NORM = 3.0
"""The length of an item's vector as it goes into the encoder."""

CURVE = "curve.json"
"""The file of a training curve, a list of :class:`Epoch`."""

_WARM_UP = 100
_NOISE = 0.1


class Settings(NamedTuple):
    """How a network is trained; see :class:`wherry.learn.neural.network.Network`."""

    dimensions: int
    layers: int
    epochs: int
    rate: float
    dropout: float
    batch: int
    negatives: int
    alpha: float
    temperature: float


class Trained(NamedTuple):
    """The encoder's weights, the items' vectors, (n_items, d), their biases, and the curve."""

    weights: Weights
    table: NDArray[np.float32]
    bias: NDArray[np.float32]
    curve: list[Epoch]


class _State(NamedTuple):
    """What training changes of the encoder: the values, and Adam's two moments of each."""

    values: Weights
    first: Weights
    second: Weights


def train(
    encoder: Encoder,
    sessions: Sessions,
    settings: Settings,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> Trained:
    """Train an encoder and the items' vectors on the sessions.

    Raises:
        ModelError: JAX is not installed, or a checkpoint can't be written.
    """
    _jax()
    pieces = Pieces.of(sessions)
    draw = Draw.of(sessions.item_counts(), settings.alpha, settings.negatives)
    table, state, curve = _begin(encoder, sessions, settings, seed, checkpoint)
    room = np.full(sessions.n_items, -1, dtype=np.int32)
    step = _stepper(encoder, settings)
    per_epoch = pieces.batches(settings.batch)
    total = settings.epochs * per_epoch
    before = curve[-1].seconds if curve else 0.0
    started = time.monotonic()
    for epoch in range(len(curve), settings.epochs if len(pieces.starts) else 0):
        losses = []
        batches = epoch_batches(
            sessions,
            pieces,
            draw,
            tokens=settings.batch,
            negatives=settings.negatives,
            rng=np.random.default_rng([seed, epoch]),
        )
        for count, batch in enumerate(batches, epoch * per_epoch + 1):
            rate = settings.rate * min(1, count / _WARM_UP) * (1 - (count - 1) / total)
            items = np.concatenate((batch.inputs.ravel(), batch.targets.ravel(), batch.negatives))
            state, slopes, loss = step(state, gather(table, items), batch, rate, count, seed)
            move(table, room, items, np.asarray(slopes), rate, count)
            losses.append(float(loss))
        curve.append(Epoch(epoch + 1, float(np.mean(losses)), before + time.monotonic() - started))
        if checkpoint is not None:
            _keep(checkpoint, table, state, curve)
    weights = {name: np.asarray(array) for name, array in state.values.items()}
    return Trained(weights, table.values[:, :-1], table.values[:, -1], curve)


def is_jax_here() -> bool:
    """Whether JAX, and so ``wherry[neural]``, is installed."""
    try:
        _jax()
    except ModelError:
        return False
    return True


def _jax() -> Any:
    # What JAX says of GPUs that are not there is no news to anyone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import jax
    except ImportError as error:
        raise ModelError(
            "The neural models are trained by JAX, which is not installed. "
            'Install it: pip install "wherry[neural]"'
        ) from error
    return jax


def _fresh(
    encoder: Encoder, sessions: Sessions, settings: Settings, seed: int
) -> tuple[Table, _State]:
    """The items' vectors begin as :func:`embed` has them, a tenth of noise added.

    What occurs together is then close from the start, and an epoch or two do for many.
    """
    n_items, d = sessions.n_items, settings.dimensions
    rng = np.random.default_rng([seed, n_items])
    noise = rng.standard_normal((n_items, d), dtype=np.float32) * np.float32(_NOISE / np.sqrt(d))
    values = np.zeros((n_items, d + 1), dtype=np.float32)
    values[:, :-1] = embed(sessions, seed=seed, dimensions=d) + noise
    weights = encoder.weights(d, settings.layers, rng)
    zeros = [{name: np.zeros_like(array) for name, array in weights.items()} for _ in range(2)]
    return Table(values, np.zeros_like(values), np.zeros_like(values)), _State(weights, *zeros)


@functools.lru_cache(maxsize=8)
def _stepper(encoder: Encoder, settings: Settings) -> Callable[..., tuple[_State, Any, Any]]:
    """One step of training, compiled once a shape of batch.

    It takes the encoder's state, the rows of the batch's inputs, targets and negatives, the
    batch, the rate, the number of the step from 1, and the seed; it returns the encoder's new
    state, the slopes of those rows, and the loss.
    """
    jax = _jax()
    xp = jax.numpy

    def loss_of(values: Weights, rows: Any, batch: Batch, key: Any) -> Any:
        def drop(array: Any) -> Any:
            nonlocal key
            if settings.dropout <= 0:
                return array
            key, mine = jax.random.split(key)
            kept = jax.random.bernoulli(mine, 1 - settings.dropout, array.shape)
            return xp.where(kept, array / (1 - settings.dropout), 0)

        unit, bias = _unit(xp, rows[:, :-1]), rows[:, -1]
        n = batch.inputs.size
        is_step = batch.inputs >= 0
        steps = drop(unit[:n].reshape(*batch.inputs.shape, -1) * INPUT_NORM)
        state = encoder(xp, values, steps, is_step, drop)
        state = _unit(xp, state.reshape(n, -1)) * settings.temperature
        targets = batch.targets.reshape(-1)
        right = (state * unit[n : 2 * n]).sum(-1) + bias[n : 2 * n]
        # Sampled softmax: a negative stands for as many items as it was unlikely to be drawn
        # (Bengio and Senécal, 2008); the target itself, where drawn, for none.
        wrong = state @ unit[2 * n :].T + (bias[2 * n :] - batch.log_chances)
        wrong = xp.where(batch.negatives[None] == targets[:, None], -1e9, wrong)
        all_of_them = xp.logaddexp(right, jax.nn.logsumexp(wrong, axis=-1))
        counts = is_step.reshape(-1)
        return xp.where(counts, all_of_them - right, 0).sum() / counts.sum()

    def step(
        state: _State, rows: Any, batch: Batch, rate: Any, count: Any, seed: Any
    ) -> tuple[_State, Any, Any]:
        key = jax.random.fold_in(jax.random.key(seed), count)
        loss, (slope, slopes) = jax.value_and_grad(loss_of, argnums=(0, 1))(
            state.values, rows, batch, key
        )
        return _adam(jax, state, slope, rate, count), slopes, loss

    return jax.jit(step)  # type: ignore[no-any-return]


def _adam(jax: Any, state: _State, slope: Weights, rate: Any, count: Any) -> _State:
    """One step of Adam for the encoder; :func:`.table.move` is that of the items."""
    a, b = MOMENTS
    first = jax.tree.map(lambda m, g: a * m + (1 - a) * g, state.first, slope)
    second = jax.tree.map(lambda v, g: b * v + (1 - b) * g * g, state.second, slope)
    scale = rate * (1 - b**count) ** 0.5 / (1 - a**count)
    values = jax.tree.map(
        lambda x, m, v: x - scale * m / (v**0.5 + TINY), state.values, first, second
    )
    return _State(values, first, second)


def _unit(xp: Any, vectors: Any) -> Any:
    """Vectors of length 1, of any not quite 0."""
    square = (vectors * vectors).sum(axis=-1, keepdims=True)
    return vectors / xp.sqrt(square + np.float32(1e-12))


def _begin(
    encoder: Encoder, sessions: Sessions, settings: Settings, seed: int, checkpoint: Path | None
) -> tuple[Table, _State, list[Epoch]]:
    """The state to go on from: that of a checkpoint, or a fresh one."""
    for folder in (checkpoint, _unfinished(checkpoint)) if checkpoint is not None else ():
        if (folder / CURVE).exists():  # the last file to be written
            curve = msgspec.json.decode((folder / CURVE).read_bytes(), type=list[Epoch])
            names = encoder.weights(settings.dimensions, settings.layers, np.random.default_rng(0))
            parts = [
                {name: load_array(folder / part, name, mmap=False) for name in names}
                for part in _State._fields
            ]
            read = (load_array(folder / "table", name, mmap=False) for name in Table._fields)
            return Table(*(array.copy() for array in read)), _State(*parts), curve
    return *_fresh(encoder, sessions, settings, seed), []


def _keep(checkpoint: Path, table: Table, state: _State, curve: list[Epoch]) -> None:
    """Write a checkpoint beside the last one, then put it in its place."""
    fresh = _unfinished(checkpoint)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for part, values in zip(_State._fields, state, strict=True):
            save_arrays(fresh / part, **{name: np.asarray(a) for name, a in values.items()})
        save_arrays(fresh / "table", **table._asdict())
        (fresh / CURVE).write_bytes(msgspec.json.encode(curve))
        shutil.rmtree(checkpoint, ignore_errors=True)
        fresh.rename(checkpoint)
    except OSError as error:
        raise ModelError(f"{checkpoint} can't be written ({error}). Make room there.") from error


def _unfinished(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.unfinished")
