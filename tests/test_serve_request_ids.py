from __future__ import annotations

import pytest

from wherry.serve.request_ids import RequestIds


def test_a_client_s_own_id_is_kept() -> None:
    assert RequestIds().of(b"cart-7.b_2:x") == "cart-7.b_2:x"


@pytest.mark.parametrize("given", [None, b"", b"two words", b"line\nend", b"\xff", b"x" * 129])
def test_any_other_request_gets_an_id_of_its_own(given: bytes | None) -> None:
    ids, others = RequestIds(), RequestIds()
    made = {ids.of(given) for _ in range(100)} | {others.of(given) for _ in range(100)}
    assert len(made) == 200
