import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import ModelError
from wherry.learn.sessions import Sessions, Vocabulary

FLAT = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 50), st.integers(0, 3)),
    min_size=1,
    max_size=60,
)


def from_rows(rows: list[tuple[int, int, int, int]]) -> Sessions:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Sessions.from_events(*columns, n_items=6)


def by_hand(rows):
    """Each session's (item, time, type) in order, the sessions in order of their last time."""
    grouped = {}
    for session, item, time, kind in rows:
        grouped.setdefault(session, []).append((item, time, kind))
    ordered = [sorted(grouped[s], key=lambda event: event[1]) for s in sorted(grouped)]
    return sorted(ordered, key=lambda events: events[-1][1])


def listed(sessions: Sessions):
    return [
        list(
            zip(
                *(a[lo:hi].tolist() for a in (sessions.items, sessions.times, sessions.types)),
                strict=True,
            )
        )
        for lo, hi in zip(sessions.offsets[:-1], sessions.offsets[1:], strict=True)
    ]


@given(FLAT)
def test_flat_events_in_any_order_are_grouped_as_by_hand(rows):
    assert listed(from_rows(rows)) == by_hand(rows)


@given(FLAT, st.data())
def test_taking_sessions_keeps_them_whole_and_in_order(rows, data):
    sessions = from_rows(rows)
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(sessions), max_size=len(sessions)))
    )
    taken = sessions.take(mask)
    assert listed(taken) == [s for s, keep in zip(listed(sessions), mask, strict=True) if keep]
    assert listed(sessions.take(np.flatnonzero(mask)[::-1])) == listed(taken)


@given(FLAT)
def test_figures_of_sessions_agree_with_their_events(rows):
    sessions = from_rows(rows)
    assert sessions.lengths.tolist() == [len(s) for s in listed(sessions)]
    assert sessions.first_times.tolist() == [s[0][1] for s in listed(sessions)]
    assert sessions.last_times.tolist() == [s[-1][1] for s in listed(sessions)]
    assert sessions.n_events == len(rows)
    assert sessions.item_counts().tolist() == [sum(r[1] == i for r in rows) for i in range(6)]


@pytest.mark.parametrize("mmap", [True, False])
def test_saved_sessions_come_back_equal(tmp_path, mmap):
    sessions = from_rows([(1, 2, 30, 0), (0, 3, 10, 1), (1, 4, 20, 2)])
    sessions.save(tmp_path)
    loaded = Sessions.load(tmp_path, mmap=mmap)
    assert listed(loaded) == listed(sessions)
    assert loaded.n_items == 6


def test_a_cut_short_file_is_named(tmp_path):
    from_rows([(0, 1, 2, 0)]).save(tmp_path)
    (tmp_path / "times.npy").write_bytes(b"")
    with pytest.raises(ModelError, match=r"times\.npy"):
        Sessions.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"sessions\.json"):
        Sessions.load(tmp_path)


def test_the_arrays_are_read_only_and_the_callers_own_stays_writable():
    items = np.zeros(2, dtype=np.int32)
    sessions = Sessions(np.array([0, 2]), items, np.array([1, 2]), np.zeros(2), 1)
    with pytest.raises(ValueError, match="read-only"):
        sessions.items[0] = 1
    items[0] = 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"offsets": [0, 1, 4]}, "offsets must run"),
        ({"offsets": [0, 0, 3]}, "empty"),
        ({"items": [0, 1, 9]}, "item lies outside"),
        ({"types": [0, 0, 9]}, "type lies outside"),
        ({"types": [0, 0]}, "2 types"),
        ({"times": [2, 1, 3]}, "back within"),
        ({"times": [4, 5, 3]}, "order of their last"),
    ],
)
def test_arrays_that_are_no_sessions_are_refused(change, fault):
    good = {"offsets": [0, 2, 3], "items": [0, 1, 2], "times": [1, 2, 3], "types": [0, 0, 0]}
    Sessions(**{k: np.array(v) for k, v in good.items()}, n_items=3)
    with pytest.raises(ModelError, match=fault):
        Sessions(**{k: np.array(v) for k, v in {**good, **change}.items()}, n_items=3)


def test_there_may_be_no_sessions_at_all(tmp_path):
    none = np.empty(0, dtype=np.int64)
    sessions = Sessions.from_events(none, none, none, n_items=4)
    assert (len(sessions), sessions.n_events, len(sessions.last_times)) == (0, 0, 0)
    sessions.save(tmp_path)
    assert len(Sessions.load(tmp_path)) == 0


@given(st.lists(st.text(), unique=True))
def test_a_vocabulary_comes_back_equal(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("vocabulary")
    Vocabulary(ids).save(folder)
    loaded = Vocabulary.load(folder)
    assert list(loaded.ids) == ids
    assert [loaded.code(each) for each in ids] == list(range(len(ids)))


def test_unknown_items_are_dropped_and_known_ones_keep_their_order():
    vocabulary = Vocabulary(["a", "b"])
    assert vocabulary.codes(["b", "x", "a", "b"]).tolist() == [1, 0, 1]
    assert vocabulary.codes([]).dtype == np.int32
    assert ("a" in vocabulary, "x" in vocabulary, vocabulary.code("x")) == (True, False, None)


def test_an_item_listed_twice_is_named():
    with pytest.raises(ModelError, match="'a' stands twice"):
        Vocabulary(["a", "b", "a"])


def test_a_broken_vocabulary_is_named(tmp_path):
    (tmp_path / "vocabulary.json").write_text("{")
    with pytest.raises(ModelError, match=r"vocabulary\.json"):
        Vocabulary.load(tmp_path)
