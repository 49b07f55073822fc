"""Encoders: from the items of a session so far to a vector of what comes next.

Each is one function over an array module, ``xp``: JAX's while it is trained, NumPy's while it
answers. So what answers is what was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wherry.learn.neural.batches import LONGEST

Weights = dict[str, Any]
"""Arrays by name, all float32."""

Dropout = Callable[[Any], Any]
"""Sets some of an array's numbers to 0 while training; returns it as it is while answering."""


class Encoder(Hashable, Protocol):
    """A network over sequences of vectors; ``(rows, steps, d)`` in, the same shape out."""

    def weights(self, d: int, layers: int, rng: np.random.Generator) -> Weights:
        """Fresh weights."""
        ...

    def __call__(self, xp: Any, weights: Weights, steps: Any, is_step: Any, drop: Dropout) -> Any:
        """The state after each step; ``is_step`` (rows, steps) is false where a row has ended."""
        ...


class GRU:
    """Gated recurrent units (Cho et al., 2014), as in GRU4Rec (Hidasi et al., 2016)."""

    def weights(self, d: int, layers: int, rng: np.random.Generator) -> Weights:
        """Uniform within 1 / sqrt(d); the output begins as the identity."""
        bound = 1 / np.sqrt(d)
        found: Weights = {"output": np.eye(d, dtype=np.float32)}
        for layer in range(layers):
            for name in ("input", "hidden"):
                drawn = rng.uniform(-bound, bound, (d, 3 * d))
                found[f"{name}{layer}"] = drawn.astype(np.float32)
            found[f"bias{layer}"] = np.zeros(3 * d, dtype=np.float32)
        return found

    def __call__(self, xp: Any, weights: Weights, steps: Any, is_step: Any, drop: Dropout) -> Any:
        """See :class:`Encoder`."""
        layer = 0
        while f"input{layer}" in weights:
            fed = steps @ weights[f"input{layer}"] + weights[f"bias{layer}"]
            steps = drop(_recur(xp, weights[f"hidden{layer}"], fed))
            layer += 1
        return steps @ weights["output"]


def _recur(xp: Any, hidden: Any, fed: Any) -> Any:
    """Run the units over the steps, (rows, steps, 3 d) to (rows, steps, d)."""
    d = hidden.shape[0]
    state = xp.zeros((fed.shape[0], d), dtype=fed.dtype)

    def step(state: Any, given: Any) -> Any:
        own = xp.einsum("rd,de->re", state, hidden)  # see Network.logits: not by BLAS
        gates = 1 / (1 + xp.exp(-(given[:, : 2 * d] + own[:, : 2 * d])))
        update, reset = gates[:, :d], gates[:, d:]
        new = xp.tanh(given[:, 2 * d :] + reset * own[:, 2 * d :])
        return state + update * (new - state)

    if xp is np:
        states = []
        for place in range(fed.shape[1]):
            state = step(state, fed[:, place])
            states.append(state)
        return np.stack(states, axis=1)
    import jax

    _, states = jax.lax.scan(lambda s, x: (step(s, x),) * 2, state, xp.swapaxes(fed, 0, 1))
    return xp.swapaxes(states, 0, 1)


class Attention:
    """Self-attention that looks back only (Kang and McAuley, "SASRec", 2018), one head a layer."""

    def weights(self, d: int, layers: int, rng: np.random.Generator) -> Weights:
        """Normal with deviation 1 / sqrt(d); what is added to a step begins near 0."""

        def normal(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
            drawn = rng.standard_normal(shape, dtype=np.float32)
            return drawn * np.float32(scale / np.sqrt(shape[0]))

        found: Weights = {
            "places": (rng.standard_normal((LONGEST, d)) * 0.05).astype(np.float32),
            "norm": np.ones(d, dtype=np.float32),
        }
        for layer in range(layers):
            for name in ("query", "key", "value"):
                found[f"{name}{layer}"] = normal(d, d)
            found[f"mix{layer}"] = normal(d, d, scale=0.2)
            found[f"wide{layer}"] = normal(d, 4 * d)
            found[f"narrow{layer}"] = normal(4 * d, d, scale=0.2)
            for name in ("norm_mix", "norm_wide"):
                found[f"{name}{layer}"] = np.ones(d, dtype=np.float32)
        return found

    def __call__(self, xp: Any, weights: Weights, steps: Any, is_step: Any, drop: Dropout) -> Any:
        """See :class:`Encoder`."""
        length, d = steps.shape[1], steps.shape[2]
        seen = np.tril(np.ones((length, length), dtype=bool)) & is_step[:, None, :]
        state = drop(steps + weights["places"][:length])
        layer = 0
        while f"query{layer}" in weights:
            normal = _norm(xp, state, weights[f"norm_mix{layer}"])
            asked, offered = normal @ weights[f"query{layer}"], normal @ weights[f"key{layer}"]
            likeness = asked @ xp.swapaxes(offered, 1, 2) / np.float32(np.sqrt(d))
            likeness = xp.where(seen, likeness, np.float32(-1e9))
            shares = xp.exp(likeness - likeness.max(axis=-1, keepdims=True))
            shares = shares / shares.sum(axis=-1, keepdims=True)
            mixed = shares @ (normal @ weights[f"value{layer}"])
            state = state + drop(mixed @ weights[f"mix{layer}"])
            wide = _norm(xp, state, weights[f"norm_wide{layer}"]) @ weights[f"wide{layer}"]
            wide = wide / (1 + xp.exp(-wide))
            state = state + drop(wide @ weights[f"narrow{layer}"])
            layer += 1
        return _norm(xp, state, weights["norm"])


def _norm(xp: Any, values: Any, scale: Any) -> Any:
    """Root mean square normalisation (Zhang and Sennrich, 2019)."""
    square = (values * values).mean(axis=-1, keepdims=True)
    return values / xp.sqrt(square + np.float32(1e-6)) * scale
