from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngen.handwriting_generator.kinematics import RATE, STEPS, record, smooth_curve


def barry_goldman(p, u):
    """Point at share u between p[1] and p[2] of the centripetal Catmull-Rom curve, by its pyramid of interpolations."""
    knots = [0.0]
    for a, b in pairwise(p):
        knots.append(knots[-1] + np.linalg.norm(b - a) ** 0.5)
    at = knots[1] + u * (knots[2] - knots[1])
    level = list(p)
    for depth in range(1, 4):
        nearest = [(0, 1), (1, 2), (2, 3)] if depth == 1 else [(0, 2), (1, 3)] if depth == 2 else [(1, 2)]
        level = [
            ((knots[j] - at) * level[k] + (at - knots[i]) * level[k + 1]) / (knots[j] - knots[i])
            for k, (i, j) in enumerate(nearest)
        ]
    return level[0]


def one_stroke(points, corners=None):
    points = np.array(points, float)
    first = np.arange(len(points)) == 0
    return smooth_curve(points, np.zeros(len(points), bool) if corners is None else np.array(corners), first)


def test_inner_segments_are_centripetal_catmull_rom():
    points = np.random.default_rng(0).normal(0, 5, (7, 2))
    curve, _ = one_stroke(points)
    for segment in range(1, 5):
        for step in range(1, STEPS + 1):
            wanted = barry_goldman(points[segment - 1 : segment + 3], step / STEPS)
            np.testing.assert_allclose(
                curve[segment * STEPS + step], wanted, rtol=0, atol=1e-7
            )  # the knots are kept apart by 1e-9


def test_the_curve_passes_through_every_control_point_of_every_stroke():
    rng = np.random.default_rng(1)
    points, corners = rng.normal(0, 5, (30, 2)), rng.random(30) < 0.3
    first = np.isin(np.arange(30), [0, 2, 9, 20])
    curve, starts = smooth_curve(points, corners, first)
    assert starts.sum() == 4 and len(curve) == 4 + 26 * STEPS
    strokes = np.split(curve, np.flatnonzero(starts)[1:])
    controls = np.split(points, [2, 9, 20])
    for stroke, control in zip(strokes, controls, strict=True):
        np.testing.assert_allclose(stroke[::STEPS], control, atol=1e-12)


def test_two_corners_are_joined_by_a_straight_line():
    curve, _ = one_stroke([(0, 0), (4, 8), (6, 0)], [True, True, True])
    np.testing.assert_allclose(curve[: STEPS + 1, 1], 2 * curve[: STEPS + 1, 0], atol=1e-12)


def test_a_corner_breaks_the_direction_and_a_smooth_point_does_not():
    square = [(0, 0), (5, 0), (5, 5), (0, 5)]
    sharp, _ = one_stroke(square, [False, True, False, False])
    smooth, _ = one_stroke(square)
    k = STEPS

    def turn(curve):
        a, b = curve[k] - curve[k - 1], curve[k + 1] - curve[k]
        return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))

    assert turn(sharp) > 2 * turn(smooth)


def circle(radius, turns=3.0):
    angle = np.linspace(0, 2 * np.pi * turns, int(48 * turns))
    return one_stroke(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def cruising(curve, starts, pace):
    points, _, _ = record(curve, starts, pace, np.zeros(1))
    speed = np.linalg.norm(np.diff(points, axis=0), axis=1) * RATE
    return np.median(speed[10:-10])


def test_speed_follows_the_cube_root_of_the_radius():
    # v = pace (3 / r + 0.05) ** (-1/3), away from the ends, where neither bound of the speed is met
    for radius in (2.0, 4.0, 8.0):
        speed = cruising(*circle(radius), pace=30.0)  # slow enough for the muscles to follow
        assert speed == pytest.approx(30 * (3 / radius + 0.05) ** (-1 / 3), rel=0.04)


def test_pace_scales_speed():
    assert cruising(*circle(4.0), pace=45) == pytest.approx(1.5 * cruising(*circle(4.0), pace=30), rel=0.03)


def test_fast_small_circles_shrink():
    """Muscles are too slow for them: the low-pass keeps exp(-(speed sigma / radius)^2 / 2) of the radius."""
    curve, starts = circle(1.5)
    speed = 150 * (3 / 1.5 + 0.05) ** (-1 / 3)
    points, _, _ = record(curve, starts, 150.0, np.zeros(1))
    radius = np.linalg.norm(points[10:-10], axis=1).mean()
    assert radius == pytest.approx(1.5 * np.exp(-0.5 * (speed * 0.014 / 1.5) ** 2), rel=0.05)


def test_a_stroke_starts_and_ends_slowly():
    curve, starts = one_stroke([(0, 0), (15, 0)])
    points, _, _ = record(curve, starts, 110.0, np.zeros(1))
    speed = np.diff(points[:, 0])
    assert speed[0] < 0.6 * speed.max() and speed[-1] < 0.6 * speed.max()
    assert (speed >= -1e-9).all()
    np.testing.assert_allclose(points[[0, -1], 0], [0, 15], atol=0.6)


def test_the_pen_stays_up_between_strokes():
    points = np.array([(0, 0), (5, 5), (20, 0), (25, 5)], float)
    curve, starts = smooth_curve(points, np.ones(4, bool), np.array([True, False, True, False]))
    _, ticks, lengths = record(curve, starts, 100.0, np.array([0.0, 0.5]))
    gap = ticks[lengths[0]] - ticks[lengths[0] - 1]
    assert 45 <= gap <= 56  # 0.5 s in hundredths, and the pen's touch at both ends
    assert np.diff(ticks[: lengths[0]]).tolist() == [1] * (lengths[0] - 1)


@given(
    st.lists(
        st.lists(
            st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.booleans()),
            min_size=2,
            max_size=6,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_strokes_can_be_written(strokes):
    """Coinciding points, strokes without length, points that go back: still a finite recording with a running clock."""
    points = np.array([(x, y) for stroke in strokes for x, y, _ in stroke])
    corners = np.array([corner for stroke in strokes for *_, corner in stroke])
    first = np.array([k == 0 for stroke in strokes for k in range(len(stroke))])
    curve, starts = smooth_curve(points, corners, first)
    places, ticks, lengths = record(curve, starts, 100.0, np.full(len(strokes), 0.1))
    assert np.isfinite(places).all()
    assert len(lengths) == len(strokes) and (lengths >= 2).all() and lengths.sum() == len(places) == len(ticks)
    assert ticks[0] == 0 and (np.diff(ticks) >= 1).all()
