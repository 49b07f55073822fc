"""Names beside dots: none covers a dot or another name, however crowded it is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.report.labels import DESK, GAP, PAGE, PHONE, Label, Mark, place_labels

TOP, BOTTOM = 0.0, 176.0
HALF_LINE, RADIUS = 6.0, 5.0

MARKS = st.lists(
    st.builds(
        lambda x, y, half, length: Mark(x, y, y + half, y - half, length),
        st.floats(0.07, 0.97),
        st.floats(14, 170),
        st.floats(1, 30),
        st.floats(8, 180),
    ),
    min_size=1,
    max_size=14,
)


def box(mark, label, width):
    """Left, right, top and bottom of a name on a drawing so wide."""
    x = mark.x * width
    left, right = (GAP, GAP + mark.length) if label.is_right else (-GAP - mark.length, -GAP)
    return x + left, x + right, label.y - HALF_LINE, label.y + HALF_LINE


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def faults(marks, labels, width):
    """What is covered, or cut off, on a drawing so wide."""
    boxes = [box(m, p, width) for m, p in zip(marks, labels, strict=True) if p is not None]
    dots = [(m.x * width - RADIUS, m.x * width + RADIUS, m.y - RADIUS, m.y + RADIUS) for m in marks]
    named = [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
    hidden = [pair for pair in itertools.product(boxes, dots) if overlap(*pair)]
    return named + hidden + [b for b in boxes if b[0] < -1 or b[1] > width + 1]


@given(MARKS, st.floats(DESK, PAGE))
def test_on_a_desk_no_name_covers_a_dot_or_another_name(marks, width):
    labels = place_labels(marks, top=TOP, bottom=BOTTOM)
    assert faults(marks, labels, width) == []
    assert all(p.y - HALF_LINE >= TOP and p.y + HALF_LINE <= BOTTOM for p in labels if p)


@pytest.mark.parametrize("width", [PHONE, 390.0, DESK, 544.0, PAGE])
def test_a_crowd_of_ten_is_named_whole_on_a_phone_and_on_a_page(width):
    """Networks and trees lie close: as good as one another, and about as slow."""
    marks = [Mark(0.5 + 0.012 * n, 60 + 4.0 * n, 75 + 4.0 * n, 45 + 4.0 * n, 60) for n in range(10)]
    labels = place_labels(marks, top=TOP, bottom=BOTTOM)
    assert None not in labels
    assert faults(marks, labels, width) == []


def test_the_same_marks_are_named_in_the_same_places():
    marks = [Mark(0.3 + 0.01 * n, 80, 90, 70, 50) for n in range(8)]
    assert place_labels(marks, top=TOP, bottom=BOTTOM) == place_labels(
        marks, top=TOP, bottom=BOTTOM
    )


def test_a_dot_by_itself_is_named_beside_it_towards_the_middle():
    left, right = Mark(0.2, 80, 90, 70, 50), Mark(0.9, 80, 90, 70, 50)
    assert place_labels([left], top=TOP, bottom=BOTTOM) == [Label(80, True)]
    assert place_labels([right], top=TOP, bottom=BOTTOM) == [Label(80, False)]


def test_a_name_makes_way_for_the_dot_of_a_neighbour():
    """On the right at the same height another dot lies where the name would stand."""
    one, other = Mark(0.3, 80, 82, 78, 60), Mark(0.36, 80, 82, 78, 60)
    assert Label(80, True) not in place_labels([one, other], top=TOP, bottom=BOTTOM)[:1]


def test_where_there_is_no_room_a_name_is_left_out():
    marks = [Mark(0.5, 80, 90, 70, 50)] * 40
    labels = place_labels(marks, top=TOP, bottom=BOTTOM)
    assert None in labels
    assert faults(marks, labels, DESK) == []
