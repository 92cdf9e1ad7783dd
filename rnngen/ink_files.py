"""Strokes a user brings along: JSON, InkML and SVG.

JSON    {"strokes": [[[x, y], …], …]} or the bare list; a point may carry a time in seconds as its third number; a
        stroke may also be {"x": […], "y": […], "t": […]}
InkML   <trace> elements with the channels X, Y and, if present, T (in milliseconds, as is usual)
SVG     polylines, lines, polygons and paths without fill; curves are flattened, transforms applied

Files are data from outside: nothing is fetched, entities and unbounded sizes are refused, and whatever carries ink but
cannot be read stops the reading with a message instead of leaving a stroke out.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from rnngen.errors import InputError
from rnngen.strokes import Ink, Stroke

MAX_BYTES = 50_000_000
MAX_POINTS = 1_000_000


def read_ink(path: str | Path) -> Ink:
    """The strokes of a .json, .inkml or .svg file, in pen order, y downwards, in the units of the file."""
    path = Path(path)
    readers = {".json": _read_json, ".inkml": _read_inkml, ".svg": _read_svg}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: strokes are read from {', '.join(readers)}, not from {path.suffix or 'this'!r}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, over the limit of {MAX_BYTES}; save only the strokes")
    ink = readers[path.suffix.lower()](path)
    if not ink.strokes:
        raise InputError(f"{path}: no strokes in it")
    points = sum(len(stroke) for stroke in ink.strokes)
    if points > MAX_POINTS:
        raise InputError(f"{path}: {points} points, over the limit of {MAX_POINTS}")
    for k, stroke in enumerate(ink.strokes):
        if len(stroke) == 0:
            raise InputError(f"{path}: stroke {k + 1} has no points")
        # a coordinate beyond this would overflow float32 once the network has squared it
        if not np.isfinite(stroke).all() or np.abs(stroke).max() > 1e9:
            raise InputError(f"{path}: stroke {k + 1} has a coordinate that is not a number of ordinary size")
    return ink


# --- JSON ------------------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> Ink:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    strokes = value.get("strokes") if isinstance(value, dict) else value
    if not isinstance(strokes, list):
        raise InputError(f'{path}: expected {{"strokes": [[[x, y], …], …]}} or a list of strokes')
    arrays = [_json_stroke(stroke, f"{path}: stroke {k + 1}") for k, stroke in enumerate(strokes)]
    timed = arrays and all(array.shape[1] == 3 for array in arrays)
    return Ink([array[:, :2] for array in arrays], [array[:, 2] for array in arrays] if timed else None)


def _json_stroke(stroke: Any, where: str) -> np.ndarray:
    """One stroke as (n, 2) or (n, 3)."""
    if isinstance(stroke, dict):
        columns = [stroke.get(name) for name in ("x", "y", "t") if name in stroke]
        same = "x" in stroke and "y" in stroke and all(isinstance(column, list) for column in columns)
        if not same or len({len(column) for column in columns}) != 1:
            raise InputError(f'{where}: "x", "y" and, if given, "t" must be lists of equal length')
        stroke = [list(point) for point in zip(*columns, strict=True)]
    if not isinstance(stroke, list):
        raise InputError(f"{where}: expected a list of points [x, y]")
    for n, point in enumerate(stroke):
        numbers = isinstance(point, list) and all(
            isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for v in point
        )
        if not numbers or len(point) not in (2, 3) or len(point) != len(stroke[0]):
            raise InputError(f"{where}, point {n + 1}: expected [x, y] or [x, y, seconds], the same for all its points")
    return np.array(stroke, float).reshape(len(stroke), len(stroke[0]) if stroke else 2)


# --- XML -------------------------------------------------------------------------------------------------------------


def _root(path: Path, name: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False)
    try:
        tree = etree.parse(str(path), parser)
    except etree.XMLSyntaxError as error:
        raise InputError(f"{path}: not well-formed XML: {error}") from error
    declared = tree.docinfo.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:
        raise InputError(f"{path}: it declares XML entities, which are not read; save it as plain {name.upper()}")
    root = tree.getroot()
    if etree.QName(root).localname != name:
        raise InputError(f"{path}: the root element is <{etree.QName(root).localname}>, expected <{name}>")
    return root


def _local(element: etree._Element) -> str | None:
    """Name without namespace; None for comments and processing instructions."""
    return etree.QName(element).localname if isinstance(element.tag, str) else None


# --- InkML -----------------------------------------------------------------------------------------------------------

_INKML_NUMBER = re.compile(r"""\s*([!'"]?)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[*?TF]|\#[0-9A-Fa-f]+)""")


def _read_inkml(path: Path) -> Ink:
    root = _root(path, "ink")
    formats = [element for element in root.iter() if _local(element) == "traceFormat"]
    channels = [[e.get("name") for e in f.iter() if _local(e) == "channel"] for f in formats]
    channels = [names for names in channels if names]
    if any(names != channels[0] for names in channels):
        raise InputError(f"{path}: traces of different formats in one file; save them separately")
    names = channels[0] if channels else ["X", "Y"]
    if "X" not in names or "Y" not in names:
        raise InputError(f"{path}: the trace format has no X and Y channel, only {', '.join(map(str, names))}")
    strokes, times = [], []
    for element in root.iter():
        if _local(element) != "trace" or element.get("type") in ("penUp", "indeterminate"):
            continue  # a pen-up trace is the way of the pen through the air
        where = f"{path}: line {element.sourceline}"
        if element.get("continuation") is not None:
            raise InputError(f"{where}: continued traces are not read; save each stroke as one <trace>")
        values = _inkml_points(element.text or "", len(names), where)
        strokes.append(values[:, [names.index("X"), names.index("Y")]])
        if "T" in names:
            times.append(values[:, names.index("T")] / 1000)
    return Ink(strokes, times if "T" in names else None)


def _inkml_points(text: str, channels: int, where: str) -> np.ndarray:
    """Points of one <trace>: explicit values, first differences (') or second differences (") for each channel."""
    order = ["!"] * channels
    value, speed = [0.0] * channels, [0.0] * channels
    points = []
    for point in filter(str.strip, text.split(",")):
        position, k = 0, 0
        while point[position:].strip():
            match = _INKML_NUMBER.match(point, position)
            if match is None or k >= channels:
                raise InputError(f"{where}: point {len(points) + 1} is {point.strip()!r}, expected {channels} values")
            if match[1]:
                order[k] = match[1]
            if match[2][0] in "*?TF#":  # repeated, unknown, boolean and hexadecimal values: no coordinates
                if k < channels and match[2] == "*":
                    value[k] += speed[k] if order[k] != "!" else 0.0
                else:
                    value[k] = math.nan
            elif order[k] == "!":
                value[k], speed[k] = float(match[2]), float(match[2]) - value[k]
            elif order[k] == "'":
                speed[k] = float(match[2])
                value[k] += speed[k]
            else:
                speed[k] += float(match[2])
                value[k] += speed[k]
            position, k = match.end(), k + 1
        if k < 2:
            raise InputError(f"{where}: point {len(points) + 1} is {point.strip()!r}, expected {channels} values")
        points.append(value.copy())
    return np.array(points, float).reshape(len(points), channels)


# --- SVG -------------------------------------------------------------------------------------------------------------

_SVG_CONTAINERS = {"svg", "g", "a"}
_SVG_NOT_INK = {"title", "desc", "defs", "metadata", "style", "namedview", "clipPath", "mask", "symbol", "marker"}
_SVG_NOT_INK |= {"linearGradient", "radialGradient", "pattern", "filter", "animate", "set", "script"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PATH_TOKEN = re.compile(rf"\s*,?\s*(?:([MmLlHhVvZzCcSsQqTtAa])|({_NUMBER}))")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "Z": 0, "C": 6, "S": 4, "Q": 4, "T": 2}
FLATTENING = 16  # line segments of one Bézier curve


def _read_svg(path: Path) -> Ink:
    root = _root(path, "svg")
    strokes: list[Stroke] = []
    _walk_svg(root, np.eye(3), strokes, path, 0)
    return Ink(strokes)


def _walk_svg(element: etree._Element, matrix: np.ndarray, strokes: list[Stroke], path: Path, depth: int) -> None:
    name = _local(element)
    if name is None or name in _SVG_NOT_INK:
        return
    where = f"{path}: line {element.sourceline}"
    if depth > 200:
        raise InputError(f"{where}: elements nested more than 200 deep")
    matrix = matrix @ _transform(element.get("transform", ""), where)
    if name in _SVG_CONTAINERS:
        for child in element:
            _walk_svg(child, matrix, strokes, path, depth + 1)
        return
    if name == "path":
        found = _path_strokes(element.get("d", ""), where)
    elif name in ("polyline", "polygon"):
        p_nc = np.array(_floats(element.get("points", ""), where))
        if len(p_nc) % 2 or len(p_nc) == 0:
            raise InputError(f"{where}: <{name}> needs pairs of coordinates in points=")
        p_nc = p_nc.reshape(-1, 2)
        found = [np.concatenate([p_nc, p_nc[:1]]) if name == "polygon" else p_nc]
    elif name == "line":
        ends = [_floats(element.get(key, "0"), where) for key in ("x1", "y1", "x2", "y2")]
        if any(len(end) != 1 for end in ends):
            raise InputError(f"{where}: <line> needs one number each in x1=, y1=, x2= and y2=")
        found = [np.array(ends).reshape(2, 2)]
    elif name == "rect" and element.get("stroke", "none") == "none":
        return  # a coloured background
    else:
        raise InputError(f"{where}: <{name}> is not a pen stroke; remove it or convert it to paths")
    strokes += [stroke @ matrix[:2, :2].T + matrix[:2, 2] for stroke in found]


def _floats(text: str, where: str) -> list[float]:
    parts = text.replace(",", " ").split()
    # numbers may touch where a sign or a point begins the next one
    numbers = [float(n) for part in parts for n in re.findall(_NUMBER, part)]
    if re.sub(rf"{_NUMBER}|[\s,]", "", text):
        raise InputError(f"{where}: expected numbers, got {text[:60]!r}")
    return numbers


def _transform(text: str, where: str) -> np.ndarray:
    """The 3 × 3 matrix of a transform= attribute."""
    matrix = np.eye(3)
    for kind, arguments in re.findall(r"(\w+)\s*\(([^()]*)\)", text):
        v = _floats(arguments, where)
        step = np.eye(3)
        if kind == "matrix" and len(v) == 6:
            step[:2] = [[v[0], v[2], v[4]], [v[1], v[3], v[5]]]
        elif kind == "translate" and len(v) in (1, 2):
            step[:2, 2] = v[0], v[1] if len(v) == 2 else 0.0
        elif kind == "scale" and len(v) in (1, 2):
            step[0, 0], step[1, 1] = v[0], v[-1]
        elif kind == "rotate" and len(v) in (1, 3):
            c, s = math.cos(math.radians(v[0])), math.sin(math.radians(v[0]))
            x, y = v[1:] or (0.0, 0.0)
            step[:2] = [[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]]
        elif kind in ("skewX", "skewY") and len(v) == 1:
            step[(0, 1) if kind == "skewX" else (1, 0)] = math.tan(math.radians(v[0]))
        else:
            raise InputError(f"{where}: cannot read transform {kind}({arguments})")
        matrix = matrix @ step
    if re.sub(r"\w+\s*\([^()]*\)|[\s,]", "", text):
        raise InputError(f"{where}: cannot read transform {text[:60]!r}")
    return matrix


def _path_strokes(data: str, where: str) -> list[Stroke]:
    """One stroke for each subpath of a `d` attribute."""
    strokes: list[list[tuple[float, float]]] = []
    here = start = control = (0.0, 0.0)  # control: last control point, for S and T
    previous = ""
    for command, v in _path_commands(data, where):
        kind, relative = command.upper(), command.islower()
        dx, dy = here if relative else (0.0, 0.0)
        points = [(v[k] + dx, v[k + 1] + dy) for k in range(0, len(v) - 1, 2)]
        if kind == "M":
            here = start = points[0]
            strokes.append([here])
        elif not strokes:
            raise InputError(f"{where}: a path must begin with M, not {command}")
        else:
            if previous == "Z":  # a closed subpath continues from its start as a new stroke
                strokes.append([start])
            if kind == "Z":
                if len(strokes[-1]) > 1 and strokes[-1][-1] != start:
                    strokes[-1].append(start)
                here = start
            elif kind in "CSQT":
                reflected = (2 * here[0] - control[0], 2 * here[1] - control[1])
                smooth = reflected if previous in ("CS" if kind in "CS" else "QT") and previous else here
                bezier = [here, *([smooth] if kind in "ST" else []), *points]
                strokes[-1] += _flattened(bezier)
                control, here = bezier[-2], bezier[-1]
            else:
                here = {
                    "L": points[0] if points else here,
                    "H": (v[0] + dx, here[1]),
                    "V": (here[0], v[0] + dy),
                }[kind]
                strokes[-1].append(here)
        previous = kind
    return [np.array(stroke, float) for stroke in strokes]


def _path_commands(data: str, where: str) -> list[tuple[str, list[float]]]:
    """(command, arguments) with repetitions written out."""
    commands: list[tuple[str, list[float]]] = []
    position, command, arguments = 0, "", []
    data = data.strip()
    while position < len(data):
        match = _PATH_TOKEN.match(data, position)
        if match is None:
            raise InputError(f"{where}: cannot read the path at {data[position : position + 30]!r}")
        position = match.end()
        if match[1]:
            if arguments:
                raise InputError(f"{where}: {command} lacks arguments before {match[1]}")
            command = match[1]
            if command in "Aa":
                raise InputError(f"{where}: elliptical arcs (A) are not read; convert them to lines or Bézier curves")
            if command in "Zz":
                commands.append((command, []))
                command = ""
            continue
        if not command:
            raise InputError(f"{where}: the path has a number where a command is needed")
        arguments.append(float(match[2]))
        if len(arguments) == _ARGUMENTS[command.upper()]:
            commands.append((command, arguments))
            arguments = []
            command = {"M": "L", "m": "l"}.get(command, command)  # further pairs after a move are lines
    if arguments or (command in "Mm" and command):
        raise InputError(f"{where}: the path ends in the middle of {command}")
    return commands


def _flattened(bezier: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of a quadratic or cubic Bézier curve after its first."""
    b = np.array(bezier)
    u = (np.arange(1, FLATTENING + 1) / FLATTENING)[:, None]
    n = len(b) - 1
    curve = sum(math.comb(n, k) * u**k * (1 - u) ** (n - k) * b[k] for k in range(n + 1))
    return [tuple(p) for p in curve.tolist()]
