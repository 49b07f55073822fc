"""The paired comparison of two models on many slices at once.

For slice s with the instances i, of session j(i), let d = challenger − champion in the metric:

* difference  ``D = Σ d / N``, N the instances of the slice
* its error   ``E² = n / (n − 1) · Σ_j (Σ_{i of j} (d_i − D))² / N²`` over all n sessions of the
  window: instances of one session rise and fall together
* noise       the 1 − ``significance`` quantile, over resamples of whole sessions, of the
  largest of all slices' ``(D − D*) / E``

A loss ``−D`` beyond ``noise · E`` comes in no slice at all in all but ``significance`` of the
comparisons of two equal models, however the slices overlap: the single-step max-T procedure
(Westfall and Young, 1993; Romano and Wolf, 2005). E is taken from the window itself, not from each
resample: a slice in which hardly a session differs would else make any noise seem possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000

_BLOCK = 100  # resamples at once, so that their weights stay in the cache
_POWER_Z = 1.2816
"""The 90% quantile of the normal distribution."""

_NO_ERROR = 1e-9


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models beside each other on S slices; all arrays (S,) but ``noise``.

    ``champion`` and ``difference`` are means of the metric, ``errors`` the standard errors of
    the difference, ``sessions`` how many have an instance in the slice. ``noise`` is the
    number of standard errors that the largest loss of all slices stays within, by chance alone.
    """

    champion: NDArray[np.float64]
    difference: NDArray[np.float64]
    errors: NDArray[np.float64]
    sessions: NDArray[np.int64]
    noise: float

    def allowed(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """The loss that is let pass: the margin, relative to the champion, or the noise."""
        return np.maximum(margins * self.champion, self.noise * self.errors)

    def detectable(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """The true loss, relative to the champion, that would be caught nine times in ten."""
        loss = self.allowed(margins) + _POWER_Z * self.errors
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.champion > 0, loss / self.champion, np.inf)


def compare(
    sessions: NDArray[np.int32],
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    masks: NDArray[np.bool_],
    *,
    seed: int,
    significance: float = 0.04,
    resamples: int = RESAMPLES,
) -> Paired:
    """Compare two models' figures, (I,) each, on slices given as masks, (S, I), none empty.

    ``sessions`` (I,) says of which session each instance is. The same seed gives the same noise.

    >>> values = np.array([1.0, 0.0, 0.5, 0.5])
    >>> everything = np.ones((1, 4), dtype=bool)
    >>> compare(np.arange(4), values, values, everything, seed=1).difference.tolist()
    [0.0]
    """
    _, group = np.unique(sessions, return_inverse=True)
    n = int(group.max()) + 1 if len(group) else 0
    counts = masks.sum(axis=1)
    losses = champion - challenger
    difference = -(masks @ losses) / counts
    influence = np.empty((n, len(masks)))
    present = np.empty(len(masks), dtype=np.int64)
    for s, mask in enumerate(masks):
        centred = (losses[mask] + difference[s]) / counts[s]
        influence[:, s] = np.bincount(group[mask], weights=centred, minlength=n)
        present[s] = np.count_nonzero(np.bincount(group[mask], minlength=n))
    errors = np.sqrt((influence**2).sum(axis=0) * n / max(n - 1, 1))
    errors[errors < _NO_ERROR] = 0.0
    is_noisy = errors > 0
    scaled = (influence[:, is_noisy] / errors[is_noisy]).astype(np.float32)
    return Paired(
        champion=masks @ champion / counts,
        difference=difference,
        errors=errors,
        sessions=present,
        noise=_noise(scaled, seed, significance, resamples),
    )


def _noise(scaled: NDArray[np.float32], seed: int, significance: float, resamples: int) -> float:
    """The quantile of the largest resampled loss; ``scaled`` (n, S) sums to 0 in each slice."""
    n, slices = scaled.shape
    if slices == 0:
        return 0.0
    rng = np.random.default_rng(seed)
    largest: list[NDArray[np.float32]] = []
    for start in range(0, resamples, _BLOCK):
        size = (min(_BLOCK, resamples - start), n)
        drawn = rng.integers(0, n, size, dtype=np.int32)
        weights = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float32)
        largest.append((weights @ scaled).max(axis=1))
    return float(np.quantile(np.concatenate(largest), 1 - significance))
