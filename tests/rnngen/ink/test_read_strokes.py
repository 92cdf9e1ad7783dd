"""Strokes from outside: what is read, what is refused and how."""

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnngen.errors import InputError
from rnngen.ink.read_strokes import read_ink
from rnngen.ink.svg import FLATTENING


@pytest.fixture
def read(tmp_path):
    def _read(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_ink(path)

    return _read


def points(ink):
    return [np.round(stroke, 9).tolist() for stroke in ink.strokes]


def seconds(ink):
    return ink.times and [np.round(t, 9).tolist() for t in ink.times]


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


PAD = [
    {"penColor": "black", "points": [{"time": 1000 + 16 * k, "x": k, "y": 2 * k, "pressure": 0.5} for k in range(3)]}
]
SCENE = {
    "type": "excalidraw",
    "elements": [
        {"type": "freedraw", "x": 10, "y": 20, "points": [[0, 0], [1, 2]], "angle": 0, "isDeleted": False},
        {"type": "text", "isDeleted": True},
        {"type": "freedraw", "x": 0, "y": 0, "points": [[5, 5]], "isDeleted": True},
    ],
}
TWO_POINTS, FOUR_COLUMNS = [[0, 1], [5, 6]], [[1, 2, 3, 4], [5, 6, 7, 8]]
FOUR_POINTS = [[1, 2], [3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("value", "strokes", "times"),
    [
        (PAD, [[[0, 0], [1, 2], [2, 4]]], [[1.0, 1.016, 1.032]]),  # signature_pad 4
        ([PAD[0]["points"]], [[[0, 0], [1, 2], [2, 4]]], [[1.0, 1.016, 1.032]]),  # signature_pad 2
        ([{"paths": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "drawMode": True}], [[[1, 2], [3, 4]]], None),
        ({"word": "cat", "drawing": [TWO_POINTS]}, [[[0, 5], [1, 6]]], None),  # Quick, Draw!, simplified
        ({"drawing": [[[0, 1, 2], [5, 6, 7], [0, 16, 32]]]}, [[[0, 5], [1, 6], [2, 7]]], [[0, 0.016, 0.032]]),  # raw
        ({"ink": [[[0, 1], [5, 6], [0.0, 0.5]]]}, [[[0, 5], [1, 6]]], [[0, 0.5]]),
        # the other stroke says whether two by two numbers are columns or points
        ([TWO_POINTS, FOUR_COLUMNS], [[[0, 5], [1, 6]], [[1, 5], [2, 6], [3, 7], [4, 8]]], None),
        ([TWO_POINTS, FOUR_POINTS], [TWO_POINTS, FOUR_POINTS], None),
        ([[[0], [5]], [[1, 2], [3, 4]]], [[[0, 5]], [[1, 3], [2, 4]]], None),
        ([[[0, 0, 0], [1, 1, 1], [2, 2, 2]]], [[[0, 0], [1, 1], [2, 2]]], [[0, 1, 2]]),
        # no pen takes sixteen seconds from point to point
        ([{"x": [1, 2], "y": [3, 4], "t": [0, 16]}], [[[1, 3], [2, 4]]], [[0, 0.016]]),
        (SCENE, [[[10, 20], [11, 22]]], None),
        ({"lines": [{"points": [{"x": 1, "y": 2}], "brushRadius": 3}], "width": 9}, [[[1, 2]]], None),
        ([[], [[1, 2]], {"x": [], "y": []}], [[[1, 2]]], None),
    ],
)
def test_json_of_the_trade(read, value, strokes, times):
    ink = read("a.json", json.dumps(value))
    assert points(ink) == strokes
    assert seconds(ink) == times


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("3", r"expected \{"),
        ('{"stroke": []}', r"expected \{"),
        ("[]", "no strokes"),
        ("[[]]", "no strokes"),
        ("[[[0, 1], [2]]]", "stroke 1, point 2"),
        ("[[[0, 1], [2, 3, 4]]]", "stroke 1, point 2"),
        ('[[["0", 1]]]', "stroke 1, point 1"),
        ("[[[true, 1]]]", "stroke 1, point 1"),
        ("[[[0, NaN]]]", "not JSON: NaN"),
        ("[[[0, 1e999]]]", "stroke 1, point 1"),
        ("[[[0, 1e12]]]", "not a number of ordinary size"),
        ('[{"x": [1], "y": [1, 2]}]', "equal length"),
        ('[{"x": [1]}]', "equal length"),
        ("[7]", "list of points"),
        ("[[0, 0, 0], [1, 1, 0], [2, 2, 1]]", "expected a list of strokes, got a list of points; .*stroke-3"),
        ("[[[0, 0, 0], [1, 1, 0], [2, 2, 1], [3, 0, 1]]]", "third numbers of its points are only 0 and 1, .*stroke-3"),
        (
            "[[[0, 0, 0.5], [1, 1, 0.4], [2, 2, 0.6], [3, 0, 0.3]]]",
            "third numbers of its points rise 1 times and fall 2",
        ),
        ("[[[0, 0, 0.5], [1, 1, 0.5], [2, 2, 0.5]]]", "rise 0 times and fall 0 times, so they are not times"),
        (json.dumps([FOUR_POINTS, FOUR_COLUMNS]), "some strokes are lists of points and some are columns"),
        (json.dumps([FOUR_COLUMNS, [[1, 2], [3, 4, 5]]]), "stroke 2: expected columns"),
        ('[{"points": [{"x": 1, "y": 2}, {"x": 1}]}]', "stroke 1, point 2"),
        ('[{"points": [{"x": 1, "y": 2, "time": 3}, {"x": 1, "y": 2}]}]', "stroke 1, point 2"),
        ('[{"points": [{"x": 1, "y": 2}], "compositeOperation": "destination-out"}]', "stroke 1: made with an eraser"),
        ('{"strokes": [[[1, 2]]], "strokes": []}', "the name 'strokes' occurs twice"),
        ('{"strokes": [], "drawing": []}', "both 'strokes' and 'drawing'"),
        ('{"drawing": []}\n{"drawing": []}', "not JSON: Extra data: line 2 .* one JSON value"),
        ("[[[1e11, 1, 5], [2, 2, 6]]]", "stroke 1 has a coordinate"),
        ('[{"x": [1, 2], "y": [1, 2], "t": [0, 1e200]}]', "stroke 1 has a time that is not a number of ordinary size"),
        ('{"type": "excalidraw", "elements": [{"type": "text"}]}', "element 1: 'text' is not a freehand stroke"),
        (
            '{"type": "excalidraw", "elements": [{"type": "freedraw", "x": 0, "points": []}]}',
            "element 1: a stroke that",
        ),
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


def trace_format(names, attributes=""):
    return "<traceFormat>" + "".join(f'<channel name="{name}" {attributes}/>' for name in names) + "</traceFormat>"


def context(identifier, inside):
    return f'<definitions><context xml:id="{identifier}">{inside}</context></definitions>'


RARE = """<traceFormat><channel name="X"/><channel name="Y"/><intermittentChannels><channel name="B1" type="boolean"/>
<channel name="B2" type="boolean"/></intermittentChannels></traceFormat>"""
SOURCE = (
    '<inkSource xml:id="s"><traceFormat xml:id="f"><channel name="Y"/><channel name="X"/></traceFormat></inkSource>'
)
REFERENCES = f"""<definitions>{SOURCE}<context xml:id="a" inkSourceRef="#s"/><context xml:id="b" traceFormatRef="#f"/>
<context xml:id="c" contextRef="#b"/></definitions><trace contextRef="#a">1 2</trace><trace contextRef="#b">1 2</trace>
<trace contextRef="#c">1 2</trace><trace contextRef="#DefaultContext">1 2</trace>"""
UNITS = f"""{context("a", trace_format("XY", 'units="mm"'))}{context("b", trace_format("XY", 'units="cm"'))}
<trace contextRef="#a">10 20</trace><trace contextRef="#b">1 2</trace>"""
CONTINUED = """<trace id="a" continuation="begin">1 2</trace><trace>0 0</trace>
<trace id="b" continuation="middle" priorRef="#a">3 4</trace><trace continuation="end" priorRef="#b">5 6</trace>"""
VIEWS = """<definitions><trace xml:id="a">1 2</trace><trace>9 9</trace>
<traceGroup xml:id="g"><trace>3 4</trace></traceGroup></definitions>
<trace>5 6</trace><traceView traceDataRef="#a"/><traceView traceDataRef="#g"/>"""
DIFFERENCES = """<trace>1 2, !5 !6, '1'1, **, "1"1, **, * *</trace>"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<trace xml:id="0">1 2</trace><trace xml:id="0">3 4</trace>', [[[1, 2]], [[3, 4]]]),
        ("<trace>1 2, <!-- half -->3 4<?p i?>, <![CDATA[5 6]]></trace>", [[[1, 2], [3, 4], [5, 6]]]),
        ("<trace>1 2, <annotation>a b</annotation>3 4</trace>", [[[1, 2], [3, 4]]]),
        ("<trace/><trace>1 2,</trace><trace> </trace>", [[[1, 2]]]),
        (DIFFERENCES, [[[1, 2], [5, 6], [6, 7], [7, 8], [9, 10], [12, 13], [16, 17]]]),
        ('<trace>1 2, "1"1, **</trace>', [[[1, 2], [2, 3], [4, 5]]]),
        ("<trace>#A -#1f, 1.5-2, 3+4</trace>", [[[10, -31], [1.5, -2], [3, 4]]]),
        (RARE + "<trace>1 2 T, 3 4, 5 6 F T</trace>", [[[1, 2], [3, 4], [5, 6]]]),
        (trace_format("XY", 'orientation="-ve"') + "<trace>1 2</trace>", [[[-1, -2]]]),
        # formats: by reference, of a group, the only one, of the stream, of a source
        (context("c", trace_format("YX")) + '<trace contextRef="#c">1 2</trace>', [[[2, 1]]]),
        (context("c", trace_format("YX")) + '<traceGroup contextRef="#c"><trace>1 2</trace></traceGroup>', [[[2, 1]]]),
        (context("c", trace_format("YX")) + "<trace>1 2</trace>", [[[2, 1]]]),
        (trace_format("YX") + "<trace>1 2</trace>" + trace_format("XY") + "<trace>1 2</trace>", [[[2, 1]], [[1, 2]]]),
        ("<context>" + trace_format("YX") + "</context><trace>1 2</trace>", [[[2, 1]]]),
        (context("c", SOURCE) + '<trace contextRef="#c">1 2</trace>', [[[2, 1]]]),
        (REFERENCES, [[[2, 1]], [[2, 1]], [[2, 1]], [[1, 2]]]),
        (UNITS, [[[10, 20]], [[10, 20]]]),
        (CONTINUED, [[[1, 2], [3, 4], [5, 6]], [[0, 0]]]),
        (VIEWS, [[[1, 2]], [[3, 4]], [[5, 6]]]),
        ("<annotationXML><trace>9 9</trace></annotationXML><trace>1 2</trace>", [[[1, 2]]]),
        # the tip switch
        (
            trace_format("XYS") + '<trace type="indeterminate">1 2 T, 3 4 T, 5 6 F, 7 8 T</trace>',
            [[[1, 2], [3, 4]], [[7, 8]]],
        ),
    ],
)
def test_inkml_features(read, body, expected):
    assert points(read("a.inkml", INK.format(body))) == expected


@pytest.mark.parametrize(
    ("attributes", "body", "times"),
    [
        ('units="s"', "<trace>1 2 0, 3 4 0.5</trace>", [[0, 0.5]]),
        ('units="ms"', "<trace>1 2 0, 3 4 500</trace>", [[0, 0.5]]),
        ('units="dev"', "<trace>1 2 0, 3 4 500</trace>", [[0, 0.5]]),
        ("", "<trace>1 2 0, 3 4 500</trace>", [[0, 0.5]]),
        ("", "<trace>1 2 0, 3 4 0.01</trace>", [[0, 0.01]]),  # no pen reports a point each hundredth of a millisecond
        ("", '<trace>1 2 0</trace><trace timeOffset="700">1 2 0, 3 4 10</trace>', [[0], [0.7, 0.71]]),
        ("", '<trace>1 2 0</trace><trace timeOffset="700">1 2 700, 3 4 710</trace>', [[0], [0.7, 0.71]]),
        ('respectTo="#t"', '<trace timeOffset="700">1 2 0, 3 4 10</trace>', [[0, 0.01]]),
        ("", "<trace>1 2 ?, 3 4 10</trace>", None),
    ],
)
def test_inkml_times(read, attributes, body, times):
    form = trace_format("XY").replace("</", f'<channel name="T" {attributes}/></')
    assert seconds(read("a.inkml", INK.format(form + body))) == times


def test_inkml_of_a_device_with_resolutions_of_its_own(read):
    properties = "".join(
        f'<channelProperty channel="{name}" name="resolution" value="{value}" units="1/{unit}"/>'
        for name, value, unit in [("X", 100, "cm"), ("Y", 50, "cm"), ("T", 200, "s")]
    )
    source = trace_format("XYT", 'units="dev"') + f"<channelProperties>{properties}</channelProperties>"
    body = context("c", f"<inkSource>{source}</inkSource>") + '<trace contextRef="#c">10 10 0, 20 20 100</trace>'
    ink = read("a.inkml", INK.format(body))
    assert points(ink) == [[[10, 20], [20, 40]]] and seconds(ink) == [[0, 0.5]]


def test_pen_up_traces_are_no_ink(read):
    ink = read("a.inkml", INK.format('<trace>0 0</trace><trace type="penUp">5 5</trace>'))
    assert points(ink) == [[[0, 0]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<svg/>", "root element is <svg>, expected <ink>"),
        ("<ink>", "not well-formed"),
        ("<ink/>", "no strokes"),
        ("<ink><trace></trace></ink>", "no strokes"),
        ("<ink><trace>1 2, 3</trace></ink>", "point 2 is '3', expected 2 values"),
        ("<ink><trace>1 2 3</trace></ink>", "point 1 is '1 2 3', expected 2 values"),
        ("<ink><trace>a b</trace></ink>", "point 1 is 'a b'"),
        ("<ink><trace>1 ?</trace></ink>", "line 1: point 1 does not report its X or Y"),
        ('<ink><traceFormat><channel name="X"/></traceFormat><trace>1 2</trace></ink>', "no X and Y channel, only X"),
        ("<ink><trace>1 2, <b>3 4</b> 5 6</trace></ink>", "line 1: <b> in a trace"),
        (
            '<ink><brush xml:id="b"><brushProperty name="rasterOp" value="maskPen"/></brush>'
            '<trace brushRef="#b">1 2</trace></ink>',
            "line 1: a stroke of a highlighter",
        ),
        ("<ink><trace>'1 2</trace></ink>", "a difference from a value that is not there"),
        ("<ink><trace>* 2</trace></ink>", "point 1 does not report its X or Y"),
        ("<ink><trace>1,5 2,5</trace></ink>", "point 1 is '1', expected 2 values"),
        ("<ink><trace>1 2\n3 4</trace></ink>", "expected 2 values"),
        ("<ink><trace>#" + "f" * 17 + " 2</trace></ink>", "expected 2 values"),
        ("<ink><trace>1e400 2</trace></ink>", "not a number of ordinary size"),
        (f"<ink>{trace_format('XYF')}<trace>1 2</trace></ink>", "point 1 is '1 2', expected 3 values"),
        (f"<ink>{RARE}<trace>1 2 T F T</trace></ink>", "expected 2 values to 4"),
        (f"<ink>{trace_format('XYT')}<trace>1 2 1e999</trace></ink>", "stroke 1 has a time that is not a number"),
        (
            "<ink><traceFormat><channel name='X'/><channel name='Y'/><channel name='T' units='mile'/></traceFormat>"
            "<trace>1 2 3</trace></ink>",
            "T in units of 'mile'; use s or ms",
        ),
        ('<ink><trace contextRef="#c">1 2</trace></ink>', "contextRef='#c' names 0 <context>"),
        (
            '<ink><context xml:id="a" contextRef="#b"/><context xml:id="b" contextRef="#a"/></ink>',
            "contexts refer to each other in a circle",
        ),
        (
            f"<ink>{context('a', trace_format('XY'))}{context('b', trace_format('YX'))}<trace>1 2</trace></ink>",
            "which of 2 trace formats it has is not said; add contextRef",
        ),
        ("<ink><definitions><trace>1 2</trace></definitions></ink>", "its 1 traces are definitions"),
        ('<ink><trace type="indeterminate">1 2</trace></ink>', "does not say whether the pen touched"),
        (
            "<ink><context><traceFormat/><canvasTransform><mapping type='affine'/></canvasTransform></context></ink>",
            "a mapping of type 'affine' is not read",
        ),
        ('<ink><trace continuation="end">1 2</trace></ink>', "line 1: a continued trace without the trace before it"),
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
        ('<polygon stroke="red" points="0 0 1 0 1 1"/>', [[[0, 0], [1, 0], [1, 1], [0, 0]]]),
        ('<line x1="1" y1="2" x2="3"/>', [[[1, 2], [3, 0]]]),
        ('<path d="M1,2 3,4 5,6"/>', [[[1, 2], [3, 4], [5, 6]]]),
        ('<path d="m1 2 3 4l5 6h7v-8H0V0"/>', [[[1, 2], [4, 6], [9, 12], [16, 12], [16, 4], [0, 4], [0, 0]]]),
        ('<path d="M0 0L1 0M5 5l1 1"/>', [[[0, 0], [1, 0]], [[5, 5], [6, 6]]]),
        ('<path stroke="red" d="M0 0L1 0L1 1zl2 2"/>', [[[0, 0], [1, 0], [1, 1], [0, 0], [2, 2]]]),
        (
            '<path stroke="red" d="M0 0L1 0L1 1zM2 2L3 3zz"/>',
            [[[0, 0], [1, 0], [1, 1], [0, 0]], [[2, 2], [3, 3], [2, 2]]],
        ),
        ('<path d="M9 9M0 0L1 1m7 7M8 8"/>', [[[0, 0], [1, 1]]]),
        ('<path d="M1 2Z"/>', [[[1, 2]]]),
        ('<path d="M.5.5-1-1"/>', [[[0.5, 0.5], [-1, -1]]]),
        ('<path d="M1e1 0L2E-1 0"/>', [[[10, 0], [0.2, 0]]]),
        ('<g transform="translate(10 20)"><path transform="scale(2)" d="M1 1L2 2"/></g>', [[[12, 22], [14, 24]]]),
        ('<path transform="rotate(90)" d="M1 0z"/>', [[[0, 1]]]),
        ('<path transform="rotate(90 1 1)" d="M1 0z"/>', [[[2, 1]]]),
        ('<path transform="matrix(1 2 3 4 5 6) scale(1, -1)" d="M1 -1z"/>', [[[9, 12]]]),
        ('<path transform="skewX(45)" d="M0 1z"/>', [[[1, 1]]]),
        ('<rect width="9" height="9" fill="white"/><path d="M0 0z"/>', [[[0, 0]]]),
        ('<defs><path d="M9 9"/></defs><title>x</title><path d="M0 0z"/>', [[[0, 0]]]),
    ],
)
def test_svg_shapes(read, body, expected):
    assert points(read("a.svg", svg(body))) == expected


STROKED = '<path d="M0 0L10 10L20 0" fill="none" stroke="black"/>'
INK_OF_IT = [[0, 0], [10, 10], [20, 0]]
LINE = '<path d="M1 1L2 2" stroke="red"/>'
OUTLINE = '<path d="M3 3C4 4 5 5 6 6C5 7 4 6 3 3z" fill="black"/>'


@pytest.mark.parametrize(
    "nothing",
    [
        f'<g style="display:none">{LINE}</g>',
        f'<g display="none">{LINE}<text>a</text></g>',
        f'<style>.hidden {{ display: none }}</style><g class="a hidden">{LINE}</g>',
        f'<g opacity="0">{LINE}</g>',
        f'<g visibility="hidden">{LINE}<image/></g>',
        *(
            f"<{name}>{LINE}</{name}>"
            for name in ("defs", "clipPath", "mask", "pattern", "symbol", "marker", "metadata")
        ),
        '<path d="M1 1L2 2" stroke="none" fill="none"/>',
        '<path d="M1 1L2 2h9z" fill="none"/>',
        '<path d="M1 1L2 2" fill="none" stroke="red" stroke-opacity="0"/>',
        '<path d="M1 1L2 2" fill="none" stroke="rgba(0, 0, 0, 0)"/>',
        '<path d="M1 1L2 2" stroke="red" stroke-width="0px"/>',
        '<path d="M-9 -9h99v99h-99z" fill="#ffffff"/>',
        '<polygon points="-9,-9 99,-9 99,99 -9,99" style="fill:white;stroke:none"/>',
        '<path d="M-9 -9h99v99h-99z" fill="#ffffff" stroke="gray"/>',
        '<rect x="-9" y="-9" width="99" height="99"/>',
        '<path d="M5 5"/><path d="M5 5M6 6m1 1"/><path d=""/><path/><path d="none"/>',
        '<polyline points=""/><polygon points=" "/>',
        '<x:path xmlns:x="urn:x" d="M1 1L2 2"/>',
        "<style>@import url(a.css); @keyframes k { to { opacity: 0 } } @media print { path { display: none } }</style>",
        "<!-- <path d='M1 1L2 2'/> --><?p <path/> ?>",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_what_is_not_drawn_is_no_ink(read, nothing, before):
    assert points(read("a.svg", svg(nothing + STROKED if before else STROKED + nothing))) == [INK_OF_IT]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            f'<g visibility="hidden"><path visibility="visible" d="M1 1L2 2"/></g>{STROKED}',
            [[[1, 1], [2, 2]], INK_OF_IT],
        ),
        (
            '<style>/* a */ .s { fill: none; stroke: #000 }</style><path class="s" d="M0 0L1 0L1 1z"/>',
            [[[0, 0], [1, 0], [1, 1], [0, 0]]],
        ),
        ('<style>path { stroke: none } .s { stroke: red }</style><path class="s" d="M0 0L1 1"/>', [[[0, 0], [1, 1]]]),
        ('<style>#p{display:none}</style><path id="p" style="display:inline" d="M0 0L1 1"/>', [[[0, 0], [1, 1]]]),
        # pieces that begin where the last one ended
        (
            '<polyline points="0,0 1,1"/><polyline points="1,1 2,0"/><line x1="5" y1="5" x2="6" y2="6"/>',
            [[[0, 0], [1, 1], [2, 0]], [[5, 5], [6, 6]]],
        ),
        (
            '<line x1="0" y1="0" x2="1" y2="1"/><line x1="1" y1="1" x2="2" y2="0"/><line x1="2" y1="0" x2="3" y2="1"/>',
            [[[0, 0], [1, 1], [2, 0], [3, 1]]],
        ),
        (
            '<path d="M0 0L1 1" stroke="red"/><g transform="translate(1 1)"><path d="M0 0L1 1" stroke="blue"/></g>',
            [[[0, 0], [1, 1], [2, 2]]],
        ),
        # dots
        (
            f'{STROKED}<circle cx="5" cy="6" r="1"/><ellipse cx="7" cy="6" rx="1" ry=".5" fill="red"/>',
            [INK_OF_IT, [[5, 6]], [[7, 6]]],
        ),
        ('<polyline points="5,6"/><path d="M1 2z"/>', [[[5, 6]], [[1, 2]]]),
        # places
        (f'<defs><g id="a">{LINE}</g></defs><use href="#a" x="10" y="20"/>', [[[11, 21], [12, 22]]]),
        (f'<symbol id="a">{LINE}</symbol><use href="#a" transform="scale(2)"/>', [[[2, 2], [4, 4]]]),
        (f'<svg x="10" y="20" width="100" height="50" viewBox="0 0 10 10">{LINE}</svg>', [[[40, 25], [45, 30]]]),
        (
            f'<svg x="10" width="100" height="50" viewBox="0 0 10 10" preserveAspectRatio="none">{LINE}</svg>',
            [[[20, 5], [30, 10]]],
        ),
        (f'<switch><foreignObject requiredExtensions="x"/><g>{LINE}</g><g>{STROKED}</g></switch>', [[[1, 1], [2, 2]]]),
        ('<path style="transform: translate(10px, 5px) rotate(90deg)" d="M0 0L1 0"/>', [[[10, 5], [10, 6]]]),
        ('<line x1="1in" y1="25.4mm" x2="36pt" y2="6pc"/>', [[[96, 96], [48, 96]]]),
    ],
)
def test_svg_paint_places_and_pieces(read, body, expected):
    assert points(read("a.svg", svg(body))) == expected


@pytest.mark.parametrize(
    "data", ["M0 0A5 5 0 0 1 10 0", "M0 0a5 5 0 0110 0", "M0 0A1 1 0 0 1 10 0", "M0 0a5,5,45,1,1,10,0"]
)
def test_svg_arcs_are_flattened_onto_the_circle(read, data):
    (arc,) = read("a.svg", svg(f'<path d="{data}"/>')).strokes
    np.testing.assert_allclose(np.hypot(arc[:, 0] - 5, arc[:, 1]), 5, atol=1e-9)
    assert arc[[0, -1]].tolist() == [[0, 0], [10, 0]] and arc[:, 1].min() == pytest.approx(-5)


def test_svg_arcs_of_an_ellipse_that_is_turned(read):
    # a quarter of the ellipse with radii 4 and 2, turned by 30°, from its one axis to the other, and the other three
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    for large, sweep, pieces in [(0, 1, 1), (1, 0, 3)]:
        (arc,) = read("a.svg", svg(f'<path d="M{4 * c} {4 * s}A4 2 30 {large} {sweep} {-2 * s} {2 * c}"/>')).strokes
        along, across = arc @ np.array([c, s]), arc @ np.array([-s, c])
        np.testing.assert_allclose((along / 4) ** 2 + (across / 2) ** 2, 1, atol=1e-9)
        assert len(arc) == pieces * FLATTENING + 1
        assert (along.min() < -3.9) == (large == 1)


def test_an_svg_stretched_by_its_viewport(read):
    size = '<svg width="1in" height="2in" viewBox="0 0 9 9" preserveAspectRatio="none"'
    assert points(read("a.svg", svg(LINE).replace("<svg", size))) == [[[1, 2], [2, 4]]]


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


LOST = """<!DOCTYPE svg SYSTEM "nowhere.dtd"><svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L&a;1 1"/></svg>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOST, "declares XML entities"),
        ("<html/>", "root element is <html>, expected <svg>"),
        (BOMB, "declares XML entities"),
        (OUTSIDE, "declares XML entities"),
        (svg(""), "no strokes"),
        (svg('<circle r="3"/>'), "<circle> is not a pen stroke"),
        (svg(STROKED + '<circle r="3"/>'), "<circle> is not a pen stroke, but too large a dot"),
        (svg(STROKED + '<circle r="1" fill="none" stroke="red"/>'), "<circle> is not a pen stroke"),
        (svg(OUTLINE), "line 1: a filled <path>, which is an outline"),
        (svg(STROKED + OUTLINE.replace("/>", ' stroke="black"/>')), "line 1: a filled <path>, which is an outline"),
        (svg(STROKED + OUTLINE), "line 1: a filled <path>, which is an outline"),
        (svg('<path d="M0 0C1 1 2 2 3 3L9 0z"/>'), "line 1: a filled <path>, which is an outline"),
        (svg('<path d="M-9 -9h99v99h-99z" fill="#ffffff"/>'), "line 1: a filled <path>, which is an outline"),
        (svg("<style>g path { stroke: none }</style>" + STROKED), "a style sheet with 'g path'"),
        (svg("<style>@media screen { path { stroke: none } }</style>" + STROKED), "a style sheet with '@media screen'"),
        (svg("<style>path { stroke: none </style>" + STROKED), "braces do not match"),
        (svg("<style>path } stroke: none }</style>" + STROKED), "braces do not match"),
        (svg('<g id="a"><use href="#a"/></g>'), "nested more than 200 deep"),
        (svg('<use href="other.svg#a"/>'), "<use> of 'other.svg#a', which is not in the file"),
        (svg(f'<svg viewBox="0 0 1 1">{LINE}</svg>'), "<svg> with viewBox= needs its width= and height="),
        (svg(f'<switch><g systemLanguage="en">{LINE}</g></switch>'), "a <switch> between languages"),
        (svg('<g style="transform: rotate(9deg); transform-origin: center"/>'), "transform-origin is not read"),
        (svg('<path transform="rotate(1e999)" d="M0 0L1 1"/>'), "expected numbers"),
        (svg('<x:v xmlns:x="http://www.inkscape.org/namespaces/inkscape"><x:page/><x:page/></x:v>'), "2 pages"),
        (svg('<rect stroke="black"/>'), "<rect> is not a pen stroke"),
        (svg('<line x1="" y1="1"/>'), "x1='' is not a length"),
        (svg('<line x1="1 2" y1="1"/>'), "x1='1 2' is not a length"),
        (svg('<use href="#a"/>'), "<use> of '#a', which is not in the file"),
        (svg('<image href="http://example.org/a.png"/>'), "<image> is not a pen stroke"),
        (svg("<text>a</text>"), "<text> is not a pen stroke"),
        (svg('<path d="M0 0A1 1 0 2 0 2 2"/>'), "cannot read the path at ' 2 0 2 2'"),
        (svg('<path d="M0 0 L M1 1"/>'), "L lacks arguments before M"),
        (svg('<path d="L1 1"/>'), "must begin with M"),
        (svg('<path d="1 1"/>'), "number where a command is needed"),
        (svg('<path d="M0 0L1"/>'), "in the middle of L"),
        (svg('<path d="M0 0C1 1 2 2L3 3"/>'), "C lacks arguments before L"),
        (svg('<path d="M"/>'), "in the middle of M"),
        (svg('<path d="M0 0 x"/>'), "cannot read the path at"),
        (svg('<polyline points="0 0 1"/>'), "pairs of coordinates"),
        (svg('<polyline points="a b"/>'), "expected numbers"),
        (svg('<line x1="50%"/>'), "x1='50%' is not a length"),
        (svg('<path transform="wobble(3)" d="M0 0z"/>'), r"cannot read transform wobble\(3\)"),
        (svg('<path transform="rotate(1 2)" d="M0 0"/>'), "cannot read transform"),
        (svg('<path transform="spin" d="M0 0"/>'), "cannot read transform"),
        (svg('<path d="M1e30 0"/>'), "ordinary size"),
        (svg("<g>" * 230 + '<path d="M0 0z"/>' + "</g>" * 230), "nested more than 200 deep"),
        (svg("<g>" * 300 + '<path d="M0 0z"/>' + "</g>" * 300), "not well-formed XML"),
    ],
)
def test_bad_svg(read, text, message):
    with pytest.raises(InputError, match=message):
        read("a.svg", text)


def test_an_svg_with_the_standard_doctype_is_read(read):
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    assert points(read("a.svg", doctype + svg('<path d="M0 0z"/>'))) == [[[0, 0]]]


def test_oversized_files_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("rnngen.ink.read_strokes.MAX_BYTES", 10)
    (tmp_path / "a.json").write_text("[[[0, 0], [1, 1]]]")
    with pytest.raises(InputError, match="over the limit of 10"):
        read_ink(tmp_path / "a.json")


def test_too_many_points(read, monkeypatch):
    monkeypatch.setattr("rnngen.ink.read_strokes.MAX_POINTS", 1)
    with pytest.raises(InputError, match="over the limit of 1 points"):
        read("a.json", "[[[0, 0], [1, 1]]]")


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "[[], [], [], [[1, 2]]]"), ("a.inkml", "<ink><trace/><traceGroup><trace/><trace/></traceGroup></ink>")],
)
def test_too_many_strokes(read, monkeypatch, name, text):
    for module in ("stroke_json", "inkml"):
        monkeypatch.setattr(f"rnngen.ink.{module}.MAX_STROKES", 2)
    with pytest.raises(InputError, match="over the limit of 2"):
        read(name, text)


def test_too_many_points_of_one_shape(read, monkeypatch):
    for module in ("svg", "inkml"):
        monkeypatch.setattr(f"rnngen.ink.{module}.MAX_POINTS", 2)
    for name, text in [
        ("a.svg", svg('<path d="M0 0L1 1 2 2 3 3"/>')),
        ("a.svg", svg('<polyline points="0,0 1,1 2,2"/>')),
        ("a.inkml", "<ink><trace>1 2, 3 4, 5 6, 7 8</trace></ink>"),
        ("a.inkml", "<ink><trace>1 2, 3 4</trace><trace>5 6</trace></ink>"),
    ]:
        with pytest.raises(InputError, match="line 1: over the limit of 2 points"):
            read(name, text)


def test_rotation_matches_its_definition(read):
    (stroke,) = read("a.svg", svg('<path transform="rotate(30)" d="M2 0z"/>')).strokes
    np.testing.assert_allclose(stroke[0], [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])


def test_use_that_multiplies_is_refused(read):
    groups = "".join(f'<g id="a{k}"><use href="#a{k + 1}"/><use href="#a{k + 1}"/></g>' for k in range(60))
    with pytest.raises(InputError, match="over the limit of 50000 elements"):
        read("a.svg", svg(f'{groups}<path id="a60" d="M0 0L1 1"/>'))


def test_no_dtd_is_read(read, tmp_path):
    (tmp_path / "a.dtd").write_text('<!ENTITY a "1 1"><!ATTLIST path d CDATA "M7 7L8 8">')
    for numeric in ("", ' xml:id="1"'):
        text = f'<!DOCTYPE svg SYSTEM "{(tmp_path / "a.dtd").as_uri()}"><svg{numeric}><path/><path d="M0 0L1 1"/></svg>'
        assert points(read("a.svg", text)) == [[[0, 0], [1, 1]]]


# --- Xournal++, gzip ---


def page(layer):
    return f'<xournal><title>a</title><page width="9"><background/><layer>{layer}</layer></page></xournal>'


PEN = '<stroke tool="pen" color="#000000ff" width="1.41 0.8 0.9">1 2 3.5 -4</stroke>'


@pytest.mark.parametrize("name", ["a.xopp", "a.xoj"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_pages_of_xournal(read, name, pack):
    ink = read(name, pack(page(PEN + "<stroke>5 6</stroke>").encode()))
    assert points(ink) == [[[1, 2], [3.5, -4]], [[5, 6]]] and ink.times is None


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('<stroke tool="highlighter">1 2</stroke>', "line 1: a stroke of the highlighter, not of a pen"),
        ('<stroke tool="eraser">1 2</stroke>', "line 1: a stroke of the eraser"),
        ("<text>a</text>", "line 1: <text> is not a pen stroke"),
        ("<stroke>1 2 3</stroke>", "expected x y x y … with decimal points, got '1 2 3'"),
        ("<stroke>1,5 2,5</stroke>", "with decimal points, got '1,5 2,5'"),
        ("<stroke>1 nan</stroke>", "expected numbers"),
        ("<stroke>1 2<b/>3 4</stroke>", "<b> in a stroke"),
        (f"{PEN}</layer></page><page><layer>{PEN}", "writing on a second page"),
        ("", "no strokes"),
    ],
)
def test_bad_xournal(read, layer, message):
    with pytest.raises(InputError, match=message):
        read("a.xopp", gzip.compress(page(layer).encode()))


PACKED = gzip.compress(svg(STROKED).encode(), mtime=0)


def test_a_packed_svg(read):
    assert points(read("a.svgz", PACKED)) == [INK_OF_IT]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PACKED[:-5], "damaged, its gzip data do not unpack"),
        (PACKED + b"more", "damaged, its gzip data do not unpack"),
        (PACKED[:30] + bytes([PACKED[30] ^ 1]) + PACKED[31:], "damaged, its gzip data do not unpack"),
        (gzip.compress(bytes(11_000_000)), "over the limit of 10000000 bytes when unpacked"),
    ],
)
def test_damaged_gzip(read, data, message):
    with pytest.raises(InputError, match=message):
        read("a.svgz", data)
