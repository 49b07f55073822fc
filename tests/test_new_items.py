"""An item that nobody has clicked yet is recommended by its texts, from the catalogue onwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from wherry.cli import main

Wherry = Callable[..., Any]


@pytest.fixture
def wherry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Wherry:
    """Runs a command in the current folder; the document that it answers with."""

    def run(*words: str | Path) -> Any:
        monkeypatch.setattr(sys, "argv", ["wherry", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert end.value.code == 0, out + err
        return json.loads(out)

    return run


def tell_of_a_new_item(file: Path, like: str) -> None:
    """A file of one item more, called as another is and one word besides."""
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT 'default' AS tenant, 'brand-new' AS item_id, name || ' Plus' AS name, "
            f"category, price, true AS available FROM '{file.with_name('items.parquet')}' "
            f"WHERE item_id = '{like}') TO '{file}'"
        )


def test_a_new_item_of_the_catalogue_is_shown_to_sessions_that_it_is_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wherry: Wherry
) -> None:
    monkeypatch.chdir(tmp_path)
    wherry("simulate", "data", "--events", "16000", "--days", "25")
    wherry("init", "shop")
    monkeypatch.chdir(tmp_path / "shop")
    Path("wherry.toml").write_text(
        'shop = "shop"\n[lake]\nthreads = 1\n[learn]\ncandidates = ["popularity", "rules"]\n'
        "max_validation_sessions = 200\n"
        "[behave]\nmargin = 0.5\nslice_margin = 1.0\nmax_answer_ms = 1000\n"
    )
    wherry("import", "wherry-items", "../data/items.parquet")
    wherry("import", "wherry", "../data/events*.parquet")
    wherry("run")
    like = wherry("recommend", "nobody knows this", "-k", "1")["items"][0]["item"]
    before = wherry("recommend", like, "-k", "10")
    assert "brand-new" not in [each["item"] for each in before["items"]]

    tell_of_a_new_item(tmp_path / "data" / "new.parquet", like)
    wherry("import", "wherry-items", "../data/new.parquet")
    (tenant,) = wherry("run")["tenants"]
    assert tenant["release"]["version"] == 2

    after = wherry("recommend", like, "-k", "10", "--why")
    assert after["from_model"] > 1
    (new,) = (each for each in after["items"] if each["item"] == "brand-new")
    assert new["name"].endswith(" Plus")
    assert new["why"]["parts"][0]["carrier"] == "content"
    assert new["why"]["parts"][0]["item"] == like

    # A session of nothing but the new item gets what it is like, not what is popular.
    unheard = wherry("recommend", "brand-new", "-k", "3")
    assert unheard["fallback"] == "similar"
    assert like in [each["item"] for each in unheard["items"]]

    # Rebuilt from its snapshot, the release is the same, its content included.
    assert wherry("reproduce", "recommender@2")["is_same"]
