"""Pen strokes, and the offsets the handwriting networks read (section 4 of the paper).

Ink is a list of strokes in pen order; a stroke is the points between pen-down and pen-up, an (n, 2) float64 array.
x grows to the right and y **downwards**, as on the whiteboard of IAM-OnDB and in SVG.

Offsets are a (T, 3) array: Δx, Δy from the point before, and the end-of-stroke bit, 1 on the last point of a stroke. A
line of T + 1 points has T offsets (`Normaliser` of rnngen.corpora.handwriting.lines makes them); its first point is
where they start from, and is drawn.

Shapes: t steps (points), n points of one stroke, c coordinates (x, y).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngen.errors import InputError

Stroke = np.ndarray  # (n, 2) float64
RISING = 0.8
"""Share of the times of a stroke that must be in order if they are to be used."""


@dataclass(frozen=True)
class Ink:
    """Strokes in pen order and, where they were recorded, the time of every point in seconds."""

    strokes: list[Stroke]
    times: list[np.ndarray] | None = None  # (n,) for each stroke

    def __post_init__(self) -> None:
        if self.times is not None and [len(t) for t in self.times] != [len(s) for s in self.strokes]:
            raise ValueError("times must have one entry for every point")


def strokes_from_offsets(offsets_t3: np.ndarray, *, from_start: bool = True) -> list[Stroke]:
    """The strokes of offsets (T, 3), counted from (0, 0).

    `from_start` says that the pen stood at (0, 0), so that it is the first point of the first stroke; otherwise the
    offsets go on from writing that ended there, and the first point is where the first of them leads. A line that ends
    in the middle of a stroke keeps that stroke as far as it goes.
    """
    p_tc = np.cumsum(np.asarray(offsets_t3, float)[:, :2], axis=0)
    ends = np.flatnonzero(np.asarray(offsets_t3)[:-1, 2] > 0.5) + 1
    if from_start:
        p_tc, ends = np.concatenate([np.zeros((1, 2)), p_tc]), ends + 1
    return np.split(p_tc, ends) if len(p_tc) else []


def strokes_from_columns(x: Sequence[float], y: Sequence[float], stroke_len: Sequence[int]) -> list[Stroke]:
    """Strokes of one row of a handwriting Parquet file: all x, all y, the number of points of each stroke."""
    p_tc = np.stack([np.asarray(x, float), np.asarray(y, float)], axis=1)
    ends = np.cumsum(stroke_len)
    if len(ends) == 0 or ends[-1] != len(p_tc):
        raise InputError(f"stroke_len adds up to {ends[-1] if len(ends) else 0}, but there are {len(p_tc)} points")
    return np.split(p_tc, ends[:-1])


def bounds(strokes: Sequence[Stroke]) -> tuple[float, float, float, float]:
    """(x low, y low, x high, y high) of all points."""
    p_tc = np.concatenate(list(strokes))
    return *p_tc.min(0).tolist(), *p_tc.max(0).tolist()


def transform(strokes: Sequence[Stroke], scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> list[Stroke]:
    """`strokes` times `scale`, then moved by `shift`."""
    return [np.asarray(stroke, float) * scale + np.asarray(shift, float) for stroke in strokes]


def smooth_strokes(strokes: Sequence[Stroke], pieces: int) -> list[Stroke]:
    """Every step of a stroke replaced by `pieces` steps along the Catmull-Rom spline through its points.

    All recorded points stay where they are; the result is still a polyline. For ink of which only every third point
    or so was kept. `pieces` = 1 returns the strokes as they are.
    """
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, not {pieces}")
    return [_catmull_rom(np.asarray(stroke, float), pieces) for stroke in strokes]


def _catmull_rom(p_nc: np.ndarray, pieces: int) -> np.ndarray:
    if pieces == 1 or len(p_nc) < 3:
        return p_nc
    padded = np.concatenate([2 * p_nc[:1] - p_nc[1:2], p_nc, 2 * p_nc[-1:] - p_nc[-2:-1]])
    before, here, there, after = (padded[k : len(padded) - 3 + k, None, :] for k in range(4))
    u = (np.arange(pieces) / pieces)[None, :, None]
    curve = 0.5 * (
        2 * here
        + (there - before) * u
        + (2 * before - 5 * here + 4 * there - after) * u**2
        + (3 * here - before - 3 * there + after) * u**3
    )
    return np.concatenate([curve.reshape(-1, 2), p_nc[-1:]])


def resample(ink: Ink, points: int) -> list[Stroke]:
    """`ink` with about `points` points in all, evenly spaced in time where times are known, else along the path.

    Each stroke keeps its first and last point. A stroke of no extent (a dot) stays a single point. A clock may run back
    here and there. Where the times of a stroke do not rise on the whole, its points are taken to be the ink's median
    step apart; if no stroke's times do, the path is used.
    """
    along = [_path_length(stroke) for stroke in ink.strokes]
    clocks = along
    if ink.times is not None:
        clocks = [_make_rising(times) for times in ink.times]
        steps = np.concatenate([np.diff(clock) for clock in clocks])
        if np.any(steps > 0):
            step = np.median(steps[steps > 0])
            clocks = [clock if clock[-1] > 0 else step * np.arange(len(clock)) for clock in clocks]
        else:
            clocks = along
    total = sum(clock[-1] for clock, path in zip(clocks, along, strict=True) if path[-1] > 0)
    result = []
    for stroke, clock, path in zip(ink.strokes, clocks, along, strict=True):
        if path[-1] <= 0:
            result.append(np.asarray(stroke, float)[:1])
            continue
        n = max(2, round(points * clock[-1] / total))
        at = np.linspace(0, clock[-1], n)
        evenly = np.stack([np.interp(at, clock, stroke[:, k]) for k in range(2)], axis=1)
        evenly[[0, -1]] = stroke[[0, -1]]  # where a clock begins or ends with equal times, too
        result.append(evenly)
    return result


def _path_length(stroke: Stroke) -> np.ndarray:
    """(n,) length of the path up to each point."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])


def _make_rising(times: np.ndarray) -> np.ndarray:
    """(n,) seconds since the first point; times out of line with the others are taken from their neighbours.

    In line is the longest chain of times that never falls; all zeros where it has less than RISING of them.
    """
    lasts: list[float] = []  # of the best chain of each length: its last time, where that is; what it follows
    ends: list[int] = []
    before: list[int] = []
    for k, time in enumerate(times.tolist()):
        length = bisect_right(lasts, time)
        before.append(ends[length - 1] if length else -1)
        lasts[length : length + 1], ends[length : length + 1] = [time], [k]
    if len(ends) < RISING * len(times):
        return np.zeros(len(times))
    chain = [ends[-1]]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    chain.reverse()
    clock = np.interp(np.arange(len(times)), chain, times[chain])
    return clock - clock[0]
