import numpy as np

from wherry.learn.repeats import RANKS, count_repeats, distinct_from_end, repeat_chances


def table_of(lists):
    offsets = np.cumsum([0, *(len(each) for each in lists)]).astype(np.int64)
    return count_repeats(offsets, np.concatenate(lists).astype(np.int32))


def chances(session, table):
    session = np.array(session, dtype=np.int32)
    places = np.empty(50, dtype=np.int32)
    places = places[: distinct_from_end(session, 0, len(session), places)]
    return repeat_chances(session, 0, places, table)


def test_distinct_items_are_found_latest_first():
    found = np.empty(5, dtype=np.int32)
    items = np.array([4, 7, 4, 9], dtype=np.int32)
    assert found[: distinct_from_end(items, 0, 4, found)].tolist() == [3, 2, 1]
    assert found[: distinct_from_end(items, 1, 3, found)].tolist() == [2, 1]


def test_visitors_who_never_come_back_give_no_chance():
    assert not table_of([[0, 1, 2], [3, 4]]).any()


def test_the_item_before_the_last_is_told_from_the_last():
    table = table_of([[0, 1, 0, 1, 0, 1]] * 50)
    last, before = chances([5, 6], table)
    assert last == 0
    assert before > 0.9


def test_two_events_of_one_item_in_a_row_are_told_from_others():
    table = table_of([[0, 0, 0, 0]] * 50 + [[0, 1]] * 50)
    (again,), (once,) = chances([3, 3], table), chances([3], table)
    assert again > 0.9
    assert 0.4 < once < 0.6


def test_what_was_met_often_is_told_from_what_was_met_once():
    lists = [[0, 1, 0, 2, 0], [1, 0, 2, 3]] * 50
    often = chances([7, 8, 7, 9], table_of(lists))[1]
    once = chances([8, 7, 9], table_of(lists))[1]
    assert often > once


def test_items_further_back_than_the_table_get_no_chance():
    given = chances(range(12), table_of([[*range(12), 0, 1, 2]] * 9))
    assert len(given) == 12
    assert not given[RANKS:].any()
