from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.serve.limits import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_the_next_is_told_when_to_come_back() -> None:
    clock = Clock()
    limit = RateLimit(2.0, 3.0, clock=clock)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now += 0.5
    assert limit.take("a") == 0
    assert limit.take("a") == 1


def test_keys_do_not_spend_each_others_tokens() -> None:
    limit = RateLimit(1.0, 1.0, clock=Clock())
    assert [limit.take("a"), limit.take("b"), limit.take("a")] == [0, 0, 1]


def test_who_waits_as_told_is_let_through() -> None:
    clock = Clock()
    limit = RateLimit(0.1, 10.0, clock=clock)
    assert limit.take("a", 10) == 0
    wait = limit.take("a", 5)
    assert wait == 50
    clock.now += wait
    assert limit.take("a", 5) == 0


def test_a_batch_larger_than_the_bucket_has_its_turn_and_is_paid_for() -> None:
    clock = Clock()
    limit = RateLimit(10.0, 20.0, clock=clock)
    assert limit.take("a", 100) == 0
    assert limit.take("a") == 9
    clock.now += 9
    assert limit.take("a") == 0


def test_a_rate_of_zero_limits_nothing() -> None:
    limit = RateLimit(0.0, 1.0, clock=Clock())
    assert [limit.take("a") for _ in range(100)] == [0] * 100


def test_the_longest_unused_key_is_forgotten_first() -> None:
    limit = RateLimit(1.0, 1.0, most_buckets=2, clock=Clock())
    for key in ("a", "b", "a", "c"):
        limit.take(key)
    assert len(limit._buckets) == 2
    assert limit.take("a") == 1
    assert limit.take("b") == 0


def test_a_clock_that_stands_still_or_goes_back_gives_no_tokens_away() -> None:
    clock = Clock()
    limit = RateLimit(1.0, 1.0, clock=clock)
    assert limit.take("a") == 0
    clock.now -= 100
    assert limit.take("a") > 0


@given(
    rate=st.floats(0.1, 100),
    burst=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 150)), max_size=60),
)
def test_what_is_let_through_never_exceeds_the_rate(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    clock = Clock()
    limit = RateLimit(rate, burst, clock=clock)
    spent, largest = 0.0, 0.0
    for pause, tokens in steps:
        clock.now += pause
        if limit.take("a", tokens) == 0:
            spent += tokens
            largest = max(largest, tokens)
    elapsed = clock.now - 1000.0
    assert spent <= burst + largest + rate * elapsed + 1e-6
