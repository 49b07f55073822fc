"""Reading ``wherry.toml``: what is wrong is named with its key, its line and a remedy."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from wherry.config import Settings, parse_settings, read_settings, reading
from wherry.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("shop = 3", "line 1: shop: ", "got `int`"),
        ("\nshup = 'a'", "line 2: shup: ", "Did you mean 'shop'"),
        ("[serve]\n\nprot = 80", "line 3: serve.prot: ", "Did you mean 'port'"),
        ("serve.prot = 80", "line 1: serve.prot: ", "Did you mean 'port'"),
        ("serve = {prot = 80}", "line 1: serve.prot: ", "Did you mean 'port'"),
        ("[audit]\nmin_events = 1\nmax_gap_hours = '1'", "line 3: audit.max_gap_hours: ", "`str`"),
        ("[audit]\nevent_types = [\n'view', 3]", "line 2: audit.event_types[1]: ", "`int`"),
        ("[learn]\ntest_share = 0.5", "line 2: learn.test_share: ", "< 0.5"),
        ("[learn]\nmetric = 'mrr'", "line 2: learn.metric: ", "(hr|mrr|ndcg)@"),
        ("[learn]\ncandidates = []", "line 2: learn.candidates: ", ">= 1"),
        ("[learn.params.knn]\nk = [1]", "line 2: learn.params.knn.k: ", "`array`"),
        ("[sessions]\ngap_minutes = 0", "line 2: sessions.gap_minutes: ", "> 0"),
        ("[behave]\nmargin = nan", "line 2: behave.margin: ", "`float`"),
        ("[lake]\nmemory_limit = 'lots'", "line 2: lake.memory_limit: ", "regex"),
        ("[lake]\nthreads = -1", "line 2: lake.threads: ", ">= 0"),
        ("[registry]\nname = 'a/b'", "line 2: registry.name: ", "regex"),
        ("lake = 3", "line 1: lake: ", "got `int`"),
        ("[imports.mine]\nprise = 'p'", "line 2: imports.mine.prise: ", "Did you mean 'price'"),
        (
            "[imports.one]\nprice = 'p'\n[imports.'an other']\nprice = {colum = 'p'}",
            "line 4: imports.an other.price.colum: ",
            "Did you mean 'column'",
        ),
        (
            "[imports.mine.price]\ncolumn = 'p'\nunit = 'h'",
            "line 3: imports.mine.price.unit: ",
            "'h'",
        ),
        (
            "[[sources]]\nimport = 'a'\npath = 'b'\n\n[[sources]]\nimport = 'a'",
            "line 5: ",
            "`path`",
        ),
        (
            "[[sources]]\nimport = 'a'\npath = 'b'\n[[sources]]\nimport = 'a'\npath = 3",
            "line 6: sources[1].path: ",
            "`int`",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key_its_line_and_where_to_look(
    text: str, place: str, what: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_settings(text)
    message = str(refusal.value)
    assert message.startswith(f"wherry.toml, {place}")
    assert what in message
    assert "docs/settings.md" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[release]\nmode = 'canry'",
            "line 2: release.mode: there is no 'canry'. Did you mean 'canary'? "
            "It is one of champion, shadow, canary, ab. ",
        ),
        ("[release]\nmode = 3", "line 2: release.mode: Expected `str`, got `int`. It is one of "),
        (
            "[outcomes]\nclicks = [\n'click', 'vew']",
            "line 2: outcomes.clicks[1]: there is no 'vew'. Did you mean 'view'? "
            "It is one of click, view, add, purchase. ",
        ),
        (
            "[imports.mine.occurred_at]\ncolumn = 't'\nunit = 'sec'",
            "line 3: imports.mine.occurred_at.unit: there is no 'sec'. "
            "It is one of s, ms, us, ns. ",
        ),
    ],
)
def test_a_wrong_word_is_told_the_words_that_there_are(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_settings(text)
    assert str(refusal.value).startswith(f"wherry.toml, {says}")


def test_no_words_are_offered_where_any_will_do() -> None:
    with pytest.raises(SettingsError, match="event_types") as refusal:
        parse_settings("[audit]\nevent_types = [3]")
    assert "one of" not in str(refusal.value)


@pytest.mark.parametrize("text", ["[audit", "a = ", "a = 1\na = 2", "\x00"])
def test_what_is_no_toml_is_refused_with_the_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"wherry.toml is not TOML: .*line \d"):
        parse_settings(text)


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse_settings("") == Settings()


def test_a_missing_file_points_to_init(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="wherry init"):
        read_settings(tmp_path / "wherry.toml")


def test_a_file_in_another_encoding_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "wherry.toml"
    path.write_bytes("shop = 'Bücher'".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"wherry\.toml can't be read"):
        read_settings(path)


def test_a_folder_in_place_of_the_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "wherry.toml").mkdir()
    with pytest.raises(SettingsError, match=r"wherry\.toml can't be read"):
        read_settings(tmp_path / "wherry.toml")


def test_whole_numbers_do_where_a_fraction_is_asked_for() -> None:
    assert parse_settings("[sessions]\ngap_minutes = 20").sessions.gap_minutes == 20.0


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(reading).failed == 0


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('action = "blok"', r"rules\[0\]\.action: there is no 'blok'\. Did you mean 'block'"),
        ('action = "boost"\nfactr = 2', r"line 5: .*factr: unknown key\. Did you mean 'factor'"),
        ('action = "boost"\nitems = ["a"]', "missing required field `factor`"),
        ('action = "boost"\nitems = ["a"]\nfactor = 20', r"factor: Expected `float` <= 10\.0"),
        ('action = "block"', "rule 'mine' selects nothing: give it items or where"),
        ('action = "cap"\nattribute = "brand"\nat_most = 0', "at_most: Expected `int` >= 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named_with_its_key(rule: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse_settings(f'[serve]\n[[serve.rules]]\nname = "mine"\n{rule}')


def test_standing_rules_have_names_of_their_own() -> None:
    rule = '[[serve.rules]]\naction = "block"\nitems = ["a"]\n'
    with pytest.raises(SettingsError, match=r"rules\[0\] has no name"):
        parse_settings(rule)
    with pytest.raises(SettingsError, match="two rules have the name 'x'"):
        parse_settings(f'{rule}name = "x"\n{rule}name = "x"')
