"""Records of several lines become one line; stray quotes stay where they are."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.collect.mending import LINE_END, join_records


def joined(text: str, columns: int = 2, mark: str = ",") -> list[str]:
    records = join_records(text.encode().split(b"\n"), mark, columns)
    return [record.decode().replace(LINE_END, "⏎") for record in records]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('1,2\n"a\nb",2', ["1,2", '"a⏎b",2']),
        ('1,"a\n\n\nb"\n3,4', ['1,"a⏎⏎⏎b"', "3,4"]),
        ('1,"a ""q""\n""b"\n3,4', ['1,"a ""q""⏎""b"', "3,4"]),
        ('1,"stray\n3,4\n5,"6"', ['1,"stray', "3,4", '5,"6"']),
        ('1,"stray\n3,4', ['1,"stray', "3,4"]),
        ('1,5" tv\n3,4"', ['1,5" tv', '3,4"']),
        ('"a\nb",2,3\n4,5', ['"a', 'b",2,3', "4,5"]),
        ('1,"stray\n2,"a\nb"\n3,4', ['1,"stray', '2,"a⏎b"', "3,4"]),
    ],
)
def test_lines_are_joined_where_a_record_comes_of_it(text: str, records: list[str]) -> None:
    assert joined(text) == records


def test_a_record_that_never_ends_is_given_up_after_some_lines() -> None:
    lines = ['1,"open', *["x,y"] * 1000, 'close"']
    assert joined("\n".join(lines)) == lines


CELLS = st.text(alphabet='ab"\n ,', max_size=6)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), mark=st.sampled_from(",;\t|"))
def test_what_a_writer_of_csv_wrote_comes_back_row_by_row(
    rows: list[tuple[str, str, str]], mark: str
) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=mark, lineterminator="\n").writerows(rows)
    text = file.getvalue().removesuffix("\n")
    assert len(joined(text, 3, mark)) == max(1, len(rows))
