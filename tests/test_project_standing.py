from __future__ import annotations

from pathlib import Path

import pytest

from wherry.config import parse_settings, read_settings
from wherry.project.standing import StandingRules

NAME = "wherry.toml"
BLOCK = """
[[serve.rules]]
name = "{name}"
action = "block"
items = ["tent"]
"""


def names(rules: StandingRules) -> list[str]:
    return [rule.name for rule in rules()]


def opened(folder: Path, text: str) -> StandingRules:
    (folder / NAME).write_text(text)
    return StandingRules(folder / NAME, read_settings(folder / NAME))


def test_rules_hold_as_soon_as_they_stand_in_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wherry")
    rules = opened(tmp_path, "")
    assert names(rules) == []
    assert caplog.text == ""
    (tmp_path / NAME).write_text(BLOCK.format(name="no tents"))
    assert names(rules) == ["no tents"]
    assert f"{tmp_path / NAME} have changed; now: no tents." in caplog.text
    (tmp_path / NAME).write_text("")
    assert names(rules) == []
    assert "now: none." in caplog.text
    assert "Other settings" not in caplog.text


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("[[serve.rules]]\nname = 'x'\naction = 'blok'\n", "line 3: serve.rules[0].action"),
        ("[[serve.rules", "is not TOML"),
        (None, "does not exist"),
    ],
)
def test_a_broken_file_leaves_the_rules_that_hold_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str | None, told: str
) -> None:
    rules = opened(tmp_path, BLOCK.format(name="no tents"))
    assert names(rules) == ["no tents"]
    path = tmp_path / NAME
    path.unlink() if broken is None else path.write_text(broken)
    assert names(rules) == names(rules) == ["no tents"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "stay as they were" in record.message
    assert told in record.message
    path.write_text(BLOCK.format(name="mended"))
    assert names(rules) == ["mended"]


def test_a_file_that_was_broken_is_told_to_be_mended_also_where_no_rule_has_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wherry")
    rules = opened(tmp_path, BLOCK.format(name="no tents"))
    for text in ("[[serve", BLOCK.format(name="no tents"), BLOCK.format(name="no tents") + "#"):
        (tmp_path / NAME).write_text(text)
        assert names(rules) == ["no tents"]
    _, mended = caplog.records
    assert mended.message.endswith("can be read again; the standing rules: no tents.")


def test_other_settings_wait_for_the_next_start_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = opened(tmp_path, "")
    rules()
    (tmp_path / NAME).write_text("[serve]\nk = 5\n")
    assert names(rules) == []
    assert "count once it is started again" in caplog.text


def test_a_change_between_the_start_and_the_first_look_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(BLOCK.format(name="no tents"))
    assert names(StandingRules(tmp_path / NAME, parse_settings(""))) == ["no tents"]
