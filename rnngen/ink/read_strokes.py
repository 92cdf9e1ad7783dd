"""Strokes from a user's own file: JSON, InkML, SVG and pages of Xournal++.

JSON        `rnngen.ink.stroke_json`: lists of points or columns, signature_pad, Quick, Draw!, Excalidraw
InkML       `rnngen.ink.inkml`: CROHME, MathWriting, Office
SVG         `rnngen.ink.svg`: what is drawn with a stroke; .svgz too
Xournal++   `rnngen.ink.xournal`: .xopp, .xoj

Files are data from outside: nothing is fetched, entities and unbounded sizes are refused, and whatever carries ink but
cannot be read stops the reading with a message instead of leaving a stroke out. A stroke without points is ignored.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from rnngen.errors import InputError
from rnngen.ink.inkml import read_inkml
from rnngen.ink.stroke_json import read_json
from rnngen.ink.strokes import Ink
from rnngen.ink.svg import read_svg
from rnngen.ink.xml import MAX_POINTS, parse_xml
from rnngen.ink.xournal import read_xournal

MAX_BYTES = 10_000_000
LARGEST = 1e9
"""The largest coordinate; beyond it float32 would overflow once the network has squared it."""
LATEST = 1e12
"""Seconds; a clock of today's date is at 1.8e9."""
_XML = {
    ".inkml": ("ink", read_inkml),
    ".svg": ("svg", read_svg),
    ".svgz": ("svg", read_svg),
    ".xopp": ("xournal", read_xournal),
    ".xoj": ("xournal", read_xournal),
}
SUFFIXES = (".json", *_XML)


def read_ink(path: str | Path) -> Ink:
    """The strokes of a file, in pen order, y downwards, in the units of the file; its suffix says which format it has.

    Raises InputError that names the file, where in it what is wrong, and the remedy.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        kind = repr(path.suffix) if path.suffix else "a file without a suffix"
        raise InputError(f"{path}: strokes are read from {', '.join(SUFFIXES)}, not from {kind}")
    data = _content(path)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        if suffix == ".json":
            ink = read_json(data, path)
        else:
            root, read = _XML[suffix]
            ink = read(parse_xml(data, path, root), path)
    strokes = [stroke for stroke in ink.strokes if len(stroke)]
    if not strokes:
        raise InputError(f"{path}: no strokes in it; save the ink as lines")
    if sum(map(len, strokes)) > MAX_POINTS:
        raise InputError(f"{path}: over the limit of {MAX_POINTS} points; save only the strokes")
    for k, stroke in enumerate(strokes):
        # not (… ≤ …), for NaN too
        if not np.abs(stroke).max() <= LARGEST:
            raise InputError(
                f"{path}: stroke {k + 1} has a coordinate that is not a number of ordinary size; correct it"
            )
    times = None if ink.times is None else [t for t in ink.times if len(t)]
    for k, t in enumerate(times or ()):
        if not np.abs(t).max() <= LATEST:
            raise InputError(f"{path}: stroke {k + 1} has a time that is not a number of ordinary size; correct it")
    return Ink(strokes, times)


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is packed by gzip."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; check its name")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, over the limit of {MAX_BYTES}; save only the strokes")
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as packed:
                data = packed.read(MAX_BYTES + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged, its gzip data do not unpack ({error}); save it again") from error
        if len(data) > MAX_BYTES:
            raise InputError(f"{path}: over the limit of {MAX_BYTES} bytes when unpacked; save only the strokes")
    return data
