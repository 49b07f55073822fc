from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from wherry.errors import ModelError
from wherry.learn.texts import CATEGORY_WEIGHT, read_texts, weigh


def test_words_of_the_name_the_category_and_attributes_count_once_an_item() -> None:
    table = pa.table(
        {
            "item_id": ["b", "a", "unheard of"],
            "name": ["Red Lamp", "LAMP, red red", "X"],
            "category": ["Light", None, "Seat"],
            "attributes": [
                '{"brand": "Red Ox", "tags": ["oak", 5], "weight": 2}',
                None,
                None,
            ],
        }
    )
    a, b = read_texts(["a", "b"], table)
    assert a == {"lamp": 1.0, "red": 1.0}
    words = {"red", "lamp", "light", "ox", "oak"}
    assert b == {**dict.fromkeys(words, 1.0), "category: Light": CATEGORY_WEIGHT}


def test_a_table_that_tells_nothing_gives_no_words() -> None:
    assert read_texts(["a"], pa.table({"item_id": ["a"]})) == [{}]


def test_attributes_that_are_no_object_are_refused() -> None:
    with pytest.raises(ModelError, match="no JSON object"):
        read_texts(["a"], pa.table({"item_id": ["a"], "attributes": ["[1]"]}))


def test_rare_words_weigh_more_and_come_first() -> None:
    texts = [{"lamp": 1.0, "red": 1.0}, {"lamp": 1.0, "blue": 1.0}, {}, {"blue": 1.0, "x": 2.0}]
    terms = weigh([*texts, {"lamp": 1.0}])
    vectors = [
        dict(zip(terms.terms[a:b].tolist(), terms.weights[a:b].tolist(), strict=True))
        for a, b in pairwise(terms.offsets)
    ]
    red, lamp = np.log(4 / 1), np.log(4 / 3)
    assert list(vectors[0].values()) == pytest.approx(
        [red / np.hypot(red, lamp), lamp / np.hypot(red, lamp)]
    )
    assert vectors[2] == {}
    assert list(vectors[4].values()) == pytest.approx([1.0])
    x, blue = 2 * np.log(4), np.log(2)
    assert next(iter(vectors[3].values())) == pytest.approx(x / np.hypot(x, blue))
