"""Balance: connections that are kept are spread over the workers, and none is cut."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from wherry.serve.balance import Balance, Holdings, LeavingProtocol


class Kept:
    """A connection, as far as the balance knows one."""

    is_leaving = False


def connections(count: int) -> list[LeavingProtocol]:
    return cast(list[LeavingProtocol], [Kept() for _ in range(count)])


def compare(holdings: Holdings, held: list[LeavingProtocol]) -> None:
    """What the first worker does in half a second."""
    balance = Balance(holdings, 1)
    for _ in range(5):
        balance.look(held)


def leaving(held: list[LeavingProtocol]) -> int:
    return sum(each.is_leaving for each in held)


@pytest.fixture
def holdings(tmp_path: Path) -> Holdings:
    return Holdings.create(tmp_path / "connections", 3)


def test_every_process_sees_what_each_worker_holds(tmp_path: Path) -> None:
    ours, theirs = Holdings.create(tmp_path / "c", 2), Holdings(tmp_path / "c")
    ours.tell(1, 40)
    theirs.tell(2, 0)
    assert ours.accepting() == theirs.accepting() == {1: 40, 2: 0}
    assert (ours.surplus(1), theirs.surplus(1), theirs.surplus(2)) == (20, 20, 0)
    ours.withdraw(2)
    assert theirs.accepting() == {1: 40}
    assert theirs.surplus(1) == 0


def test_a_worker_lets_go_of_what_is_beyond_its_share_and_of_no_more(holdings: Holdings) -> None:
    held = connections(60)
    compare(holdings, held)
    assert leaving(held) == 0  # alone it has its share
    holdings.tell(2, 0)
    holdings.tell(3, 0)
    compare(holdings, held)
    assert leaving(held) == 40
    compare(holdings, held)
    assert leaving(held) == 40  # they are on their way
    stayed = [each for each in held if not each.is_leaving]
    holdings.tell(2, 20)
    holdings.tell(3, 20)
    compare(holdings, stayed)
    assert leaving(stayed) == 0


def test_what_has_left_is_counted_elsewhere_before_the_next_comparison(holdings: Holdings) -> None:
    held = connections(60)
    holdings.tell(2, 0)
    balance = Balance(holdings, 1)
    balance.look(held)
    stayed = [each for each in held if not each.is_leaving]
    assert len(stayed) == 30
    balance.look(stayed)  # the other worker has not told yet
    assert leaving(stayed) == 0


@pytest.mark.parametrize(("mine", "other"), [(1, 0), (2, 0), (3, 1), (36, 28)])
def test_chance_is_no_reason_to_close_a_connection(
    holdings: Holdings, mine: int, other: int
) -> None:
    held = connections(mine)
    holdings.tell(2, other)
    compare(holdings, held)
    assert leaving(held) == 0


def test_those_that_stand_by_have_no_share(holdings: Holdings) -> None:
    held = connections(30)
    holdings.tell(2, 30)
    compare(holdings, held)
    assert leaving(held) == 0


def test_a_worker_whose_count_is_not_known_has_no_surplus(holdings: Holdings) -> None:
    holdings.tell(2, 10)
    assert holdings.surplus(1) == 0
