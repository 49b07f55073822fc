"""The output: answers and errors in two forms, progress where it can be seen."""

from __future__ import annotations

import json

import msgspec
import pytest

from wherry.cli.output import Output, report_error


class Answer(msgspec.Struct):
    word: str


def test_an_answer_is_text_or_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).answer(Answer("Bücher"), "for people", "[bold]too")
    assert capsys.readouterr().out == "for people\ntoo\n"
    Output(as_json=True).answer(Answer("Bücher"), "for people")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"word": "Bücher"}
    assert err == ""


def test_progress_outside_of_a_terminal_is_a_line_a_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Output(as_json=False).progress() as report:
        for words in ("load", "load: a.csv", "load: b.csv", "transform", "transform: sessions"):
            report(words)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "load\ntransform\n")


def test_with_json_there_is_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=True).progress() as report:
        report("load")
    assert capsys.readouterr() == ("", "")


def test_an_error_goes_to_standard_error_or_is_the_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_error("it broke", "WherryError")
    assert capsys.readouterr() == ("", "wherry: it broke\n")
    report_error("it broke", "WherryError", as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"kind": "WherryError", "message": "it broke"}}
    assert err == ""
