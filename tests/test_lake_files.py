"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wherry.lake import write_whole


def test_a_file_is_made_with_its_folders_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file"]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"one")

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_sees_the_old_content_or_the_new_one_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([byte]) * 50_000 for byte in (1, 2)]
    write_whole(path, contents[0])
    write = (
        "import sys\nfrom pathlib import Path\nfrom wherry.lake import write_whole\n"
        "for i in range(300): write_whole(Path(sys.argv[1]), bytes([1 + i % 2]) * 50_000)"
    )
    with subprocess.Popen([sys.executable, "-c", write, str(path)]) as writer:
        while writer.poll() is None:
            assert path.read_bytes() in contents
    assert writer.returncode == 0


def test_threads_that_write_the_same_file_do_not_take_each_other_s(tmp_path: Path) -> None:
    path, barrier = tmp_path / "file", threading.Barrier(2)

    def write(content: bytes) -> None:
        for _ in range(40):
            barrier.wait(20)
            write_whole(path, content)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(write, letter * 9) for letter in (b"a", b"b")]:
            done.result()
    assert path.read_bytes() in (b"a" * 9, b"b" * 9)
    assert os.listdir(tmp_path) == ["file"]
