"""The live store: shared by processes, replaced where it can't be trusted, and never an error."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.domain import TenantId
from wherry.live.store import Changes, LiveStore, Noun, live_key

NORTH = TenantId("north")


def put(store: LiveStore, key: bytes, value: bytes) -> bool:
    def step(changes: Changes) -> bool:
        changes.put(Noun.SESSIONS, key, value)
        return True

    return store.update(step) is True


def in_another_process(code: str, folder: Path) -> str:
    head = (
        "import os, sys\nfrom pathlib import Path\nfrom wherry.live.store import *\n"
        "store = LiveStore(Path(sys.argv[1]), boot='one')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + code, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_one_process_keeps_another_reads(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live", boot="one")
    assert put(store, b"anna", b"tent")

    assert in_another_process("print(store.get(Noun.SESSIONS, b'anna'))", store.folder) == "b'tent'"
    in_another_process(
        "store.update(lambda changes: changes.put(Noun.SESSIONS, b'anna', b'boat'))", store.folder
    )

    assert store.get(Noun.SESSIONS, b"anna") == b"boat"
    assert store.failures == 0


def test_a_fork_opens_the_store_for_itself(tmp_path: Path) -> None:
    code = (
        "store.update(lambda changes: changes.put(Noun.SESSIONS, b'a', b'parent'))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    store.update(lambda changes: changes.put(Noun.SESSIONS, b'a', b'child'))\n"
        "    os._exit(store.failures)\n"
        "print(os.waitpid(child, 0)[1], store.get(Noun.SESSIONS, b'a'), store.failures)\n"
    )
    assert in_another_process(code, tmp_path / "live") == "0 b'child' 0"


def test_a_killed_process_leaves_what_it_kept_and_blocks_nobody(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live", boot="one")
    put(store, b"anna", b"tent")
    code = (
        "def step(changes):\n"
        "    changes.put(Noun.SESSIONS, b'anna', b'half done')\n"
        "    os.kill(os.getpid(), 9)\n"
        "store.update(step)\n"
    )
    head = "import os, sys\nfrom pathlib import Path\nfrom wherry.live.store import *\n"
    head += "store = LiveStore(Path(sys.argv[1]), boot='one')\n"
    killed = subprocess.run([sys.executable, "-c", head + code, str(store.folder)])

    assert killed.returncode == -9
    assert store.get(Noun.SESSIONS, b"anna") == b"tent"
    assert put(store, b"anna", b"boat")


def test_values_read_together_are_of_one_moment_and_absent_ones_are_none(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live")
    put(store, b"a", b"1")
    put(store, b"c", b"3")

    assert store.get_many(Noun.SESSIONS, [b"a", b"b", b"c"]) == [b"1", None, b"3"]
    assert store.get(Noun.SHOWN, b"a") is None


def test_a_change_that_fails_undoes_all_of_itself(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live")

    def step(changes: Changes) -> None:
        changes.put(Noun.SESSIONS, b"a", b"1")
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        store.update(step)

    assert store.get(Noun.SESSIONS, b"a") is None


def test_a_scan_goes_through_one_tenants_keys_in_order(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live")
    for tenant in ("north", "north-2", "south"):
        for name in ("b", "a"):
            put(store, live_key(TenantId(tenant), name), name.encode())

    def scan(changes: Changes) -> list[tuple[bytes, bytes]]:
        return changes.scan(Noun.SESSIONS, prefix=live_key(NORTH))

    assert [value for _, value in store.update(scan) or []] == [b"a", b"b"]
    assert store.update(lambda changes: changes.count(Noun.SESSIONS)) == 6
    assert (store.update(lambda changes: changes.size(Noun.SESSIONS)) or 0) >= 4096


def test_what_an_earlier_boot_left_is_not_trusted(tmp_path: Path) -> None:
    before = LiveStore(tmp_path / "live", boot="one")
    put(before, b"anna", b"tent")
    before.close()
    again = LiveStore(tmp_path / "live", boot="one")
    assert again.get(Noun.SESSIONS, b"anna") == b"tent"
    again.close()

    assert LiveStore(tmp_path / "live", boot="two").get(Noun.SESSIONS, b"anna") is None


@pytest.mark.parametrize("damage", ["noise", "cut", "empty"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: str) -> None:
    before = LiveStore(tmp_path / "live", boot="one")
    for number in range(500):
        put(before, b"%d" % number, b"x" * 100)
    before.close()
    (data,) = (tmp_path / "live").glob("*/data.mdb")
    whole = data.read_bytes()
    data.write_bytes({"noise": b"?" * len(whole), "cut": whole[:12_288], "empty": b""}[damage])

    store = LiveStore(tmp_path / "live", boot="one")

    assert store.get(Noun.SESSIONS, b"1") is None
    assert put(store, b"1", b"fresh")
    assert store.get(Noun.SESSIONS, b"1") == b"fresh"


def test_a_store_that_is_full_begins_anew_and_takes_the_change(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live", max_bytes=400_000)

    kept = [put(store, b"%d" % number, b"x" * 3_000) for number in range(300)]

    assert all(kept)
    assert store.failures > 0
    assert store.get(Noun.SESSIONS, b"299") == b"x" * 3_000
    assert store.get(Noun.SESSIONS, b"0") is None


def test_a_store_whose_folder_was_deleted_is_made_again_by_whoever_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("wherry.live.store.monotonic", lambda: now)
    store = LiveStore(tmp_path / "live", boot="one")
    put(store, b"anna", b"tent")
    shutil.rmtree(store.folder)
    code = "store.update(lambda changes: changes.put(Noun.SESSIONS, b'anna', b'boat'))"
    in_another_process(code, store.folder)
    assert store.get(Noun.SESSIONS, b"anna") == b"tent"

    now += 2.0

    assert store.get(Noun.SESSIONS, b"anna") == b"boat"


def test_a_folder_that_can_not_be_used_makes_no_error(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("a file stands where the folder should")
    store = LiveStore(tmp_path / "live")

    assert store.get(Noun.SESSIONS, b"anna") is None
    assert store.get_many(Noun.SESSIONS, [b"anna"]) == [None]
    assert not put(store, b"anna", b"tent")
    assert store.failures > 0


def test_an_error_of_the_disk_is_counted_and_the_next_try_opens_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LiveStore(tmp_path / "live")
    put(store, b"anna", b"tent")

    def broken(self: Changes, noun: Noun, key: bytes, value: bytes) -> None:
        raise lmdb.DiskError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Changes, "put", broken)
        assert not put(store, b"anna", b"boat")
    assert store.failures == 3

    assert store.get(Noun.SESSIONS, b"anna") == b"tent"
    assert put(store, b"anna", b"boat")


def test_what_is_written_anew_holds_nothing_of_what_was_let_go_of(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live", boot="one")
    put(store, b"anna", b"tent")
    put(store, b"bob", b"boat")
    other = store.folder
    store.update(lambda changes: changes.delete(Noun.SESSIONS, b"anna"))
    assert any(b"tent" in path.read_bytes() for path in other.rglob("data.mdb"))

    store.compact()

    assert not any(b"tent" in path.read_bytes() for path in other.rglob("data.mdb"))
    assert store.get(Noun.SESSIONS, b"bob") == b"boat"
    assert store.failures == 0


def test_what_others_write_while_it_is_written_anew_is_not_lost(tmp_path: Path) -> None:
    store = LiveStore(tmp_path / "live", boot="one")
    put(store, b"anna", b"tent")
    in_another_process("store.get(Noun.MARKS, b'x'); store.compact()", store.folder)

    assert put(store, b"bob", b"boat")

    found = "print(store.get_many(Noun.SESSIONS, [b'anna', b'bob']))"
    assert in_another_process(found, store.folder) == "[b'tent', b'boat']"
    assert store.failures == 0


names = st.lists(st.text(max_size=300), min_size=1, max_size=3).map(tuple)


@given(names, names)
def test_no_two_things_share_a_key_and_no_key_is_too_long(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert (live_key(NORTH, *one) == live_key(NORTH, *other)) == (one == other)
    assert len(live_key(NORTH, *one)) <= 511
    assert live_key(NORTH, *one).startswith(live_key(NORTH))
    assert not live_key(TenantId("north-2"), *one).startswith(live_key(NORTH))
