"""A stroke file of IAM-OnDB: the points of one line of handwriting, as the whiteboard recorded them.

Two readers of the same format. `read_reference` is an XML parser (lxml) with every check; `read` recognises the exact
layout all but two of the 12,195 published files have, takes the numbers out of it with numpy, and hands anything else
to the reference. What the fast way accepts, it reads as the reference does: once its digits are removed, the file must
equal the layout byte for byte, and every run of digits must lie between the quotes or around the dot where the layout
has a number.
"""

import re
from dataclasses import dataclass

import numpy as np
from lxml import etree

ROOT = "WhiteboardCaptureSession"

LAYOUT_HEAD = re.compile(
    rb'<\?xml version="1\.0" encoding="ISO-8859-1"\?>\r?\n<WhiteboardCaptureSession>\n  <WhiteboardDescription>\n'
    rb'    <SensorLocation corner="([a-z_]+)"/>\n    <DiagonallyOppositeCoords x="-?\d+" y="-?\d+"/>\n'
    rb'    <VerticallyOppositeCoords x="-?\d+" y="-?\d+"/>\n    <HorizontallyOppositeCoords x="-?\d+" y="-?\d+"/>\n'
    rb"  </WhiteboardDescription>\n  <StrokeSet>\n"
)
STROKE = b'    <Stroke colour="black" start_time="." end_time=".">\n'
POINT = {True: b'      <Point x="" y="" time="."/>\r\n', False: b'      <Point x="" y="" time="."/>\n'}
STROKE_END = b"    </Stroke>\n"
TAIL = b"  </StrokeSet>\n</WhiteboardCaptureSession>\n"
NUMBERS = 4
"""Runs of digits in a stroke's tag (two times) and in a point's (x, y, one time); a time is two runs."""
MOST_DIGITS = 9

INTEGER = re.compile(r"[+-]?\d{1,12}\Z", re.ASCII)
TIME = re.compile(r"(\d{1,12})(?:\.(\d\d?))?\Z", re.ASCII)
LIMIT = 2**31 - 1


class UnreadableError(ValueError):
    """Why a file is not a stroke file of IAM-OnDB."""


@dataclass(frozen=True)
class Recording:
    """n points in the order of writing."""

    x: np.ndarray
    """(n,) int16 or int32, to the right."""
    y: np.ndarray
    """(n,) int16 or int32, downwards."""
    t: np.ndarray
    """(n,) int32, hundredths of a second since t0."""
    t0: int
    """Time of the first point, hundredths of a second since the whiteboard's clock started."""
    stroke_len: np.ndarray
    """int32, points of every stroke."""
    sensor: str
    """Corner of the whiteboard its sensor sat in."""
    empty_strokes: int = 0
    """Strokes without a point, which are left out."""


def read(data: bytes) -> tuple[Recording, bool]:
    """The recording in a file, and whether the fast way read it. Raises UnreadableError."""
    recording = read_layout(data)
    return (recording, True) if recording is not None else (read_reference(data), False)


def read_layout(data: bytes) -> Recording | None:
    """The recording in a file of the published layout; None where the file differs from it in any byte."""
    head = LAYOUT_HEAD.match(data)
    if head is None:
        return None
    body = data[head.end() :]
    layout = body.translate(None, b"0123456789")
    point = POINT[b"\r" in layout]
    strokes = layout.split(STROKE)[1:]
    stroke_len = [(len(stroke) - len(STROKE_END)) // len(point) for stroke in strokes]
    if not strokes:
        return None
    stroke_len[-1] = (len(strokes[-1]) - len(STROKE_END) - len(TAIL)) // len(point)
    if layout != b"".join([STROKE + point * n + STROKE_END for n in stroke_len]) + TAIL or 0 in stroke_len:
        return None
    count = np.array(stroke_len, dtype=np.int32)

    text = np.frombuffer(body, dtype=np.uint8)
    digit = text - np.uint8(48)
    is_digit = digit < 10
    edges = np.flatnonzero(is_digit[1:] != is_digit[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    rows = int(count.sum()) + len(count)
    if len(starts) != NUMBERS * rows:
        return None
    for beside in (text[starts - 1], text[ends]):
        if not ((beside == 34) | (beside == 46)).all():
            return None
    digits = ends - starts
    if digits.max() > MOST_DIGITS or (digits[3::NUMBERS] != 2).any():
        return None
    value = np.zeros(len(starts), dtype=np.int64)
    for k in range(int(digits.max())):
        value += np.where(digits > k, digit[ends - 1 - k], 0) * np.int64(10**k)
    is_point = np.ones(rows, dtype=bool)
    is_point[np.cumsum(count + 1) - count - 1] = False
    x, y, seconds, hundredths = value.reshape(rows, NUMBERS)[is_point].T
    return _make_recording(x, y, 100 * seconds + hundredths, count, head.group(1).decode("ascii"))


def read_reference(data: bytes) -> Recording:
    """The recording in a file, by an XML parser. Raises UnreadableError that says what is wrong, and in which line."""
    root = parse(data)
    sensor = root.find("WhiteboardDescription/SensorLocation")
    sets = root.findall("StrokeSet")
    if len(sets) != 1:
        raise UnreadableError(f"{len(sets)} StrokeSet elements; expected one")
    x: list[int] = []
    y: list[int] = []
    t: list[int] = []
    stroke_len = []
    for stroke in sets[0]:
        _expect(stroke, "Stroke")
        for point in stroke:
            _expect(point, "Point")
            x.append(_coordinate(point, "x"))
            y.append(_coordinate(point, "y"))
            t.append(_hundredths(point))
        stroke_len.append(len(stroke))
    if not x:
        raise UnreadableError("it has no points")
    return _make_recording(
        np.array(x),
        np.array(y),
        np.array(t),
        np.array([n for n in stroke_len if n]),
        "" if sensor is None else sensor.get("corner", ""),
        empty_strokes=stroke_len.count(0),
    )


def _make_recording(
    x: np.ndarray, y: np.ndarray, t: np.ndarray, stroke_len: np.ndarray, sensor: str, empty_strokes: int = 0
) -> Recording:
    t0 = int(t[0])
    if abs(t - t0).max() > LIMIT:
        raise UnreadableError(f"it lasts {(t.max() - t.min()) / 100:.0f} seconds")
    # the whole database is held in memory, so coordinates are kept short where they fit
    short = max(abs(x).max(), abs(y).max()) < 2**15
    x, y = (array.astype(np.int16 if short else np.int32) for array in (x, y))
    return Recording(x, y, (t - t0).astype(np.int32), t0, stroke_len.astype(np.int32), sensor, empty_strokes)


def parse(data: bytes) -> etree._Element:
    """The root element of a file of IAM-OnDB; no entity is resolved, nothing outside the file is read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"incomplete XML: {error.msg}") from error
    if root.getroottree().docinfo.doctype:
        raise UnreadableError("a DOCTYPE, which no file of IAM-OnDB has")
    if root.tag != ROOT:
        raise UnreadableError(f"its root element is {root.tag}, not {ROOT}: a file of another database")
    return root


def _expect(element: etree._Element, tag: str) -> None:
    if element.tag != tag:
        raise UnreadableError(f"line {element.sourceline}: {element.tag} where a {tag} must be")


def _coordinate(point: etree._Element, name: str) -> int:
    text = point.get(name, "").strip()
    if not INTEGER.match(text) or abs(int(text)) > LIMIT:
        raise UnreadableError(f"line {point.sourceline}: {name}={text[:20]!r} is not a 32-bit integer")
    return int(text)


def _hundredths(point: etree._Element) -> int:
    text = point.get("time", "").strip()
    match = TIME.match(text)
    if match is None:
        raise UnreadableError(f"line {point.sourceline}: time={text[:20]!r} is not a time in seconds with two decimals")
    return 100 * int(match[1]) + int((match[2] or "0").ljust(2, "0"))
