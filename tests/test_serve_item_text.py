"""Items are written as Python itself writes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.serve.item_text import ItemTexts

HEADS = [b'{"item":"a","score":', '{"item":"b\u00e9","name":"B","score":'.encode(), b'{"c":']

FLOATS = st.floats(width=32, min_value=-999_999_936, max_value=999_999_936)


def expected(items: list[int], scores: np.ndarray) -> bytes:
    return b",".join(
        b"%b%.6f}" % (HEADS[item], score)
        for item, score in zip(items, scores.tolist(), strict=True)
    )


def write(items: list[int], scores: np.ndarray) -> bytes | None:
    return ItemTexts(HEADS).write(np.array(items, dtype=np.int32), scores)


@given(st.lists(st.tuples(st.integers(0, 2), FLOATS), max_size=30))
@settings(max_examples=300, deadline=None)
def test_every_float32_below_a_billion_is_written_as_python_writes_it(
    rows: list[tuple[int, float]],
) -> None:
    items = [item for item, _ in rows]
    scores = np.array([score for _, score in rows], dtype=np.float32)

    assert write(items, scores) == expected(items, scores)


def test_halves_go_to_the_even_digit_and_a_zero_keeps_its_sign() -> None:
    scores = np.array([1.5 / 2**6, 2.5 / 2**6, 0.0000005, -0.0, -1e-12, 0.9999999], np.float32)
    scores = np.concatenate((scores, np.array([0.5**7, 3 * 0.5**7, 5 * 0.5**7], np.float32)))
    items = [0] * len(scores)

    assert write(items, scores) == expected(items, scores)


def test_no_items_are_no_bytes() -> None:
    assert write([], np.empty(0, dtype=np.float32)) == b""


@pytest.mark.parametrize(
    "scores",
    [
        np.array([0.5, np.inf], np.float32),
        np.array([np.nan, 0.5], np.float32),
        np.array([0.5, 1e9], np.float32),
        np.array([0.5, 0.25], np.float64),
    ],
)
def test_what_can_not_be_written_is_said(scores: np.ndarray) -> None:
    assert write([0, 1], scores) is None


@pytest.mark.parametrize("item", [-1, 3])
def test_a_number_that_is_no_items_is_said(item: int) -> None:
    assert write([0, item], np.array([2, 1], np.float32)) is None


def test_arrays_that_are_read_only_or_have_strides_are_read_alike() -> None:
    scores = np.array([0.25, 9, 0.5, 9], dtype=np.float32)[::2]
    scores.flags.writeable = False

    assert write([2, 0], scores) == expected([2, 0], scores)
