"""Lines on sheets: within the margins, in order, none lost; baselines made level."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.ink.layout import Align, Layout, Sheet, straighten
from rnngen.ink.strokes import bounds, transform

BLOCK = [np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])]


def boxes(page):
    return [bounds(line) for line in page.lines]


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ("a4", (210, 297)),
        ("A5", (148, 210)),
        ("letter", (215.9, 279.4)),
        ("100x50.5", (100, 50.5)),
        ("90 × 60 mm", (90, 60)),
    ],
)
def test_sizes_of_paper(size, sides):
    sheet = Sheet.parse(size)
    assert (sheet.width, sheet.height) == sides and sheet.margins == (20, 20, 20, 20)


@pytest.mark.parametrize(
    ("margin", "expected"),
    [("10", (10,) * 4), ("10,5", (10, 5, 10, 5)), ("1 2 3 4.5", (1, 2, 3, 4.5)), ("0", (0,) * 4)],
)
def test_margins(margin, expected):
    assert Sheet.parse("a4", margin).margins == expected


@pytest.mark.parametrize(
    ("size", "margin", "message"),
    [
        ("b17", None, r"page 'b17': give a3, a4, a5, letter, or width and height"),
        ("0x10", None, "a page of 0 × 10 mm"),
        ("99999x10", None, "a page of 99999 × 10 mm"),
        ("-3x10", None, "page '-3x10'"),
        ("nanxinf", None, "page 'nanxinf'"),
        ("a4", "1,2,3", "margin '1,2,3': give one, two or four"),
        ("a4", "-1", "margin '-1'"),
        ("a4", "", "margin ''"),
        ("40x40", "20", "leave nothing of a page of 40 × 40 mm"),
    ],
)
def test_papers_that_cannot_be(size, margin, message):
    with pytest.raises(InputError, match=message):
        Sheet.parse(size, margin)


lines = st.lists(
    st.one_of(
        st.just([]),
        st.lists(
            st.lists(st.tuples(st.integers(-60, 200), st.integers(-9, 9)), min_size=1, max_size=6).map(
                lambda p: np.array(p, float)
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=25,
).filter(any)


@settings(max_examples=80)
@given(lines, st.sampled_from(Align), st.floats(1, 30), st.booleans())
def test_every_line_is_drawn_once_in_order_between_the_margins(drawn, align, pitch, straight):
    sheet = Sheet(120, 100, (10, 15, 20, 25))
    pages = Layout(3.0, sheet, align, pitch, straight).place(drawn, 1.0)
    assert all((page.width, page.height) == (120, 100) and page.lines for page in pages)
    placed = [line for page in pages for line in page.lines]
    assert [[len(stroke) for stroke in line] for line in placed] == [
        [len(stroke) for stroke in line] for line in drawn if line
    ]
    for page in pages:
        for left, top, right, bottom in boxes(page):
            assert left >= 25 - 1e-6 and right <= 105 + 1e-6 and top >= 10 - 1e-6 and bottom <= 80 + 1e-6
        for above, below in zip(boxes(page), boxes(page)[1:], strict=False):
            assert below[1] >= above[3] - 1e-6


@pytest.mark.parametrize(("align", "left"), [("left", 20), ("centre", 45), ("right", 70)])
def test_alignment_on_a_sheet(align, left):
    (page,) = Layout(sheet=Sheet(100, 100), align=Align(align)).place([BLOCK], 1.0)
    assert boxes(page)[0][0] == left


@pytest.mark.parametrize(("align", "left"), [("left", 3), ("centre", 8), ("right", 13)])
def test_alignment_without_a_sheet_is_by_the_widest_line(align, left):
    wide = transform(BLOCK, 2.0)
    page = Layout(align=Align(align), line_height=6).place([wide, BLOCK], 1.0)[0]
    assert boxes(page)[0][0] == 3 and boxes(page)[1][0] == left and page.width == 26


def test_lines_are_a_line_height_apart_and_go_on_on_a_new_sheet():
    layout = Layout(sheet=Sheet(100, 100, (20, 20, 20, 20)), line_height=15)
    pages = layout.place([BLOCK, [], BLOCK, BLOCK, BLOCK, [], BLOCK], 1.0)
    assert [[top for _, top, _, _ in boxes(page)] for page in pages] == [
        [22.5, 52.5, 67.5],
        [22.5, 52.5],
    ]
    blank_at_the_top = layout.place([BLOCK, BLOCK, BLOCK, BLOCK, [], [], BLOCK], 1.0)
    assert [[top for _, top, _, _ in boxes(page)] for page in blank_at_the_top] == [[22.5, 37.5, 52.5, 67.5], [22.5]]


def test_a_line_too_wide_is_drawn_smaller():
    (page,) = Layout(sheet=Sheet(100, 100)).place([[np.array([[0.0, 0], [120, 12]])], BLOCK], 1.0)
    (left, top, right, bottom), small = boxes(page)
    assert (left, right, bottom - top) == (20, 80, 6) and small[2] - small[0] == 10


def test_a_line_too_high_is_refused():
    high = [np.array([[0.0, 0], [1, 80]])]
    with pytest.raises(
        InputError, match="a line of writing 80 mm high does not fit between the margins of a page 100 mm"
    ):
        Layout(sheet=Sheet(100, 100)).place([high], 1.0)


def test_text_is_wrapped_to_the_sheet():
    layout = Layout(size=3.0, sheet=Sheet(76, 100))  # room for ten characters
    assert layout.wrap("one two three four\n\nfive") == ["one two", "three four", "", "five"]
    assert layout.wrap("one two three", 5) == ["one", "two", "three"]
    assert layout.wrap("one two three", 90) == ["one two", "three"]
    with pytest.raises(
        InputError, match=r"the word 'extraordinary' of 13 characters needs 47 mm, and the page has 36 mm"
    ):
        layout.wrap("an extraordinary page")
    assert Layout().wrap("x" * 50) == ["x" * 50]


def written(slope, angle_of_letters=0.0):
    """Arches with feet on a line, every third with a descender, and a bar above all."""
    strokes = []
    for k in range(15):
        t = np.linspace(0, np.pi, 12)
        depth = 14.0 if k % 3 == 2 else 0.0
        arch = np.stack([8 * k + 5 * t / np.pi, -10 * np.sin(t)], 1)
        strokes.append(np.concatenate([arch, [[8 * k + 5, depth]]]))
    strokes.append(np.array([[30.0, -16], [38, -16]]))
    turn = np.array([[math.cos(slope), math.sin(slope)], [-math.sin(slope), math.cos(slope)]])
    return [stroke @ turn + (100.0, -300.0) for stroke in strokes]


@pytest.mark.parametrize("degrees", [-8, -3, 0, 3, 8])
def test_baselines_become_level(degrees):
    level, straight = written(0.0), straighten(written(math.radians(degrees)))
    for a, b in zip(level, straight, strict=True):
        np.testing.assert_allclose(b - straight[0][0], a - level[0][0], atol=0.2)
    assert abs(straight[0][0][1]) < 0.3


def test_what_is_no_line_of_writing_is_not_turned():
    for strokes in ([np.array([[3.0, 4.0]])], [np.array([[0.0, 0], [1, 50]]), np.array([[0.5, 90.0]])]):
        for a, b in zip(strokes, straighten(strokes), strict=True):
            np.testing.assert_allclose(b - b[0], a - a[0], atol=1e-9)
