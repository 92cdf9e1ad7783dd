"""Strokes in JSON, in the shapes that programs write them.

A file is a list of strokes, or an object that has one as "strokes", "drawing" (Quick, Draw!), "ink" (web APIs) or
"lines" (react-canvas-draw), or the elements of Excalidraw. A stroke is one of

    [[x, y], …] or [[x, y, t], …]                  points
    [[x, …], [y, …]] or [[x, …], [y, …], [t, …]]   columns
    {"x": […], "y": […], "t": […]}                 columns by name
    [{"x": x, "y": y, "time": t}, …]               points by name (signature_pad, pointer events)
    {"points": […]} or {"paths": […]}              any of the lists above

Columns and points look alike for two or three points of as many numbers: the other strokes of the file decide, then
"drawing" and "ink", which have columns, else they are points.

Times are seconds; those named "time", "timestamp" or "timeStamp" are milliseconds, and so are those whose points would
be more than a second apart.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from rnngen.errors import InputError
from rnngen.ink.strokes import Ink
from rnngen.ink.xml import MAX_STROKES

_LISTS = ("strokes", "drawing", "ink")
_COLUMN_FORMATS = ("drawing", "ink")
_TIMES = {"t": 1.0, "time": 1e-3, "timestamp": 1e-3, "timeStamp": 1e-3}
LONGEST_STEP = 1.0
"""Seconds: no pen reports its points more slowly, so larger steps are milliseconds."""


def read_json(data: bytes, path: Path) -> Ink:
    """The strokes of a file, without those that have no points; times where all of them have times.

    Raises InputError for what has another shape, among them the offsets with a pen bit of sketch-rnn (stroke-3).
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}; save one drawing as one JSON value") from error
    named = ""
    if isinstance(value, dict):
        if value.get("type") == "excalidraw":
            value = {"strokes": _excalidraw_strokes(value.get("elements"), path)}
        keys = [key for key in _LISTS if key in value]
        if len(keys) > 1:
            raise InputError(f"{path}: both {keys[0]!r} and {keys[1]!r}; keep the one with the strokes")
        named = keys[0] if keys else "lines"
        value = value.get(named)
    if not isinstance(value, list):
        raise InputError(f'{path}: expected {{"strokes": [[[x, y], …], …]}} or a list of strokes')
    if len(value) > MAX_STROKES:
        raise InputError(f"{path}: {len(value)} strokes, over the limit of {MAX_STROKES}; save one line of writing")
    if value and all(isinstance(point, list) and point and all(map(_is_number, point)) for point in value):
        raise InputError(
            f"{path}: expected a list of strokes, got a list of points; put [ ] around it, or, if these are offsets "
            f"with a pen bit (stroke-3, stroke-5), add them up and split them into strokes"
        )
    strokes = [_unwrap(stroke, f"{path}: stroke {k + 1}") for k, stroke in enumerate(value)]
    rows = [stroke for stroke in strokes if isinstance(stroke, list)]
    columns, points = (any(map(is_one, rows)) for is_one in (_is_columns, _is_points))
    if columns and points:
        raise InputError(f"{path}: some strokes are lists of points and some are columns; save them all as [[x, y], …]")
    in_columns = columns or (named in _COLUMN_FORMATS and not points)
    arrays = [_stroke(stroke, in_columns, f"{path}: stroke {k + 1}") for k, stroke in enumerate(strokes)]
    arrays = [array for array in arrays if len(array)]
    if not arrays or any(array.shape[1] == 2 for array in arrays):
        return Ink([array[:, :2] for array in arrays])
    times = [array[:, 2] for array in arrays]
    if not all(map(_has_names, strokes)):
        _expect_clock(times, path)
    steps = np.concatenate([np.diff(t) for t in times])
    if np.any(steps > 0) and np.median(steps[steps > 0]) > LONGEST_STEP:
        times = [t / 1000 for t in times]
    return Ink([array[:, :2] for array in arrays], times)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as a dict; ValueError if a name occurs twice, because one value would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice[:40]!r} occurs twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is not a JSON number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _has_names(stroke: Any) -> bool:
    return isinstance(stroke, dict) or (isinstance(stroke, list) and bool(stroke) and isinstance(stroke[0], dict))


def _unwrap(stroke: Any, where: str) -> Any:
    """The list of points of a stroke that has it among pens and colours."""
    if not isinstance(stroke, dict):
        return stroke
    if stroke.get("drawMode") is False or stroke.get("compositeOperation") == "destination-out":
        raise InputError(f"{where}: made with an eraser; remove it and what it erased")
    keys = [key for key in ("points", "paths") if key in stroke]
    return stroke[keys[0]] if len(keys) == 1 else stroke


def _lengths(stroke: list) -> set[int] | None:
    """How many numbers the rows of a stroke have; None where they are not lists of numbers."""
    if not all(isinstance(row, list) and all(map(_is_number, row)) for row in stroke):
        return None
    return {len(row) for row in stroke}


def _is_columns(stroke: list) -> bool:
    """Whether rows of numbers can be columns and cannot be points."""
    lengths = _lengths(stroke)
    return lengths is not None and len(stroke) in (2, 3) and len(lengths) == 1 and not lengths & {0, 2, 3}


def _is_points(stroke: list) -> bool:
    """Whether rows of numbers can be points and cannot be columns."""
    lengths = _lengths(stroke)
    return lengths in ({2}, {3}) and len(stroke) not in (2, 3)


def _stroke(stroke: Any, in_columns: bool, where: str) -> np.ndarray:
    """One stroke as (n, 2) or (n, 3)."""
    if isinstance(stroke, dict):
        names = ["x", "y", *[name for name in _TIMES if name in stroke][:1]]
        found: list[Any] = [stroke.get(name) for name in names]
        if not all(isinstance(column, list) for column in found) or len(set(map(len, found))) != 1:
            raise InputError(f'{where}: "x", "y" and, if given, "t" must be lists of equal length')
        rows, units = [list(row) for row in zip(*found, strict=True)], [_TIMES.get(name, 1.0) for name in names]
    elif not isinstance(stroke, list):
        raise InputError(f"{where}: expected a list of points [x, y]")
    elif _has_names(stroke):
        names = ["x", "y", *[name for name in _TIMES if name in stroke[0]][:1]]
        rows = [[point.get(name) for name in names] if isinstance(point, dict) else point for point in stroke]
        units = [_TIMES.get(name, 1.0) for name in names]
    elif in_columns and stroke:
        if len(stroke) not in (2, 3) or not all(isinstance(row, list) and len(row) == len(stroke[0]) for row in stroke):
            raise InputError(f"{where}: expected columns [[x, …], [y, …]] of equal length, as are the others")
        rows, units = [list(row) for row in zip(*stroke, strict=True)], [1.0] * len(stroke)
    else:
        rows, units = stroke, [1.0] * (len(stroke[0]) if stroke and isinstance(stroke[0], list) else 2)
    for n, row in enumerate(rows):
        if (
            not isinstance(row, list)
            or len(row) not in (2, 3)
            or len(row) != len(units)
            or not all(map(_is_number, row))
        ):
            raise InputError(f"{where}, point {n + 1}: expected [x, y] or [x, y, seconds], the same for all its points")
    return np.array(rows, float).reshape(len(rows), len(units)) * units


def _expect_clock(times: list[np.ndarray], path: Path) -> None:
    """Refuse third numbers that are not times: the pen bits of stroke-3, pressures."""
    steps = np.concatenate([np.diff(t) for t in times])
    if len(steps) < 2:
        return
    back, forth = int(np.sum(steps < 0)), int(np.sum(steps > 0))
    bits = np.isin(np.concatenate(times), (0.0, 1.0)).all()
    if bits or forth == 0 or 2 * back > forth:
        what = "are only 0 and 1" if bits else f"rise {forth} times and fall {back} times"
        raise InputError(
            f"{path}: the third numbers of its points {what}, so they are not times in seconds; leave them out, or, if "
            f"these are offsets with a pen bit (stroke-3), add them up and split them into strokes"
        )


def _excalidraw_strokes(elements: Any, path: Path) -> list[list[list[float]]]:
    """The freehand elements of an Excalidraw scene; their points count from the element's place."""
    strokes = []
    for k, element in enumerate(elements if isinstance(elements, list) else []):
        where = f"{path}: element {k + 1}"
        if not isinstance(element, dict) or element.get("type") != "freedraw":
            kind = element.get("type") if isinstance(element, dict) else element
            if not (isinstance(element, dict) and element.get("isDeleted")):
                raise InputError(f"{where}: {str(kind)[:30]!r} is not a freehand stroke; remove it")
        elif not element.get("isDeleted"):
            place = element.get("x"), element.get("y")
            points = element.get("points")
            if element.get("angle", 0) != 0 or not all(map(_is_number, place)) or not isinstance(points, list):
                raise InputError(f"{where}: a stroke that is turned or has no place; draw it again")
            if not all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in points):
                raise InputError(f"{where}: expected points [x, y]")
            strokes.append([[p[0] + place[0], p[1] + place[1]] for p in points])
    return strokes
