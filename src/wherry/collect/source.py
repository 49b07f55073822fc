"""A file to import: its format, its compression and its columns, found by looking at it."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
import pyarrow as pa

from wherry.collect.lines import Compression, read_lines
from wherry.errors import SourceError
from wherry.lake import quote

Format = Literal["csv", "ndjson", "parquet"]

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_DELIMITERS = ",;\t|"
_SAMPLED_LINES = 1_000


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that can be imported.

    ``columns`` maps the name of each column to its DuckDB type, in the file's order; in a
    text file all are ``VARCHAR``. ``header`` is the text of a CSV's header line.
    """

    path: Path
    format: Format
    compression: Compression
    columns: dict[str, str]
    delimiter: str = ","
    header: str = ""

    def has(self, name: str) -> str | None:
        """The column of this name, as the file spells it; the case does not matter."""
        wanted = name.casefold()
        return next((column for column in self.columns if column.casefold() == wanted), None)


def find_files(pattern: str, base: Path) -> tuple[Path, ...]:
    """The files that a path or a pattern with ``*`` names, sorted by name.

    ``base`` is what a relative one is relative to.

    Raises:
        SourceError: If there is none.
    """
    path = base / pattern
    if path.exists():
        return (path,)
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    files = tuple(file for file in found if file.is_file())
    if not files:
        raise SourceError(f"{path}: no such file. Check the path, or the pattern's *.")
    return files


def inspect(con: duckdb.DuckDBPyConnection, path: Path) -> SourceFile:
    """Look at a file: which format, which compression, which columns.

    Raises:
        SourceError: If the file is missing, a folder, empty, unreadable or of no known format.
    """
    kind, compression = _by_suffix(path)
    if path.is_dir():
        raise SourceError(f"{path} is a folder. Name its files: '{path}/*.parquet'")
    if not path.exists():
        raise SourceError(f"{path}: no such file. Check the path.")
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty. Export it again.")
        if kind == "parquet":
            return _inspect_parquet(con, path)
        if kind == "ndjson":
            return _inspect_ndjson(path, compression)
        return _inspect_csv(path, compression)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read: {error}") from error


def fingerprint(path: Path, *circumstances: bytes) -> str:
    """Hash a file's bytes, and whatever else decides what an import of it gives.

    Raises:
        SourceError: If the file can't be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error}") from error
    for part in circumstances:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _by_suffix(path: Path) -> tuple[Format, Compression]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1] if suffixes else "", "none")
    if compression != "none":
        suffixes.pop()
    kind = _FORMATS.get(suffixes[-1] if suffixes else "")
    if kind is None or (kind == "parquet" and compression != "none"):
        raise SourceError(
            f"{path}: the name says no format that can be imported. Use .csv, .ndjson, .jsonl "
            "(each also with .gz or .zst after it) or .parquet."
        )
    return kind, compression


def _inspect_parquet(con: duckdb.DuckDBPyConnection, path: Path) -> SourceFile:
    try:
        rows = con.execute(f"DESCRIBE FROM read_parquet('{quote(str(path))}')").fetchall()
    except duckdb.Error as error:
        raise SourceError(f"{path} is no Parquet file that can be read: {error}") from error
    columns = {row[0]: row[1] for row in rows}
    return SourceFile(path=path, format="parquet", compression="none", columns=columns)


def _inspect_csv(path: Path, compression: Compression) -> SourceFile:
    header = _decode(path, next((ln for ln in read_lines(path, compression) if ln), b""))
    if not header:
        raise SourceError(f"{path} holds nothing but blank lines. Export it again.")
    splits = {mark: next(csv.reader([header], delimiter=mark), []) for mark in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda mark: len(splits[mark]))
    names: dict[str, str] = {}
    for position, name in enumerate(splits[delimiter], start=1):
        clean = name.strip() or f"column{position}"
        taken = {known.casefold() for known in names}
        names[clean if clean.casefold() not in taken else f"{clean}_{position}"] = "VARCHAR"
    return SourceFile(
        path=path,
        format="csv",
        compression=compression,
        columns=names,
        delimiter=delimiter,
        header=header,
    )


def _inspect_ndjson(path: Path, compression: Compression) -> SourceFile:
    names: dict[str, str] = {}
    seen = False
    filled = (line for line in read_lines(path, compression) if line.strip())
    for line in islice(filled, _SAMPLED_LINES):
        if not seen and line.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            raise SourceError(f"{path} is a JSON array. Write one object a line instead (NDJSON).")
        seen = True
        for name in _keys(line):
            if name.casefold() not in {known.casefold() for known in names}:
                names[name] = "VARCHAR"
    if not seen:
        raise SourceError(f"{path} holds nothing but blank lines. Export it again.")
    return SourceFile(path=path, format="ndjson", compression=compression, columns=names)


def _keys(line: bytes) -> list[str]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # The import itself rejects this line, with its number.
        return []
    return [key for key in value if _is_plain(key)] if isinstance(value, dict) else []


def _is_plain(name: str) -> bool:
    """Whether a JSON key can name a column: DuckDB takes no NUL, and UTF-8 no lone surrogate."""
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _decode(path: Path, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path}: the header is not UTF-8 ({error.reason} at byte {error.start}). "
            "Convert the file: iconv -f latin1 -t utf-8"
        ) from None
