"""The sampler: whose the processor's time was."""

from __future__ import annotations

import time

from wherry.serve.sampler import OTHER_THREADS, Sampler


def work_until(sampler: Sampler, part: str, counted: float) -> None:
    """Work until so many seconds are counted for a part: a busy machine looks when it can."""
    until = time.thread_time() + 5
    while sampler.seconds[part] <= counted and time.thread_time() < until:
        sum(range(1_000))


def test_time_counts_for_the_closest_name_of_the_innermost_module() -> None:
    sampler = Sampler({"tests": ("test_serve",), "this": (__name__,)}, "rest")
    sampler.start()
    work_until(sampler, "this", 0.05)
    sampler.stop()
    ticked = sampler.seconds["this"]
    assert ticked > 0.05
    assert ticked > 0.9 * (sum(sampler.seconds.values()) - sampler.seconds[OTHER_THREADS])


def test_what_no_part_names_is_the_rest() -> None:
    sampler = Sampler({"nobody": ("no.such.module",)}, "rest")
    sampler.start()
    work_until(sampler, "rest", 0.02)
    sampler.stop()
    assert sampler.seconds["rest"] > 0.02
    assert "nobody" not in sampler.seconds
