"""Content hashes: equal for equal bags of rows, and only for those."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from wherry.lake import Lake, content_hash, content_hashes

Rows = list[tuple[int | None, str | None]]
ROWS = st.lists(
    st.tuples(st.none() | st.integers(-2, 2), st.none() | st.text("ab", max_size=2)), max_size=6
)


def _hash(rows: Rows) -> str:
    con = duckdb.default_connection()
    con.execute("CREATE OR REPLACE TEMP TABLE t (n INTEGER, word VARCHAR)")
    if rows:
        con.executemany("INSERT INTO t VALUES (?, ?)", rows)
    return content_hash(con, "t")


@given(ROWS, ROWS)
def test_hashes_are_equal_just_where_the_bags_of_rows_are(one: Rows, other: Rows) -> None:
    assert (_hash(one) == _hash(other)) == (Counter(one) == Counter(other))


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: Rows, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _hash(shuffled) == _hash(rows)


def test_every_table_of_a_schema_is_hashed(tmp_path: Path) -> None:
    with Lake(tmp_path / "lake", threads=1).writer() as con:
        con.execute("CREATE SCHEMA lake.marts")
        con.execute('CREATE TABLE lake.marts."odd name" AS SELECT 1 AS n')
        con.execute("CREATE TABLE lake.marts.other AS SELECT 1 AS n")
        con.execute("CREATE TABLE lake.main.elsewhere AS SELECT 1 AS n")
        hashes = content_hashes(con, "marts")
        assert list(hashes) == ["odd name", "other"]
        assert hashes["odd name"] == hashes["other"]
        con.execute("INSERT INTO lake.marts.other VALUES (2)")
        assert content_hashes(con, "marts")["other"] != hashes["other"]
