from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from serve_shop import IDS, N, items_table
from wherry.domain import Filter, Range
from wherry.errors import ModelError, UsageError
from wherry.learn.catalogue import Catalogue, word


def matching(catalogue: Catalogue, wanted: Filter) -> list[int]:
    return np.flatnonzero(catalogue.matching(wanted)).tolist()


SHOWABLE = [code for code in range(N) if code % 10]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, SHOWABLE),
        ({"category": "c1"}, [code for code in SHOWABLE if code % 4 == 1]),
        ({"category": ["c1", "c2"]}, [code for code in SHOWABLE if code % 4 in (1, 2)]),
        ({"category": "c1", "brand": "b0"}, [c for c in SHOWABLE if c % 4 == 1 and c % 3 == 0]),
        ({"tags": "all"}, SHOWABLE),
        ({"tags": 1}, [code for code in SHOWABLE if code % 2]),
        ({"tags": "1"}, [code for code in SHOWABLE if code % 2]),
        ({"brand": "nobody"}, []),
        ({"brand": []}, []),
        ({"price": Range(5, 8)}, [5, 6, 7, 8]),
        ({"price": Range(None, 3)}, [1, 2, 3]),
        ({"price": Range(38, None)}, [38, 39]),
    ],
)
def test_a_filter_keeps_what_may_be_shown_and_has_all_that_is_wanted(
    wanted: Filter, expected: list[int]
) -> None:
    assert matching(Catalogue.from_table(IDS, items_table()), wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"brnad": "b1"}, "Did you mean 'brand'"),
        ({"brand": Range(1, 2)}, "price alone"),
        ({"price": 5}, "range"),
        ({"price": Range(5, 1)}, "swap"),
        ({"price": Range(float("nan"), 1)}, "empty"),
    ],
)
def test_a_filter_that_makes_no_sense_says_why(wanted: Filter, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Catalogue.from_table(IDS, items_table()).matching(wanted)


def test_an_item_that_was_told_to_be_available_exists_though_the_catalogue_lacks_it(
    tmp_path: Path,
) -> None:
    at = [datetime(2026, 3, 1, 12) if code == 7 else None for code in range(N + 1)]
    listed = [code != 7 for code in range(N + 1)]
    table = items_table(in_catalogue=listed, available_told_at=at)
    catalogue = Catalogue.from_table(IDS, table)
    assert matching(catalogue, {"price": Range(6, 8)}) == [6, 7, 8]
    assert catalogue.told_at[6:9].tolist() == [0, 1_772_366_400_000_000, 0]
    catalogue.save(tmp_path)
    assert Catalogue.load(tmp_path).told_at.tolist() == catalogue.told_at.tolist()
    (tmp_path / "told_at.npy").unlink()  # as a release from before has it
    assert not Catalogue.load(tmp_path).told_at.any()


def test_an_item_that_a_catalogue_lacks_does_not_exist() -> None:
    table = items_table(in_catalogue=[code != 7 for code in range(N + 1)])
    assert matching(Catalogue.from_table(IDS, table), {"price": Range(6, 8)}) == [6, 8]
    assert matching(Catalogue.from_table([*IDS, "gone"], items_table()), {}) == SHOWABLE


def test_where_there_is_no_catalogue_every_item_seen_may_be_shown() -> None:
    table = pa.table({"item_id": IDS, "in_catalogue": [False] * N, "price": [None] * N})
    catalogue = Catalogue.from_table(IDS, table)
    assert matching(catalogue, {}) == list(range(N))
    assert matching(catalogue, {"price": Range(0, None)}) == []
    assert catalogue.names == (None,) * N
    assert matching(Catalogue.unknown(3), {}) == [0, 1, 2]


def test_the_category_of_an_item_that_no_session_has_seen_is_known() -> None:
    catalogue = Catalogue.from_table(IDS, items_table())
    row = catalogue.facets["category"]["c2"]
    assert catalogue.category_of("new") == row == catalogue.categories[2]
    assert catalogue.category_of("unheard of") == -1


def test_a_saved_catalogue_comes_back_equal(tmp_path: Path) -> None:
    before = Catalogue.from_table(IDS, items_table())
    before.save(tmp_path)
    after = Catalogue.load(tmp_path)
    assert after.names == before.names
    assert after.facets == before.facets
    assert after.elsewhere == before.elsewhere
    for name in ("showable", "prices", "categories", "offsets", "members"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_a_catalogue_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    Catalogue.from_table(IDS, items_table()).save(tmp_path)
    Catalogue.unknown(3).save(tmp_path / "other")
    (tmp_path / "other" / "prices.npy").rename(tmp_path / "prices.npy")
    with pytest.raises(ModelError, match="fit together"):
        Catalogue.load(tmp_path)
    (tmp_path / "catalogue.json").write_text("{")
    with pytest.raises(ModelError, match=r"catalogue\.json"):
        Catalogue.load(tmp_path)


def test_attributes_that_are_no_object_name_the_item() -> None:
    with pytest.raises(ModelError, match="'i1'"):
        Catalogue.from_table(["i1"], pa.table({"item_id": ["i1"], "attributes": ["[1]"]}))
    with pytest.raises(ModelError, match="item_id"):
        Catalogue.from_table(["i1"], pa.table({"id": ["i1"]}))


def test_texts_and_nested_attributes_are_nothing_to_filter_by() -> None:
    told = '{"story":"' + "x" * 300 + '","size":{"cm":3},"sold":true,"stars":4.0,"none":null}'
    catalogue = Catalogue.from_table(["a"], pa.table({"item_id": ["a"], "attributes": [told]}))
    assert {name: list(values) for name, values in catalogue.facets.items() if values} == {
        "sold": ["true"],
        "stars": ["4"],
    }


def test_a_value_is_spelled_alike_wherever_it_comes_from() -> None:
    assert [word(True), word(5), word(5.0), word(2.5), word("x")] == ["true", "5", "5", "2.5", "x"]
