"""What a file is, and what is wrong with it, said before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect_shop import write
from wherry.collect import find_files, inspect
from wherry.collect.source import fingerprint
from wherry.errors import SourceError


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    ("name", "kind", "compression"),
    [
        ("Log.CSV", "csv", "none"),
        ("log.csv.gz", "csv", "gzip"),
        ("log.2026-01-01.tsv.zst", "csv", "zstd"),
        ("log.ndjson", "ndjson", "none"),
        ("log.jsonl.gz", "ndjson", "gzip"),
    ],
)
def test_the_name_says_format_and_compression(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, kind: str, compression: str
) -> None:
    text = '{"a": 1, "b": 2}' if kind == "ndjson" else "a,b"
    path = write(tmp_path / name, [text])
    source = inspect(con, path)
    assert (source.format, source.compression) == (kind, compression)
    assert list(source.columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "columns", "mark"),
    [
        ("a,b,c", ["a", "b", "c"], ","),
        ("a;b,x;c", ["a", "b,x", "c"], ";"),
        ("a\tb", ["a", "b"], "\t"),
        ("a|b", ["a", "b"], "|"),
        ('"a, b;c",d', ["a, b;c", "d"], ","),
        ("a", ["a"], ","),
        ("a,,A,b ", ["a", "column2", "A_3", "b"], ","),
        ("\ufeffa,b", ["a", "b"], ","),
    ],
)
def test_the_header_names_the_columns_and_shows_what_separates_them(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, header: str, columns: list[str], mark: str
) -> None:
    source = inspect(con, write(tmp_path / "log.csv", ["", header, "1,2"]))
    assert (list(source.columns), source.delimiter) == (columns, mark)


def test_the_columns_of_ndjson_are_the_keys_of_its_first_objects(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [
        '{"a": 1}',
        "broken",
        "[3]",
        '{"B": {"c": 1}, "A": 2}',
        '{"x\\u0000": 1, "\\ud800": 1}',
    ]
    assert list(inspect(con, write(tmp_path / "log.ndjson", lines)).columns) == ["a", "B"]


def test_the_columns_of_parquet_keep_their_types(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"n": [1], "t": ["x"]}), tmp_path / "log.parquet")
    assert inspect(con, tmp_path / "log.parquet").columns == {"n": "BIGINT", "t": "VARCHAR"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "is empty"),
        ("log.csv", b"\n\r\n", "nothing but blank lines"),
        ("log.ndjson", b"\n \n", "nothing but blank lines"),
        ("log.csv", b"a,\xe9,c\n1,2,3", "the header is not UTF-8.*iconv"),
        ("log.json", b'[\n{"a": 1}]', "is a JSON array. Write one object a line"),
        ("log.parquet", b"PAR1 no", "is no Parquet file"),
        ("log.csv.gz", b"not gzip", "can't be read"),
        ("log.csv.zst", b"not zstd", "can't be read"),
        ("log.xlsx", b"x", "no format that can be imported. Use .csv"),
        ("log", b"x", "no format that can be imported"),
        ("log.parquet.gz", b"x", "no format that can be imported"),
    ],
)
def test_a_file_that_can_t_be_imported_is_refused_with_the_remedy(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        inspect(con, path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="no such file"):
        inspect(con, tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match=r"is a folder\. Name its files"):
        inspect(con, tmp_path / "folder.csv")


def test_a_pattern_names_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "deep/c.csv", "other.txt", "odd[1].csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in find_files("?.csv", tmp_path)] == ["a.csv", "b.csv"]
    assert [p.name for p in find_files("**/c.csv", tmp_path)] == ["c.csv"]
    assert find_files("odd[1].csv", tmp_path) == (tmp_path / "odd[1].csv",)
    assert find_files(str(tmp_path / "a.csv"), Path("/")) == (tmp_path / "a.csv",)
    with pytest.raises(SourceError, match=r"x\*.csv: no such file"):
        find_files("x*.csv", tmp_path)


def test_a_fingerprint_knows_the_bytes_and_the_circumstances(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a")
    two.write_bytes(b"a")
    assert fingerprint(one, b"x", b"y") == fingerprint(two, b"x", b"y")
    assert len({fingerprint(one, *parts) for parts in ((b"x", b"y"), (b"xy",), (b"",), ())}) == 4
    two.write_bytes(b"b")
    assert fingerprint(one) != fingerprint(two)
