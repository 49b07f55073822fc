"""What a fitted model costs to serve, measured, and the bounds that a shop sets on it."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np

from wherry.learn.instances import Instances
from wherry.learn.model import Model

_ANSWERS, _WARM_UP = 500, 20
_ALLOCATING_ANSWERS = 50


class Slo(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate must keep to be able to win: milliseconds and megabytes (0: no bound)."""

    p99_ms: float = 0.0
    memory_mb: float = 0.0

    def breach(self, cost: Cost) -> str:
        """What a cost breaks, in words; nothing if it keeps every bound.

        >>> Slo(p99_ms=5.0).breach(Cost(p50_microseconds=90.0, p99_microseconds=7200.0))
        'p99 of one answer is 7.2 ms; [learn.slo] allows 5 ms'
        """
        broken = []
        p99, memory = cost.p99_microseconds / 1e3, cost.memory_bytes / 1e6
        if 0 < self.p99_ms < p99:
            broken.append(
                f"p99 of one answer is {p99:.3g} ms; [learn.slo] allows {self.p99_ms:g} ms"
            )
        if 0 < self.memory_mb < memory:
            broken.append(f"it takes {memory:,.0f} MB; [learn.slo] allows {self.memory_mb:,g} MB")
        return "; ".join(broken)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer of 20 items takes, and the model at rest."""

    p50_microseconds: float = 0.0
    p99_microseconds: float = 0.0
    size_bytes: int = 0
    memory_bytes: int = 0


def measure(model_class: type[Model], folder: Path, instances: Instances) -> Cost:
    """Load a saved model as a server does, and ask it a spread of instances, one at a time.

    Times are those of the processor, not of the clock: other candidates are fitted beside it.
    Memory is at most the sum of the files, which a packaged model maps, and of what loading
    and answering allocates. The first answer on a machine compiles what later ones find compiled,
    and isn't measured.
    """
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _ask(model_class.load(folder), instances, 1)
    tracemalloc.start()
    try:
        model = model_class.load(folder)
        _ask(model, instances, _ALLOCATING_ANSWERS)
        _, allocated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    _ask(model, instances, _WARM_UP)
    taken = _ask(model, instances, _ANSWERS)
    p50, p99 = np.quantile(taken, (0.5, 0.99)) if taken else (0.0, 0.0)
    return Cost(
        p50_microseconds=float(p50),
        p99_microseconds=float(p99),
        size_bytes=size,
        memory_bytes=size + allocated,
    )


def _ask(model: Model, instances: Instances, n: int) -> list[float]:
    """Microseconds of processor time of each of up to n answers."""
    taken = []
    for i in np.linspace(0, len(instances) - 1, min(n, len(instances)), dtype=int):
        prefix, now = instances.prefix(int(i)), int(instances.times[i])
        started = time.thread_time_ns()
        model.recommend(prefix, 20, now=now)
        taken.append((time.thread_time_ns() - started) / 1e3)
    return taken
