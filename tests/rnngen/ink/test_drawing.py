"""The formats of drawings: round trip, validity, determinism, what a browser and a plotter rely on."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from rnngen.errors import InputError
from rnngen.ink.drawing import (
    DECIMALS,
    Pen,
    check_format,
    draw_animated_svg,
    ink_json,
    path_data,
    pen_times,
    svg,
    write_drawing,
)
from rnngen.ink.page import Page, place
from rnngen.ink.read_strokes import read_ink

SVG = "{http://www.w3.org/2000/svg}"
printed = st.integers(-(10**7), 10**7).map(lambda n: round(n / 10**DECIMALS, DECIMALS))
stroke = st.lists(st.tuples(printed, printed), min_size=1, max_size=10).map(lambda p: np.array(p, float))


def page_of(*lines):
    return place([[np.array(s, float) for s in line] for line in lines])


@pytest.fixture
def page():
    return page_of([[(0, 0), (30, 10), (40, 0)], [(50, 5)]], [[(0, 0), (20, 20)]])


@settings(max_examples=100)
@given(st.lists(stroke, min_size=1, max_size=4))
def test_svg_and_back_is_exact_to_the_printed_digits(tmp_path_factory, strokes):
    # strokes that touch are drawn as one, and read so
    assume(all(math.dist(before[-1], after[0]) > 1e-4 for before, after in pairwise(strokes)))
    page = Page([strokes], 100.0, 100.0)
    path = tmp_path_factory.mktemp("svg") / "page.svg"
    for document in (svg(page), draw_animated_svg(page)):
        path.write_text(document)
        back = read_ink(path).strokes
        assert len(back) == len(strokes)
        for a, b in zip(back, strokes, strict=True):
            if np.ptp(b, axis=0).any():
                assert np.array_equal(a, b)
            else:  # a dot
                assert np.array_equal(a[0], b[0]) and np.ptp(a, axis=0).max() < 0.011


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.floats(-1e5, 1e5)] * 2), min_size=1, max_size=10))
def test_rounding_is_the_only_loss(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("svg") / "page.svg"
    path.write_text(svg(Page([[np.array(points)]], 1.0, 1.0)))
    (back,) = read_ink(path).strokes
    dot = 0.01 if np.ptp(np.array(points), axis=0).max() <= 10**-DECIMALS else 0
    np.testing.assert_allclose(back[: len(points)], points[: len(back)], atol=dot + 0.501 * 10**-DECIMALS, rtol=0)
    assert len(back) == len(points) or (dot and len(back) == 2)


def test_one_path_a_stroke_with_its_first_point_and_nothing_clipped(page):
    root = etree.fromstring(svg(page, title="a <b> & c").encode())
    paths = list(root.iter(SVG + "path"))
    assert len(paths) == 3
    assert [p.get("d") for p in paths] == [path_data(s) for s in page.strokes]
    assert root.find(SVG + "title").text == "a <b> & c"
    assert root.get("fill") == "none"
    x, y, width, height = map(float, root.get("viewBox").split())
    for points in page.strokes:
        pen = Pen().width / 2
        assert (points.min(0) - pen >= (x, y)).all() and (points.max(0) + pen <= (x + width, y + height)).all()
    assert root.get("width") == f"{width:g}mm"


def test_numbers_are_short():
    assert path_data(np.array([[1.0, -0.00001], [2.5, 3.12345]])) == "M1 0L2.5 3.123"
    assert path_data(np.array([[10.0, 200.4], [11, 2]]), decimals=0) == "M10 200L11 2"


@pytest.mark.parametrize("points", [[[1, 2]], [[1, 2], [1, 2]], [[1, 2], [1.0001, 2], [1, 2.0004]]])
def test_a_stroke_without_extent_is_a_line_that_a_plotter_draws(points):
    assert path_data(np.array(points, float)) == "M1 2h.01"
    animated = etree.fromstring(draw_animated_svg(page_of([points], [[(0, 0), (4, 4)]])).encode())
    dot, line = animated.iter(SVG + "path")
    assert dot.get("stroke-dasharray") is None and line.get("stroke-dasharray") == "1"


@pytest.mark.parametrize("strange", ["\x00", "\x1b", "\ufffe", "\uffff", "\ud800", "\r"])
def test_a_title_holds_no_character_that_xml_forbids(page, strange):
    root = etree.fromstring(svg(page, title=f"a{strange}b\U0001f600").encode())
    assert root.find(SVG + "title").text == "ab\U0001f600"


def test_animation_runs_in_pen_order_at_pen_speed_without_scripts(page):
    document = draw_animated_svg(page, Pen(points_per_second=10, seconds_between_strokes=0.5))
    assert "<script" not in document and "href" not in document
    root = etree.fromstring(document.encode())
    begins = [float(e.get("begin")[:-1]) for e in root.iter(SVG + "set")]
    assert begins == [0.0, 0.7, 1.2]
    first = next(root.iter(SVG + "animate"))
    assert float(first.get("dur")[:-1]) == 0.2
    left = [float(v) for v in first.get("values").split(";")]
    length = np.hypot(30, 10) + np.hypot(10, 10)
    np.testing.assert_allclose(left, [1, 1 - np.hypot(30, 10) / length, 0], atol=1e-3)
    assert first.get("keyTimes") == "0;0.5;1"
    dot = list(root.iter(SVG + "path"))[1]
    assert dot.get("stroke-dasharray") is None and dot.get("visibility") == "hidden"


def test_recorded_times_drive_the_animation():
    page = page_of([[(0, 0), (1, 0), (2, 0)]])
    root = etree.fromstring(draw_animated_svg(page, times=[np.array([2.0, 2.1, 3.0])]).encode())
    animate = next(root.iter(SVG + "animate"))
    assert (animate.get("begin"), animate.get("dur"), animate.get("keyTimes")) == ("2.000s", "1.000s", "0;0.1;1")


def test_pen_times():
    times = pen_times([np.zeros((3, 2)), np.zeros((1, 2))], Pen(points_per_second=2, seconds_between_strokes=1))
    assert [t.tolist() for t in times] == [[0, 0.5, 1], [2]]


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".gif", ".json"])
def test_every_format_is_written_and_the_same_twice(tmp_path, page, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write_drawing(one, page, title="t", about={"text": "é"})
    write_drawing(two, page, title="t", about={"text": "é"})
    assert one.read_bytes() == two.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_png_shows_the_first_point_and_the_dot(tmp_path, page):
    write_drawing(tmp_path / "a.png", page, dpi=254)
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    for stroke_points in page.strokes:
        x, y = np.rint(stroke_points[0] * 10).astype(int)
        assert picture[y - 1 : y + 2, x - 1 : x + 2].min() < 100
    assert picture[0].min() == picture[:, 0].min() == 255


def test_gif_plays_from_an_empty_page_to_the_whole(tmp_path, page):
    write_drawing(tmp_path / "a.gif", page, pen=Pen(points_per_second=10))
    with Image.open(tmp_path / "a.gif") as picture:
        ink = []
        for k in range(picture.n_frames):
            picture.seek(k)
            ink.append(int((np.asarray(picture.convert("L")) < 128).sum()))
    assert ink[0] == 0 and ink[-1] > 0 and ink == sorted(ink) and len(ink) > 3


def test_a_gif_of_a_long_text_holds_in_each_frame_what_is_new(tmp_path):
    sizes = {}
    for lines in (10, 40):
        wave = np.stack([np.arange(0, 100, 0.5), 4 * np.sin(np.arange(200))], 1)
        write_drawing(tmp_path / "a.gif", place([[wave]] * lines, pitch=10))
        sizes[lines] = (tmp_path / "a.gif").stat().st_size
    assert sizes[40] < 4.5 * sizes[10]


def test_a_gif_is_the_same_picture_as_its_last_frame_drawn_at_once(tmp_path, page):
    write_drawing(tmp_path / "slow.gif", page, pen=Pen(points_per_second=5))
    write_drawing(tmp_path / "fast.gif", page, pen=Pen(points_per_second=1e6, seconds_between_strokes=0))
    last = []
    for name in ("slow", "fast"):
        with Image.open(tmp_path / f"{name}.gif") as picture:
            picture.seek(picture.n_frames - 1)
            last.append(np.asarray(picture.convert("L")))
            assert picture.info["duration"] == 3000
    assert np.array_equal(*last)


def test_json_carries_points_times_and_more(page):
    value = json.loads(json.dumps(ink_json(page, Pen(points_per_second=4), {"seed": 3})))
    assert value["seed"] == 3 and value["strokes_per_line"] == [2, 1]
    assert [p[2] for p in value["strokes"][0]] == [0, 0.25, 0.5]


def test_json_is_read_back(tmp_path, page):
    write_drawing(tmp_path / "a.json", page)
    back = read_ink(tmp_path / "a.json")
    for a, b in zip(back.strokes, page.strokes, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert back.times is not None


def test_unknown_suffix_and_impossible_animation(tmp_path, page):
    with pytest.raises(InputError, match=r"unknown picture format '\.bmp'; use one of \.svg, \.png"):
        write_drawing(tmp_path / "a.bmp", page)
    with pytest.raises(InputError, match=r"only \.svg and \.gif can be animated"):
        check_format(tmp_path / "a.png", animate=True)
    assert not list(tmp_path.iterdir())


def test_a_picture_too_large_is_refused_and_leaves_nothing(tmp_path):
    page = Page([[np.array([[0.0, 0], [1, 1]])]], 1e5, 1e5)
    for name in ("a.png", "a.gif"):
        with pytest.raises(InputError, match="over the limit of"):
            write_drawing(tmp_path / name, page)
        with pytest.raises(InputError, match="65535 per side"):
            write_drawing(tmp_path / name, Page(page.lines, 10.0, 2e4), dpi=100)
    assert not list(tmp_path.iterdir())
