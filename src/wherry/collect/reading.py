"""SQL that reads a file as one row a record, every column by its name.

DuckDB's CSV reader drops the rows behind a stray quote without a word and stops at a mixed
line end. So a text file is read as lines, which it does well, and each line is split
in SQL: as fast, and no line is lost. A record whose quoted value holds a line end has been
put on one line by :func:`~wherry.collect.mending.mend` before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from wherry.collect.lines import MAX_LINE_BYTES
from wherry.collect.mending import LINE_END
from wherry.collect.source import SourceFile
from wherry.collect.values import identifier, literal
from wherry.lake import quote

LINE_REJECTS = "wherry_line_rejects"
"""The temporary table where DuckDB puts the lines that are not even text."""

UNCLOSED = "a quoted value that does not end"

_NO_DELIMITER = "\x1e\x1f\x1e\x1f"


def select_records(source: SourceFile, mended: Path | None = None) -> str:
    """SELECT the records of a file.

    Columns: those of the file, ``__text`` (the line; NULL for Parquet), ``__line`` (the row's
    number from 1, for Parquet alone) and ``__broken`` (why the record can't be split, or
    NULL). ``mended`` is what :func:`~wherry.collect.mending.mend` wrote.
    """
    if source.format == "parquet":
        return (
            "SELECT *, NULL::VARCHAR AS __text, file_row_number + 1 AS __line, "
            "NULL::VARCHAR AS __broken "
            f"FROM read_parquet('{quote(str(source.path))}', file_row_number = true)"
        )
    lines = _select_lines(source, mended)
    if source.format == "ndjson":
        return _select_objects(source, lines)
    return _select_values(source, lines, is_mended=mended is not None)


def _select_lines(source: SourceFile, mended: Path | None) -> str:
    path = quote(str(mended or source.path))
    compression = "none" if mended else source.compression
    # With this new_line each CR and each LF ends a line. Left to itself, DuckDB takes the byte
    # behind every CR for an LF once the first line ended in CRLF.
    header = f" AND text <> {literal(source.header)}" if source.format == "csv" else ""
    return (
        f"SELECT text FROM read_csv('{path}', auto_detect = false, header = false, "
        f"compression = '{compression}', delim = '{_NO_DELIMITER}', quote = '', escape = '', "
        "new_line = '\\n', comment = '', columns = {'text': 'VARCHAR'}, strict_mode = false, "
        f"max_line_size = {MAX_LINE_BYTES}, store_rejects = true, "
        f"rejects_table = '{LINE_REJECTS}', rejects_scan = '{LINE_REJECTS}_scan') "
        f"WHERE text IS NOT NULL AND trim(text, ' \t') <> ''{header}"
    )


def _select_objects(source: SourceFile, lines: str) -> str:
    shape = json.dumps(dict.fromkeys(source.columns, "VARCHAR"), ensure_ascii=False)
    columns = (
        ", ".join(f"__row[{literal(name)}] AS {identifier(name)}" for name in source.columns)
        or "NULL AS __none"
    )
    return (
        f"SELECT {columns}, text AS __text, NULL::BIGINT AS __line, "
        "CASE WHEN __row IS NULL THEN 'the line is not JSON' "
        "WHEN NOT starts_with(ltrim(text), '{') THEN 'the line is not a JSON object' "
        "END AS __broken "
        f"FROM (SELECT text, TRY(json_transform(text, {literal(shape)})) AS __row FROM ({lines}))"
    )


def _select_values(source: SourceFile, lines: str, *, is_mended: bool) -> str:
    mark = literal(source.delimiter)
    pattern = literal(_field_pattern(source.delimiter))
    count = len(source.columns)
    whole = literal('"(?:[^"]|"")*"')
    unquoted = "replace(substr(v, 2, length(v) - 2), '\"\"', '\"')"
    if is_mended:
        unquoted = f"replace({unquoted}, '{LINE_END}', chr(10))"
    columns = ", ".join(
        f"nullif(__row[{position}], '') AS {identifier(name)}"
        for position, name in enumerate(source.columns, start=1)
    )
    return (
        f"SELECT {columns}, text AS __text, NULL::BIGINT AS __line, CASE "
        f"WHEN __quotes AND len(list_filter(__parts, lambda v: starts_with(v, '\"') "
        f"AND NOT regexp_full_match(v, {whole}))) > 0 THEN '{UNCLOSED}' "
        f"WHEN __quotes AND length(array_to_string(__parts, '')) + len(__parts) "
        "<> length(text) + 1 THEN 'text behind the end of a quoted value' "
        f"WHEN len(__row) <> {count} THEN "
        f"printf('%d values where the header has {count}', len(__row)) END AS __broken "
        "FROM (SELECT text, __quotes, __parts, CASE WHEN __quotes THEN "
        "list_transform(__parts, lambda v: CASE WHEN starts_with(v, '\"') AND length(v) > 1 "
        f"THEN {unquoted} ELSE v END) ELSE string_split(text, {mark}) END AS __row "
        f"FROM (SELECT text, contains(text, '\"') AS __quotes, CASE WHEN contains(text, '\"') "
        f"THEN regexp_extract_all({mark} || text, {pattern}, 1) END AS __parts FROM ({lines})))"
    )


def _field_pattern(delimiter: str) -> str:
    mark = re.escape(delimiter)
    return f'{mark}("(?:[^"]|"")*"|[^{mark}]*)'
