"""Strokes from outside: what is read, what is refused and how."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.ink_files import FLATTENING, read_ink


@pytest.fixture
def read(tmp_path):
    def _read(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_ink(path)

    return _read


def points(ink):
    return [np.round(stroke, 9).tolist() for stroke in ink.strokes]


def svg(body):
    return f'<svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'


# --- JSON ---


@pytest.mark.parametrize(
    "value",
    [
        {"strokes": [[[0, 1], [2, 3]], [[4, 5]]]},
        [[[0, 1], [2, 3]], [[4, 5]]],
        [{"x": [0, 2], "y": [1, 3]}, {"x": [4], "y": [5]}],
    ],
)
def test_json_forms(read, value):
    ink = read("a.json", json.dumps(value))
    assert points(ink) == [[[0, 1], [2, 3]], [[4, 5]]] and ink.times is None


def test_json_times(read):
    ink = read("a.json", '[[[0, 1, 0.5], [2, 3, 0.75]], {"x": [1], "y": [1], "t": [2]}]')
    assert [t.tolist() for t in ink.times] == [[0.5, 0.75], [2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("3", r"expected \{"),
        ('{"stroke": []}', r"expected \{"),
        ("[]", "no strokes"),
        ("[[]]", "stroke 1 has no points"),
        ("[[[0, 1], [2]]]", "stroke 1, point 2"),
        ("[[[0, 1], [2, 3, 4]]]", "stroke 1, point 2"),
        ('[[["0", 1]]]', "stroke 1, point 1"),
        ("[[[true, 1]]]", "stroke 1, point 1"),
        ("[[[0, NaN]]]", "stroke 1, point 1"),
        ("[[[0, 1e999]]]", "stroke 1, point 1"),
        ("[[[0, 1e12]]]", "not a number of ordinary size"),
        ('[{"x": [1], "y": [1, 2]}]', "equal length"),
        ('[{"x": [1]}]', "equal length"),
        ("[7]", "list of points"),
    ],
)
def test_bad_json(read, text, message):
    with pytest.raises(InputError, match=message):
        read("a.json", text)


@settings(max_examples=200)
@example(b"<\x00")  # of which libxml2 complains in two lines
@given(st.text(max_size=60) | st.binary(max_size=60))
@pytest.mark.parametrize("suffix", ["json", "inkml", "svg"])
def test_arbitrary_content_is_read_or_refused(tmp_path_factory, suffix, content):
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    try:
        assert read_ink(path).strokes
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_ink(tmp_path / "a.svg")
    with pytest.raises(InputError, match=r"read from \.json, \.inkml, \.svg"):
        read_ink(tmp_path / "a.png")


# --- InkML ---

INK = '<ink xmlns="http://www.w3.org/2003/InkML">{}</ink>'


def test_inkml_plain(read):
    ink = read("a.inkml", INK.format("<trace>10 0, 9 14, 8.5 -2</trace><trace>1 2</trace>"))
    assert points(ink) == [[[10, 0], [9, 14], [8.5, -2]], [[1, 2]]] and ink.times is None


def test_inkml_channels_in_their_order_and_time(read):
    channels = '<traceFormat><channel name="T"/><channel name="Y"/><channel name="X"/><channel name="F"/></traceFormat>'
    ink = read("a.inkml", INK.format(f"{channels}<traceGroup><trace>1000 2 3 0.5, 1500 4 5 .7</trace></traceGroup>"))
    assert points(ink) == [[[3, 2], [5, 4]]]
    assert ink.times[0].tolist() == [1.0, 1.5]


def test_inkml_differences(read):
    # the example of the InkML recommendation, section 3.3: 1125 18432, then differences, then second differences
    ink = read("a.inkml", INK.format("""<trace>1125 18432,'23'43,"7"-8,3-5,7 -3</trace>"""))
    assert points(ink) == [[[1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540], [1251, 18567]]]


def test_pen_up_traces_are_no_ink(read):
    ink = read("a.inkml", INK.format('<trace>0 0</trace><trace type="penUp">5 5</trace>'))
    assert points(ink) == [[[0, 0]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<svg/>", "root element is <svg>, expected <ink>"),
        ("<ink>", "not well-formed"),
        ("<ink/>", "no strokes"),
        ("<ink><trace></trace></ink>", "stroke 1 has no points"),
        ("<ink><trace>1 2, 3</trace></ink>", "point 2 is '3', expected 2 values"),
        ("<ink><trace>1 2 3</trace></ink>", "point 1 is '1 2 3', expected 2 values"),
        ("<ink><trace>a b</trace></ink>", "point 1 is 'a b'"),
        ("<ink><trace>1 ?</trace></ink>", "not a number of ordinary size"),
        ('<ink><traceFormat><channel name="X"/></traceFormat><trace>1 2</trace></ink>', "no X and Y channel, only X"),
        ('<ink><trace continuation="end">1 2</trace></ink>', "line 1: continued traces"),
    ],
)
def test_bad_inkml(read, text, message):
    with pytest.raises(InputError, match=message):
        read("a.inkml", text)


# --- SVG ---


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<polyline points="0,0 1,2 3 4"/>', [[[0, 0], [1, 2], [3, 4]]]),
        ('<polygon points="0 0 1 0 1 1"/>', [[[0, 0], [1, 0], [1, 1], [0, 0]]]),
        ('<line x1="1" y1="2" x2="3"/>', [[[1, 2], [3, 0]]]),
        ('<path d="M1,2 3,4 5,6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<path d="m1 2 3 4l5 6h7v-8H0V0"/>', [[[1, 2], [4, 6], [9, 12], [16, 12], [16, 4], [0, 4], [0, 0]]]),
        ('<path d="M0 0L1 0M5 5l1 1"/>', [[[0, 0], [1, 0]], [[5, 5], [6, 6]]]),
        ('<path d="M0 0L1 0L1 1zl2 2"/>', [[[0, 0], [1, 0], [1, 1], [0, 0]], [[0, 0], [2, 2]]]),
        ('<path d="M1 2Z"/>', [[[1, 2]]]),
        ('<path d="M.5.5-1-1"/>', [[[0.5, 0.5], [-1, -1]]]),
        ('<path d="M1e1 0L2E-1 0"/>', [[[10, 0], [0.2, 0]]]),
        ('<g transform="translate(10 20)"><path transform="scale(2)" d="M1 1L2 2"/></g>', [[[12, 22], [14, 24]]]),
        ('<path transform="rotate(90)" d="M1 0"/>', [[[0, 1]]]),
        ('<path transform="rotate(90 1 1)" d="M1 0"/>', [[[2, 1]]]),
        ('<path transform="matrix(1 2 3 4 5 6) scale(1, -1)" d="M1 -1"/>', [[[9, 12]]]),
        ('<path transform="skewX(45)" d="M0 1"/>', [[[1, 1]]]),
        ('<rect width="9" height="9" fill="white"/><path d="M0 0"/>', [[[0, 0]]]),
        ('<defs><path d="M9 9"/></defs><title>x</title><path d="M0 0"/>', [[[0, 0]]]),
    ],
)
def test_svg_shapes(read, body, expected):
    assert points(read("a.svg", svg(body))) == expected


def test_svg_curves_are_flattened_onto_the_curve(read):
    (cubic,) = read("a.svg", svg('<path d="M0 0C0 1 1 1 1 0"/>')).strokes
    u = np.arange(FLATTENING + 1) / FLATTENING
    np.testing.assert_allclose(cubic[:, 0], 3 * (1 - u) * u**2 + u**3, atol=1e-12)
    np.testing.assert_allclose(cubic[:, 1], 3 * u * (1 - u), atol=1e-12)
    (quadratic,) = read("a.svg", svg('<path d="M0 0q1 2 2 0t2 0"/>')).strokes
    assert len(quadratic) == 2 * FLATTENING + 1
    # T mirrors the control point: the second arch hangs below the first
    np.testing.assert_allclose(quadratic[FLATTENING:, 1], -quadratic[: FLATTENING + 1, 1], atol=1e-12)
    (smooth,) = read("a.svg", svg('<path d="M0 0c0 1 1 1 1 0s1 -1 1 0"/>')).strokes
    np.testing.assert_allclose(smooth[FLATTENING:, 1], -smooth[: FLATTENING + 1, 1], atol=1e-12)
    (plain,) = read("a.svg", svg('<path d="M0 0S1 1 2 0"/>')).strokes
    np.testing.assert_allclose(plain[:, 0], 3 * (1 - u) * u**2 * 1 + 2 * u**3, atol=1e-12)


BOMB = """<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/><text>&b;</text></svg>"""
OUTSIDE = """<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0">&a;</path></svg>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html/>", "root element is <html>, expected <svg>"),
        (BOMB, "declares XML entities"),
        (OUTSIDE, "declares XML entities"),
        (svg(""), "no strokes"),
        (svg('<circle r="3"/>'), "<circle> is not a pen stroke"),
        (svg('<rect stroke="black"/>'), "<rect> is not a pen stroke"),
        (svg('<switch><path d="M0 0"/></switch><path d="M1 1"/>'), "<switch> is not a pen stroke"),
        (svg('<line x1="" y1="1"/>'), "<line> needs one number each"),
        (svg('<line x1="1 2" y1="1"/>'), "<line> needs one number each"),
        (svg('<use href="#a"/>'), "<use> is not a pen stroke"),
        (svg('<image href="http://example.org/a.png"/>'), "<image> is not a pen stroke"),
        (svg("<text>a</text>"), "<text> is not a pen stroke"),
        (svg('<path d="M0 0A1 1 0 0 0 2 2"/>'), r"elliptical arcs \(A\)"),
        (svg('<path d="L1 1"/>'), "must begin with M"),
        (svg('<path d="1 1"/>'), "number where a command is needed"),
        (svg('<path d="M0 0L1"/>'), "in the middle of L"),
        (svg('<path d="M0 0C1 1 2 2L3 3"/>'), "C lacks arguments before L"),
        (svg('<path d="M"/>'), "in the middle of M"),
        (svg('<path d="M0 0 x"/>'), "cannot read the path at"),
        (svg('<polyline points="0 0 1"/>'), "pairs of coordinates"),
        (svg('<polyline points="a b"/>'), "expected numbers"),
        (svg('<line x1="50%"/>'), "expected numbers"),
        (svg('<path transform="wobble(3)" d="M0 0"/>'), r"cannot read transform wobble\(3\)"),
        (svg('<path transform="rotate(1 2)" d="M0 0"/>'), "cannot read transform"),
        (svg('<path transform="spin" d="M0 0"/>'), "cannot read transform"),
        (svg('<path d="M1e30 0"/>'), "ordinary size"),
        (svg("<g>" * 300 + '<path d="M0 0"/>' + "</g>" * 300), "deep|well-formed"),
    ],
)
def test_bad_svg(read, text, message):
    with pytest.raises(InputError, match=message):
        read("a.svg", text)


def test_an_svg_with_the_standard_doctype_is_read(read):
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    assert points(read("a.svg", doctype + svg('<path d="M0 0"/>'))) == [[[0, 0]]]


def test_oversized_files_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("rnngen.ink_files.MAX_BYTES", 10)
    (tmp_path / "a.json").write_text("[[[0, 0], [1, 1]]]")
    with pytest.raises(InputError, match="over the limit of 10"):
        read_ink(tmp_path / "a.json")


def test_too_many_points(read, monkeypatch):
    monkeypatch.setattr("rnngen.ink_files.MAX_POINTS", 1)
    with pytest.raises(InputError, match="2 points, over the limit"):
        read("a.json", "[[[0, 0], [1, 1]]]")


def test_rotation_matches_its_definition(read):
    (stroke,) = read("a.svg", svg('<path transform="rotate(30)" d="M2 0"/>')).strokes
    np.testing.assert_allclose(stroke[0], [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])
