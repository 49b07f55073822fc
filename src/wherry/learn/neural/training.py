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
from wherry.learn.neural.batches import Batch, Draw, Pieces, epoch_batches
from wherry.learn.neural.encoders import Encoder, Weights
from wherry.learn.sessions import Sessions

INPUT_NORM = 3.0
"""The length of an item's vector as it goes into the encoder."""

CURVE = "curve.json"
"""The file of a training curve, a list of :class:`Epoch`."""

_WARM_UP = 100
_MOMENTS = (0.9, 0.98)
_TINY = 1e-8


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
    """What training changes: the values, and Adam's two moments of each."""

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
    jax = _jax()
    pieces = Pieces.of(sessions)
    draw = Draw.of(sessions.item_counts(), settings.alpha, settings.negatives)
    state, curve = _begin(encoder, sessions.n_items, settings, seed, checkpoint)
    step = _stepper(encoder, settings)
    state = jax.device_put(state)
    per_epoch = pieces.batches(settings.batch)
    count, total = len(curve) * per_epoch, settings.epochs * per_epoch
    before = curve[-1].seconds if curve else 0.0
    started = time.monotonic()
    for epoch in range(len(curve), settings.epochs if len(pieces.starts) else 0):
        losses = []
        rng = np.random.default_rng([seed, epoch])
        for batch in epoch_batches(
            sessions,
            pieces,
            draw,
            tokens=settings.batch,
            negatives=settings.negatives,
            rng=rng,
        ):
            state, loss = step(state, batch, count, total, seed)
            losses.append(loss)
            count += 1
        mean = float(np.mean([float(loss) for loss in losses]))
        curve.append(Epoch(epoch + 1, mean, before + time.monotonic() - started))
        if checkpoint is not None:
            _keep(checkpoint, state, curve)
    values = {name: np.asarray(array) for name, array in state.values.items()}
    return Trained(values, values.pop("table"), values.pop("bias"), curve)


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


def _fresh(encoder: Encoder, n_items: int, settings: Settings, seed: int) -> Weights:
    rng = np.random.default_rng([seed, n_items])
    d = settings.dimensions
    table = rng.standard_normal((n_items, d), dtype=np.float32) / np.float32(np.sqrt(d))
    values = encoder.weights(d, settings.layers, rng)
    return {**values, "table": table, "bias": np.zeros(n_items, dtype=np.float32)}


@functools.lru_cache(maxsize=8)
def _stepper(
    encoder: Encoder, settings: Settings
) -> Callable[[_State, Batch, int, int, int], tuple[_State, Any]]:
    """One step of training: the ``count``-th of ``total``; compiled once a shape of batch.

    Of the items' vectors only those of the batch are looked at and moved (lazy Adam), so a step
    costs the same whatever the size of the catalogue.
    """
    jax = _jax()
    xp = jax.numpy

    def loss_of(values: Weights, batch: Batch, key: Any) -> Any:
        def drop(array: Any) -> Any:
            nonlocal key
            if settings.dropout <= 0:
                return array
            key, mine = jax.random.split(key)
            kept = jax.random.bernoulli(mine, 1 - settings.dropout, array.shape)
            return xp.where(kept, array / (1 - settings.dropout), 0)

        unit = _unit(xp, values["table"])
        is_step = batch.inputs >= 0
        steps = drop(unit[xp.maximum(batch.inputs, 0)] * INPUT_NORM)
        state = encoder(xp, values, steps, is_step, drop)
        state = _unit(xp, state.reshape(-1, state.shape[-1])) * settings.temperature
        targets = xp.maximum(batch.targets.reshape(-1), 0)
        right = (state * unit[targets]).sum(-1) + values["bias"][targets]
        wrong = state @ unit[batch.negatives].T + values["bias"][batch.negatives]
        # Sampled softmax: a negative stands for as many items as it was unlikely to be drawn
        # (Bengio and Senécal, 2008); the target itself, where drawn, for none.
        wrong = wrong - batch.log_chances
        wrong = xp.where(batch.negatives[None] == targets[:, None], -1e9, wrong)
        all_of_them = xp.logaddexp(right, jax.nn.logsumexp(wrong, axis=-1))
        counts = is_step.reshape(-1)
        return xp.where(counts, all_of_them - right, 0).sum() / counts.sum()

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: _State, batch: Batch, count: Any, total: Any, seed: Any) -> tuple[_State, Any]:
        key = jax.random.fold_in(jax.random.key(seed), count)
        parts = [_part(values, batch.items) for values in state]
        loss, slope = jax.value_and_grad(loss_of)(parts[0], batch, key)
        rate = settings.rate * xp.minimum(1, (count + 1) / _WARM_UP) * (1 - count / total)
        moved = _adam(jax, _State(*parts), slope, rate, count + 1)
        whole = [_whole(old, new, batch.items) for old, new in zip(state, moved, strict=True)]
        return _State(*whole), loss

    def _part(values: Weights, items: Any) -> Weights:
        rows = {name: values[name].at[items].get(mode="clip") for name in ("table", "bias")}
        return {**values, **rows}

    def _whole(old: Weights, new: Weights, items: Any) -> Weights:
        rows = {n: old[n].at[items].set(new[n], mode="drop") for n in ("table", "bias")}
        return {**new, **rows}

    return step  # type: ignore[no-any-return]


def _adam(jax: Any, state: _State, slope: Weights, rate: Any, count: Any) -> _State:
    """One step of Adam (Kingma and Ba, 2015)."""
    a, b = _MOMENTS
    first = jax.tree.map(lambda m, g: a * m + (1 - a) * g, state.first, slope)
    second = jax.tree.map(lambda v, g: b * v + (1 - b) * g * g, state.second, slope)
    scale = rate * (1 - b**count) ** 0.5 / (1 - a**count)
    values = jax.tree.map(
        lambda x, m, v: x - scale * m / (v**0.5 + _TINY), state.values, first, second
    )
    return _State(values, first, second)


def _unit(xp: Any, vectors: Any) -> Any:
    """Vectors of length 1, of any not quite 0."""
    square = (vectors * vectors).sum(axis=-1, keepdims=True)
    return vectors / xp.sqrt(square + np.float32(1e-12))


def _begin(
    encoder: Encoder, n_items: int, settings: Settings, seed: int, checkpoint: Path | None
) -> tuple[_State, list[Epoch]]:
    """The state to go on from: that of a checkpoint, or a fresh one."""
    fresh = _fresh(encoder, n_items, settings, seed)
    for folder in (checkpoint, _unfinished(checkpoint)) if checkpoint is not None else ():
        if (folder / CURVE).exists():  # the last file to be written
            curve = msgspec.json.decode((folder / CURVE).read_bytes(), type=list[Epoch])
            parts = [
                {name: load_array(folder / part, name, mmap=False) for name in fresh}
                for part in _State._fields
            ]
            return _State(*parts), curve
    zeros = [{name: np.zeros_like(array) for name, array in fresh.items()} for _ in range(2)]
    return _State(fresh, *zeros), []


def _keep(checkpoint: Path, state: _State, curve: list[Epoch]) -> None:
    """Write a checkpoint beside the last one, then put it in its place."""
    fresh = _unfinished(checkpoint)
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for part, values in zip(_State._fields, state, strict=True):
            save_arrays(fresh / part, **{name: np.asarray(a) for name, a in values.items()})
        (fresh / CURVE).write_bytes(msgspec.json.encode(curve))
        shutil.rmtree(checkpoint, ignore_errors=True)
        fresh.rename(checkpoint)
    except OSError as error:
        raise ModelError(f"{checkpoint} can't be written ({error}). Make room there.") from error


def _unfinished(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.name}.unfinished")
