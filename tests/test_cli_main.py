"""The commands as programs call them: one JSON document, the right exit code, no traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wherry.cli import main


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: object
    out: str
    err: str


Wherry = Callable[..., Done]


@pytest.fixture
def wherry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Wherry:
    """Runs a command in a folder, within this process: starting one for each takes seconds."""

    def run(*words: str | Path, cwd: Path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["wherry", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return Done(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def as_json(wherry: Wherry) -> Callable[..., Any]:
    """Runs a command with ``--json``; its one document."""

    def run(*words: str | Path, cwd: Path, code: int = 0) -> Any:
        done = wherry(*words, "--json", cwd=cwd)
        assert done.code == code, done
        assert "Traceback" not in done.err
        return json.loads(done.out)

    return run


def test_the_package_is_a_program_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "wherry init" in done.stderr
    assert done.stdout == ""


def test_every_command_answers_with_one_json_document(shop: Path, as_json: Any) -> None:
    shown = as_json("status", cwd=shop)
    assert shown["tenants"][0]["champion"]["version"] == 1
    shown = as_json("releases", cwd=shop)
    assert shown["champion"] == 1
    assert len(shown["releases"]) == 1
    assert Path(as_json("card", cwd=shop)["card"]).exists()
    assert as_json("recommend", "nobody knows", "-k", "3", cwd=shop / "models")["items"]
    told = as_json("recommend", "nobody knows", "-k", "1", "--why", cwd=shop / "models")
    assert told["items"][0]["why"]["words"].startswith("popular")
    (made,) = as_json("precompute", "--of", "items", "--k", "3", cwd=shop)
    assert made["keys"] > 0
    assert Path(made["file"]).exists()
    record = as_json("run", cwd=shop)
    assert {stage["outcome"] for stage in record["stages"]} == {"nothing new"}
    (load,) = as_json("import", "wherry", shop / "data" / "events*.parquet", cwd=shop)
    assert load["taken"] == 0


def test_a_new_project_is_made_and_found_again(tmp_path: Path, as_json: Any) -> None:
    made = as_json("init", "my shop", cwd=tmp_path)
    assert Path(made["settings"]).exists()
    assert as_json("status", "-C", "my shop", cwd=tmp_path)["tenants"] == []
    again = as_json("init", "my shop", cwd=tmp_path, code=2)
    assert "already" in again["error"]["message"]


def test_a_simulated_shop_is_made(tmp_path: Path, as_json: Any) -> None:
    made = as_json("simulate", "data", "--events", "500", "--days", "2", cwd=tmp_path)
    assert made["events"] > 0
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize(
    ("words", "code", "value", "remedy"),
    [
        (["status"], 2, "no wherry.toml", "wherry init"),
        (["run", "--bogus"], 2, "--bogus", ""),
        (["import"], 2, "source", ""),
        (["nonsense"], 2, "nonsense", ""),
        (["demo", "--shop", "jurney"], 2, "'jurney'", "Did you mean 'journey'"),
    ],
)
def test_wrong_use_is_a_document_with_what_is_wrong(
    tmp_path: Path,
    words: list[str],
    code: int,
    value: str,
    remedy: str,
    as_json: Any,
    wherry: Wherry,
) -> None:
    message = as_json(*words, cwd=tmp_path, code=code)["error"]["message"]
    assert value in message
    assert remedy in message
    told = wherry(*words, cwd=tmp_path)
    assert told.code == code
    assert told.out == ""
    assert value in told.err
    assert "Traceback" not in told.err


def test_what_makes_no_sense_in_a_project_is_told_and_nothing_breaks(
    shop: Path, as_json: Any
) -> None:
    for words, code, value in (
        (["rollback"], 3, "no earlier release"),
        (["rollback", "--to", "7"], 3, "no version 7"),
        (["run", "--only", "lern"], 2, "'lern'"),
        (["recommend", "a", "-k", "1000"], 2, "1000"),
        (["card", "no-such-run"], 2, "no-such-run"),
        (["import", "wherry", "nowhere.csv"], 2, "nowhere.csv"),
    ):
        message = as_json(*words, cwd=shop, code=code)["error"]["message"]
        assert value in message


def test_a_broken_settings_file_is_named_with_its_line(
    tmp_path: Path, as_json: Any, wherry: Wherry
) -> None:
    as_json("init", ".", cwd=tmp_path)
    (tmp_path / "wherry.toml").write_text("[serve]\nprot = 1\n")
    done = wherry("status", cwd=tmp_path)
    assert done.code == 2
    assert "line 2: serve.prot: unknown key. Did you mean 'port'?" in done.err
    assert done.out == ""


def test_a_port_that_is_taken_is_told(shop: Path, as_json: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = as_json("serve", "--port", str(port), cwd=shop, code=2)["error"]["message"]
    assert str(port) in message
    assert "in use" in message


def test_the_help_names_every_command_and_the_exit_codes(tmp_path: Path, wherry: Wherry) -> None:
    done = wherry("--help", cwd=tmp_path)
    assert done.code == 0
    commands = "init import run serve recommend status releases rollback card simulate demo"
    for word in commands.split():
        assert f"  {word} " in done.out
    assert "2 wrong use" in " ".join(done.out.split())
    for word in commands.split():
        assert "--json" in wherry(word, "--help", cwd=tmp_path).out


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_leaves_early_is_no_failed_verdict(form: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from wherry.cli import main; main()", "init", "s", *form]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, b"")
