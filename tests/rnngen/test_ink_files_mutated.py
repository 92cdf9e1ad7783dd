"""Files of ink that were damaged at random: read, or refused in a line; no point vanishes on the way."""

import gzip
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rnngen.errors import LONGEST_MESSAGE, InputError
from rnngen.ink.read_strokes import read_ink

INKML = """<?xml version="1.0"?><ink xmlns="http://www.w3.org/2003/InkML"><definitions><context xml:id="c"><inkSource>
<traceFormat><channel name="X" units="mm"/><channel name="Y" units="mm"/><intermittentChannels>
<channel name="T" units="ms"/></intermittentChannels></traceFormat></inkSource></context></definitions>
<traceGroup contextRef="#c"><trace id="a">1 2 0, '1'1'8, 2 2, ** *</trace><trace type="penUp">1 1 1</trace></traceGroup>
<trace contextRef="#c" timeOffset="90">#1A 7 9, "1"1, 3-5 .5</trace>
<trace continuation="end" priorRef="#a" contextRef="#c">4 4 1</trace></ink>"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="9mm" height="9mm">
<style>.a{fill:none;stroke:red} #b{display:none}</style><defs><path id="d" d="M1 1h1"/></defs>
<g class="a" transform="translate(1,2) scale(2)">
<path d="M0 0L1 1c1 1 2-2 3 3s.5.5 1 1q1 1 2 2t1 1a5 5 30 0110 1H4v-3zM5 5l1 1"/><polyline points="0,0 1,1 2 3"/></g>
<g style="visibility:hidden"><line x2="3"/></g><use href="#d" x="1in"/><circle cx="3" cy="3" r=".1"/>
<path id="b"/><rect/></svg>"""
XOURNAL = """<xournal><title>a</title><page width="9"><background/><layer>
<stroke tool="pen" width="1.4">1 2 3.5 4 -5e1 6</stroke><stroke>7 8</stroke></layer></page></xournal>"""
POINTS = json.dumps([[[k, k * k / 7, 0.01 * k] for k in range(6)], [[3, 4, 0.2]], [[1e3, -2, 0.3], [5, 6, 0.4]]])
PAD = json.dumps([{"points": [{"x": k, "y": 2.5, "time": 16 * k} for k in range(4)], "dotSize": 0}] * 2)
DRAWING = json.dumps({"drawing": [[[0, 1, 2, 3], [4, 5, 6, 7], [0, 16, 32, 48]], [[0, 1], [4, 5], [60, 76]]]})
EXCALIDRAW = json.dumps(
    {"type": "excalidraw", "elements": [{"type": "freedraw", "x": 1, "y": 2, "points": [[0, 0], [1, 2]], "angle": 0}]}
)
SEEDS = [
    ("a.inkml", INKML),
    ("a.svg", SVG),
    ("a.xopp", XOURNAL),
    *(("a.json", text) for text in (POINTS, PAD, DRAWING, EXCALIDRAW)),
]
PIECES = [
    *"<>/\"=#&;:,.-+!*?()[]{}'\n\t 0179eETFMmLlZzAaCsQt",
    *(
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?a?>",
        "&a;",
        "&#0;",
        "&lt;",
        "<g>",
        "</g>",
        "<trace>",
        "</trace>",
        "<path/>",
    ),
    *("1e999", "-1e-999", "nan", "inf", "null", "true", "9" * 400, "\x00", "\ufeff", "\ud7ff", "é", "٣", "\u2028"),
    *(' d="', " display='none'", ' id="a"', "url(#a)", "!important", "NaN", "Infinity", "[1, 2]", '{"x": 1}', "e308"),
]
changes = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.text(max_size=3)),
    min_size=1,
    max_size=4,
)


def changed(text, edits):
    """`text` with pieces put at places in it, in place of some of its characters."""
    for at, cut, piece in edits:
        k = round(at * len(text))
        text = text[:k] + piece + text[k + cut :]
    return text


def attempt(path, data):
    """The ink in `data`, or None where it is refused; whatever else happens is an error."""
    path.write_bytes(data)
    try:
        ink = read_ink(path)
    except InputError as error:
        message = str(error)
        assert path.name in message and message.isprintable() and len(message) <= LONGEST_MESSAGE
        return None
    assert ink.strokes and all(len(stroke) and np.isfinite(stroke).all() for stroke in ink.strokes)
    assert ink.times is None or all(np.isfinite(t).all() for t in ink.times)
    return ink


def test_the_seeds_are_read(tmp_path):
    read = [[len(stroke) for stroke in attempt(tmp_path / name, text.encode()).strokes] for name, text in SEEDS]
    assert [len(lengths) for lengths in read] == [2, 5, 2, 3, 2, 2, 1]
    assert read[0] == [5, 3] and read[2:] == [[3, 1], [6, 1, 2], [4, 4], [4, 2], [2]]


@pytest.mark.parametrize(("name", "text"), SEEDS)
@settings(max_examples=150, deadline=None)
@given(edits=changes)
def test_damage_is_read_or_refused(tmp_path_factory, name, text, edits):
    attempt(tmp_path_factory.getbasetemp() / name, changed(text, edits).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damage_of_packed_bytes_is_refused(tmp_path_factory, at, bit):
    whole = gzip.compress(XOURNAL.encode(), mtime=0)
    path = tmp_path_factory.getbasetemp() / "packed.xopp"
    k = int(at * len(whole))
    damaged = attempt(path, whole[:k] + bytes([whole[k] ^ 1 << bit]) + whole[k + 1 :])
    if damaged is not None:  # a bit of the header that says nothing of the content
        assert k < 10
        intact = attempt(path, whole)
        assert all(map(np.array_equal, damaged.strokes, intact.strokes))


coordinates = st.integers(-(10**6), 10**6).map(lambda n: n / 100)
drawings = st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=5), min_size=1, max_size=4)
nothing = st.lists(st.sampled_from(["", " ", "\n", "<!-- 1 2, -->", "<?x 1 2?>"]), max_size=3).map("".join)
unseen = st.sampled_from(
    [
        "",
        "<defs><path d='M9 9L8 8'/></defs>",
        "<g display='none'><path d='M9 9L8 8'/></g>",
        "<path d='M7 7'/>",
        "<desc>a</desc>",
    ]
)


@settings(max_examples=100, deadline=None)
@given(strokes=drawings, data=st.data())
def test_what_means_nothing_changes_nothing(tmp_path_factory, strokes, data):
    folder = tmp_path_factory.getbasetemp()
    expected = [np.array(stroke) for stroke in strokes]
    touching = any(before[-1] == after[0] for before, after in pairwise(strokes))

    def blank():
        return data.draw(nothing)

    traces = (f"<trace>{','.join(f'{blank()}{x} {y}{blank()}' for x, y in s)}</trace>" for s in strokes)
    inkml = attempt(folder / "same.inkml", f"<ink>{''.join(blank() + trace for trace in traces)}</ink>".encode())
    sheets = (f"<stroke>{' '.join(f'{blank()} {x} {y}' for x, y in s)}</stroke>" for s in strokes)
    page = f"<page><layer>{''.join(sheets)}</layer></page>"
    xournal = attempt(folder / "same.xopp", f"<xournal>{page}</xournal>".encode())
    paths = (f'<path stroke="red" d="M{"L".join(f"{x},{y}" for x, y in s)}"/>' for s in strokes)
    body = "".join(f"{blank()}{data.draw(unseen)}<g>{path}</g>" for path in paths)
    svg = attempt(folder / "same.svg", f'<svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode())
    for ink in (inkml, xournal, svg)[: 2 if touching else 3]:
        assert len(ink.strokes) == len(expected) and all(map(np.array_equal, ink.strokes, expected))


@settings(max_examples=300, deadline=None)
@example(edits=[(0.5, 0, "<!-- half -->")])
@example(edits=[(0.5, 0, "<b/>")])
@given(
    edits=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 3),
            st.sampled_from(
                [*",' \"!*0123456789.-eE#?TF\n", "<!-- 1 2, -->", "<b/>", "<b>1 2,</b>", "<annotation/>", "<?a?>"]
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_no_point_of_a_trace_is_lost(tmp_path_factory, edits):
    text = changed("10 20,'3'4,'5'6,70 80,90-12,13 14,15 16,17.5 .25", edits)
    ink = attempt(tmp_path_factory.getbasetemp() / "lost.inkml", f"<ink><trace>{text}</trace></ink>".encode())
    plain = re.sub(r"<!--.*?-->|<[^>]*>", "", text)
    assert ink is None or [len(stroke) for stroke in ink.strokes] == [sum(bool(p.strip()) for p in plain.split(","))]


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.floats(0.2, 1), st.integers(0, 3), st.sampled_from([*", \n\tLl0123456789.-+eE;x", "1 2"])),
        max_size=3,
    )
)
@pytest.mark.parametrize("kind", ["path", "polyline"])
def test_no_number_of_a_shape_is_lost(tmp_path_factory, kind, edits):
    text = changed("10 20 30 40 5.5-6 .5.5 1e1,70 80 90 11 12", edits)
    element = f'<path d="M{text}"/>' if kind == "path" else f'<polyline points="{text}"/>'
    ink = attempt(tmp_path_factory.getbasetemp() / "lost.svg", f"<svg>{element}</svg>".encode())
    numbers = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)
    assert ink is None or sum(map(len, ink.strokes)) * 2 == len(numbers)
    assert ink is None or not re.search(r"[^\d\s,.eE+-]" if kind == "polyline" else r"[^\d\s,.eE+Ll-]", text)


@settings(max_examples=300, deadline=None)
@given(edits=changes)
def test_no_point_of_a_list_is_lost(tmp_path_factory, edits):
    text = changed(POINTS, edits)
    ink = attempt(tmp_path_factory.getbasetemp() / "lost.json", text.encode("utf-8", "surrogatepass"))
    if ink is None:
        return

    def innermost(value):
        inner = [part for part in value if isinstance(part, list)]
        return [value] if not inner and value else [found for part in inner for found in innermost(part)]

    lists = innermost(json.loads(text))
    numbers, points = sum(map(len, lists)), sum(map(len, ink.strokes))
    assert points == len(lists) or numbers in (2 * points, 3 * points)
