import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngen.corpora.archives import Refusals, members
from rnngen.corpora.handwriting.stroke_xml import UnreadableError, read, read_layout, read_reference
from tests.rnngen.corpora.handwriting.iam_files import DESCRIPTION, SESSION, drawn, stroke_xml

rows = st.tuples(st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 1_500_000_000))
lines = st.lists(st.lists(rows, min_size=1, max_size=6), min_size=1, max_size=5)


def same(a, b):
    for name in ("x", "y", "t", "stroke_len"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype and left.tolist() == right.tolist(), name
    assert (a.t0, a.sensor, a.empty_strokes) == (b.t0, b.sensor, b.empty_strokes)


@given(lines, st.sampled_from(["\r\n", "\n"]))
def test_both_readers_give_the_points_that_were_written(strokes, point_end):
    data = stroke_xml(strokes, point_end)
    recording = read_layout(data)
    same(recording, read_reference(data))
    points = [point for stroke in strokes for point in stroke]
    assert list(zip(recording.x, recording.y, recording.t + recording.t0, strict=True)) == points
    assert recording.stroke_len.tolist() == [len(stroke) for stroke in strokes]


@settings(max_examples=300)
@given(st.integers(0, 40), st.data())
def test_whatever_the_layout_reader_accepts_the_reference_reads_alike(seed, data):
    """One byte changed, dropped, doubled or put in anywhere: the fast way either declines or agrees."""
    text = stroke_xml(drawn(seed, 2))
    at = data.draw(st.integers(0, len(text) - 1))
    byte = bytes([data.draw(st.sampled_from(b'0123456789.-"<>/ \r\nx=ePk&'))])
    changed = data.draw(
        st.sampled_from([text[:at] + byte + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + byte + text[at:]])
    )
    recording = read_layout(changed)
    if recording is not None:
        same(recording, read_reference(changed))


@pytest.mark.parametrize(
    "text",
    [
        stroke_xml([[(-5, 7, 100), (3, -8, 101)]]),
        stroke_xml(drawn(1), colour="blue"),
        stroke_xml(drawn(1)).replace(b"\n", b"\r\n"),
        stroke_xml(drawn(1), description=DESCRIPTION.replace("966", "-966")),
        stroke_xml(drawn(1), description=""),
        stroke_xml(drawn(1), description=DESCRIPTION.replace("top_left", "top_right")),
        stroke_xml(drawn(1)).replace(b'encoding="ISO-8859-1"', b'encoding="UTF-8"'),
        stroke_xml(drawn(1)).replace(b"    </Stroke>\n", b"    <!-- a comment -->\n    </Stroke>\n"),
        stroke_xml([[(1, 2, 5)]]).replace(b'x="1" y="2"', b'y="2" x="1"'),
        stroke_xml([[(1, 2, 50)]]).replace(b'time="0.50"/', b'time="0.5"/'),
        stroke_xml([[(1, 2, 3)], [], [(4, 5, 6)]]),
    ],
)
def test_layouts_that_differ_are_read_by_the_reference(text):
    recording, _ = read(text)
    same(recording, read_reference(text))


def test_negative_coordinates_empty_strokes_and_short_times():
    assert read(stroke_xml([[(-5, 7, 100)]]))[0].x.tolist() == [-5]
    gap = read(stroke_xml([[(1, 2, 3)], [], [(4, 5, 6)]]))[0]
    assert gap.stroke_len.tolist() == [1, 1] and gap.empty_strokes == 1
    assert read(stroke_xml([[(1, 2, 50)]]).replace(b'time="0.50"/', b'time="0.5"/'))[0].t0 == 50


def test_large_coordinates_and_late_times_are_kept_exactly():
    late = 1_497_871_186
    recording, _ = read(stroke_xml([[(40_000, 70_000, late), (0, 0, late + 1)]]))
    assert recording.x.tolist() == [40_000, 0] and recording.t0 == late and recording.t.tolist() == [0, 1]


INKML = b'<?xml version="1.0"?><ink><trace>1 2, 3 4</trace></ink>'
ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    b"<WhiteboardCaptureSession><StrokeSet>&e;</StrokeSet></WhiteboardCaptureSession>"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "incomplete XML"),
        (b"<html><body>404</body></html>", "its root element is html"),
        (INKML, "its root element is ink, not WhiteboardCaptureSession: a file of another database"),
        (stroke_xml(drawn(2))[:-200], "incomplete XML"),
        (ENTITY, "a DOCTYPE"),
        (SESSION.encode() + b"</WhiteboardCaptureSession>", "0 StrokeSet elements"),
        (stroke_xml([]), "it has no points"),
        (stroke_xml([[]]), "it has no points"),
        (stroke_xml([[(1, 2, 3)]]).replace(b'x="1"', b'x="1.5"'), r"line 11: x='1\.5' is not a 32-bit integer"),
        (stroke_xml([[(1, 2, 3)]]).replace(b'x="1"', b'x="9999999999"'), "not a 32-bit integer"),
        (stroke_xml([[(1, 2, 3)]]).replace(b'x="1"', b'x="' + 5_000 * b"9" + b'"'), "not a 32-bit integer"),
        (stroke_xml([[(1, 2, 3)]]).replace(b'y="2"', b""), "y='' is not a 32-bit integer"),
        (stroke_xml([[(1, 2, 3)]]).replace(b'time="0.03"/', b'time="soon"/'), "time='soon' is not a time"),
        (
            stroke_xml([[(1, 2, 3)]]).replace(b'time="0.03"/', b'time="0.031"/'),
            "not a time in seconds with two decimals",
        ),
        (stroke_xml([[(1, 2, 3)]]).replace(b"Point", b"Dot"), "Dot where a Point must be"),
        (stroke_xml([[(1, 2, 0), (3, 4, 2**40)]]), "it lasts"),
    ],
)
def test_what_is_no_stroke_file_is_refused_with_the_reason(text, reason):
    with pytest.raises(UnreadableError, match=reason) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.real_data
def test_the_two_readers_agree_on_real_files(real_data):
    archive = real_data / "iam-ondb" / "lineStrokes-all.tar.gz"
    fast = 0
    line = re.compile(r"[a-z]\d\d-\d{3}[a-z]?-\d\d\.xml\Z")
    for number, member in enumerate(members(archive, line.match, Refusals())):
        if number % 40 == 0:
            recording, by_layout = read(member.data)
            same(recording, read_reference(member.data))
            fast += by_layout
        if number == 4_000:
            break
    assert fast > 95
