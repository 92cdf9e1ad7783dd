"""From the shape of a line to the movement of a hand: where the pen is every hundredth of a second.

A hand slows in curves: its speed falls with the cube root of curvature (the two-thirds power law of Lacquaniti,
Terzuolo and Viviani, 1983, for speed, not angular speed). It starts and stops smoothly and cannot turn on the spot.
"""

import numpy as np

RATE = 100  # points a second, IAM-OnDB's clock
STEPS = 10  # points of the curve between two control points
FINE = 4  # points of the time grid for one recorded point, before the low-pass of the muscles
MUSCLE = 0.014  # s, standard deviation of that low-pass
HOLD = 0.06  # s the pen rests at either end of a stroke, more than the low-pass reaches
ACCELERATION = 1.6  # units over which a stroke speeds up at its start and slows at its end


def smooth_curve(points: np.ndarray, corners: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pass a centripetal Catmull-Rom curve through control points.

    points (n, 2) of all strokes in a row; corners (n,) bool, where the direction may break; first (n,) bool, where a
    stroke starts. Returns the curve (m, 2) and, per point of it, whether a stroke starts there.
    """
    last = np.append(first[1:], True)
    corners = corners | first | last
    joined = np.flatnonzero(~last)  # a segment runs from each of these control points to the next
    step = np.sqrt(np.linalg.norm(points[joined + 1] - points[joined], axis=1)) + 1e-9  # centripetal knots
    chord = np.zeros_like(points)
    knot = np.ones(len(points))
    chord[joined] = points[joined + 1] - points[joined]
    knot[joined] = step
    # tangents, per unit of the knots, of the curve through three points
    slope = chord / knot[:, None]
    before, after = knot[:-1], knot[1:]
    inner = (slope[:-1] * after[:, None] + slope[1:] * before[:, None]) / (before + after)[:, None]
    tangent = np.vstack([slope[:1], inner])
    start, end = joined, joined + 1
    open_start, open_end = corners[start], corners[end]
    # a free end continues its neighbour as a parabola; between two corners lies a straight line
    tangent_0 = np.where(open_start[:, None], np.where(open_end[:, None], 1, 2) * slope[start], tangent[start])
    tangent_0 = tangent_0 - np.where((open_start & ~open_end)[:, None], tangent[end], 0)
    tangent_1 = np.where(open_end[:, None], np.where(open_start[:, None], 1, 2) * slope[start], tangent[end])
    tangent_1 = tangent_1 - np.where((open_end & ~open_start)[:, None], tangent[start], 0)
    u = (np.arange(1, STEPS + 1) / STEPS)[None, :, None]
    p_0, p_1 = points[start][:, None], points[end][:, None]
    m_0, m_1 = (tangent_0 * step[:, None])[:, None], (tangent_1 * step[:, None])[:, None]
    hermite = (
        p_0 * (2 * u**3 - 3 * u**2 + 1)
        + m_0 * (u**3 - 2 * u**2 + u)
        + p_1 * (3 * u**2 - 2 * u**3)
        + m_1 * (u**3 - u**2)
    )
    # every stroke is its first control point and then its segments
    places = np.cumsum(np.where(first, 1, STEPS)) - 1  # where each control point lies on the curve
    curve = np.empty((places[-1] + 1, 2))
    curve[places[first]] = points[first]
    starts = np.zeros(len(curve), bool)
    starts[places[first]] = True
    curve[~starts] = hermite.reshape(-1, 2)
    return curve, starts


def _speed(curve: np.ndarray, starts: np.ndarray, pace: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Length of every step along the curve and the hand's speed on it (units a second)."""
    step = np.diff(curve, axis=0, prepend=curve[:1])
    step[starts] = 0
    length = np.hypot(*step.T)
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = np.abs((np.diff(heading, append=heading[-1:]) + np.pi) % (2 * np.pi) - np.pi)
    # a turn belongs to a point between two steps; at the ends of a stroke there is none
    ends = np.append(starts[1:], True)
    turn[starts | ends] = 0
    # mean curvature in a window of about one unit, so that a corner is a place and not a point
    along = np.cumsum(length + 4.0 * starts)
    total = np.cumsum(turn)
    reach = 0.6
    curvature = (np.interp(along + reach, along, total) - np.interp(along - reach, along, total)) / (2 * reach)
    speed = pace * np.clip((3 * curvature + 0.05) ** (-1 / 3), 0.5, 2.0)
    # the ends of strokes
    stroke = np.cumsum(starts) - 1
    begin, finish = along[starts][stroke], along[ends][stroke]
    ramp = np.clip(np.minimum(along - begin, finish - along) / ACCELERATION, 0, 1)
    return length, speed * (0.45 + 0.55 * ramp)


def record(
    curve: np.ndarray, starts: np.ndarray, pace: np.ndarray | float, lifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move a hand along a curve and note its place every 1/RATE seconds while the pen is down.

    curve (m, 2) with stroke starts (m,) as from `smooth_curve`; pace in units a second on a curve of radius 3
    units, one or (m,); lifts (strokes,) the seconds in the air before each stroke. Returns points (n, 2), ticks (n,) of
    the clock since the start of the line, and the number of points of each stroke; every stroke has at least two.
    """
    length, speed = _speed(curve, starts, pace)
    mean_speed = 0.5 * (speed + np.concatenate([speed[:1], speed[:-1]]))
    stroke = np.cumsum(starts) - 1
    time = np.cumsum(length / mean_speed + 1e-9) + np.cumsum(np.maximum(lifts, 2.5 * HOLD) + 0.02)[stroke]
    ends = np.append(starts[1:], True)
    down, up = time[starts], time[ends]
    # the pen rests at both ends of a stroke while it is put down and lifted
    knots = np.concatenate([down - HOLD, time, up + HOLD])
    places = np.concatenate([curve[starts], curve, curve[ends]])
    order = np.argsort(knots, kind="stable")
    knots, places = knots[order], places[order]
    clock = np.arange(int(np.ceil((up[-1] + HOLD) * RATE * FINE)) + FINE) / (RATE * FINE)
    reach = int(np.ceil(3 * MUSCLE * RATE * FINE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (MUSCLE * RATE * FINE)) ** 2)
    kernel /= kernel.sum()
    moved = np.stack(
        [np.convolve(np.interp(clock, knots, places[:, axis]), kernel, "same")[::FINE] for axis in (0, 1)], axis=1
    )
    ticks = np.arange(len(moved))
    first = np.rint((down - 0.6 * MUSCLE) * RATE).astype(int)
    past = np.maximum(np.rint((up + 0.6 * MUSCLE) * RATE).astype(int) + 1, first + 2)
    kept = np.concatenate([ticks[a:b] for a, b in zip(first, past, strict=True)])
    return moved[kept], kept - kept[0], past - first
