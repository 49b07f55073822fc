import time

import numpy as np
import pytest

from wherry.learn.cost import Cost, Slo, measure
from wherry.learn.covisits import Covisits
from wherry.learn.instances import Instances
from wherry.learn.popularity import Popularity
from wherry.testing import example_sessions


class Slow(Popularity):
    """Busy for two milliseconds an answer."""

    def recommend(self, session, k, *, now=None):
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        return super().recommend(session, k, now=now)


class Large(Popularity):
    """Holds ten megabytes beside what it saves."""

    @classmethod
    def load(cls, folder):
        model = super().load(folder)
        model.ballast = np.ones(10_000_000, dtype=np.int8)
        return model


class Compiled(Popularity):
    """Takes ten megabytes at the first answer of the process, as what compiles its loop does."""

    def recommend(self, session, k, *, now=None):
        if not hasattr(Compiled, "loop"):
            Compiled.loop = np.ones(10_000_000, dtype=np.int8)
        return super().recommend(session, k, now=now)


def cost_of(model_class, folder) -> Cost:
    sessions = example_sessions()
    model_class().fit(sessions, seed=1).save(folder)
    return measure(model_class, folder, Instances.of(sessions))


def test_what_an_answer_takes_is_told(tmp_path):
    fast, slow = cost_of(Popularity, tmp_path / "fast"), cost_of(Slow, tmp_path / "slow")
    assert 0 < fast.p50_microseconds <= fast.p99_microseconds
    assert slow.p50_microseconds > 2000 > fast.p50_microseconds


def test_files_and_what_is_allocated_count_as_memory(tmp_path):
    small, large = cost_of(Covisits, tmp_path / "small"), cost_of(Large, tmp_path / "large")
    assert small.memory_bytes >= small.size_bytes > 0
    assert large.memory_bytes > 10_000_000 > small.memory_bytes


def test_what_compiles_the_first_answer_is_no_memory_of_the_model(tmp_path):
    assert cost_of(Compiled, tmp_path).memory_bytes < 5_000_000


@pytest.mark.parametrize(
    ("slo", "breach"),
    [
        (Slo(), ""),
        (Slo(p99_ms=8.0, memory_mb=60.0), ""),
        (Slo(p99_ms=5.0), "7.2 ms; [learn.slo] allows 5 ms"),
        (Slo(memory_mb=49.0), "50 MB; [learn.slo] allows 49 MB"),
    ],
)
def test_a_breach_names_the_figure_and_the_bound(slo, breach):
    told = slo.breach(Cost(p99_microseconds=7200.0, memory_bytes=50_000_000))
    assert told.endswith(breach)
    assert bool(told) == bool(breach)
