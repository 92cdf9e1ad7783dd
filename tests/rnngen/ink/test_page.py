"""Wrapping of text and placing of lines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.ink.page import place, wrap
from rnngen.ink.strokes import bounds


def test_wrapping_breaks_between_words_and_keeps_line_breaks():
    assert wrap("one two three\nfour", 8) == ["one two", "three", "four"]
    assert wrap(" \n\none two\n\n \n three \n\n", None) == ["one two", "", "", "three"]
    assert wrap("one two\r\n\r\nthree", 4) == ["one", "two", "", "three"]
    assert wrap(" \n ", 4) == wrap("", None) == []


def test_a_long_word_stays_whole():
    assert wrap("a extraordinarily well-kept b", 6) == ["a", "extraordinarily", "well-kept", "b"]


@given(st.text(alphabet="ab c", max_size=60), st.integers(1, 12))
def test_wrapping_loses_no_word(text, width):
    assert " ".join(wrap(text, width)).split() == text.split()


def test_width_must_be_positive():
    with pytest.raises(ValueError, match="width"):
        wrap("a", 0)


points = st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500)), min_size=1, max_size=8)
lines = st.lists(st.lists(points.map(lambda p: np.array(p, float)), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=60)
@given(lines, st.floats(0.01, 10))
def test_everything_lies_on_the_page_and_keeps_its_shape(drawn, scale):
    page = place(drawn, scale=scale)
    left, top, right, bottom = bounds(page.strokes)
    assert left >= 0 and top >= 0 and right <= page.width and bottom <= page.height
    for before, after in zip(drawn, page.lines, strict=True):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_allclose(b - b[0], (a - a[0]) * scale, atol=1e-8)


def test_lines_do_not_touch_and_keep_the_pitch():
    block = [np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])]
    page = place([block, block, block], pitch=20, margin=3)
    tops = [bounds(line)[1] for line in page.lines]
    assert tops == [3, 23, 43] and (page.width, page.height) == (16, 56)
    tall = [np.concatenate([np.tile([[0.0, 0]], (50, 1)), [[0, 90.0]]])]
    page = place([tall, block], pitch=20)
    assert bounds(page.lines[1])[1] >= bounds(page.lines[0])[3]


def test_blank_lines_keep_their_distance():
    block = [np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])]
    page = place([block, [], [], block], pitch=20, margin=3)
    assert [bounds(line)[1] for line in page.lines] == [3, 63] and page.height == 76


@pytest.mark.parametrize("strange", [np.nan, np.inf, 1e308])
def test_points_outside_every_page_are_refused(strange):
    with pytest.raises(InputError, match="not a number, or outside every page"):
        place([[np.array([[0.0, strange], [1, 1]])]], scale=10)
