import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.domain import Estimate
from wherry.report import numbers


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(numbers) == (0, doctest.testmod(numbers).attempted)
    assert doctest.testmod(numbers).attempted >= 12


@pytest.mark.parametrize("absent", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_is_a_dash(absent):
    assert numbers.metric(absent) == "–"
    assert numbers.figure(absent) == "–"
    assert numbers.seconds(absent) == "–"
    assert numbers.change(0.3, absent) is None
    assert numbers.measured(Estimate(absent, absent, absent)) == "– ± –"


def test_a_metric_that_rounds_to_nothing_has_no_sign():
    assert numbers.metric(-0.0001) == ".000"


def test_a_time_of_another_zone_is_told_in_utc():
    east = timezone(timedelta(hours=2))
    assert numbers.moment(datetime(2026, 1, 1, 1, 0, tzinfo=east)) == "2025-12-31 23:00 UTC"
    assert numbers.moment(datetime(2026, 1, 1, 1, 0, tzinfo=UTC)) == "2026-01-01 01:00 UTC"


def test_a_fact_that_is_no_number_is_told_as_it_is():
    assert numbers.fact("has_catalogue_share", True) == "True"
    assert numbers.fact("gap_seconds", 90) == "1 min 30 s"


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_a_count_reads_back(number):
    assert int(numbers.count(number).replace(",", "").replace("−", "-")) == number


@given(st.floats(min_value=1e-6, max_value=86_400))
def test_a_duration_never_shows_sixty_of_a_unit(duration):
    text = numbers.seconds(duration)
    assert not text.startswith("1000")
    assert not text.startswith("60") or text.endswith(("ms", "µs"))
    assert " 60" not in text
