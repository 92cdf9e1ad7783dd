"""Strokes to offsets and back, smoothing and resampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnngen.corpora.handwriting.lines import Normaliser
from rnngen.errors import InputError
from rnngen.ink.strokes import (
    Ink,
    bounds,
    resample,
    smooth_strokes,
    strokes_from_columns,
    strokes_from_offsets,
)

coordinates = st.integers(-10_000, 10_000).map(float)
stroke = st.integers(1, 12).flatmap(lambda n: arrays(float, (n, 2), elements=coordinates))
drawings = st.lists(stroke, min_size=1, max_size=6)


def equal(one, two):
    return len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@given(drawings.filter(lambda strokes: len(strokes[0]) > 1))
def test_offsets_and_back_is_exact(strokes):
    offsets = Normaliser(np.zeros(2), np.ones(2)).thin_offsets(strokes)
    assert len(offsets) == sum(map(len, strokes)) - 1
    assert equal([stroke + strokes[0][0] for stroke in strokes_from_offsets(offsets)], strokes)


def test_the_first_point_is_drawn_and_an_unfinished_stroke_kept():
    offsets = np.array([[3, 0, 1], [1, 1, 0], [0, 2, 0]])
    assert equal(strokes_from_offsets(offsets), [np.array([[0.0, 0], [3, 0]]), np.array([[4.0, 1], [4, 3]])])


def test_going_on_from_other_writing_draws_only_what_is_new():
    offsets = np.array([[3, 0, 0], [1, 1, 1], [0, 2, 0]])
    strokes = strokes_from_offsets(offsets, from_start=False)
    assert equal(strokes, [np.array([[3.0, 0], [4, 1]]), np.array([[4.0, 3]])])


def test_no_offsets():
    assert equal(strokes_from_offsets(np.zeros((0, 3))), [np.zeros((1, 2))])
    assert strokes_from_offsets(np.zeros((0, 3)), from_start=False) == []


def test_single_points_are_strokes():
    offsets = np.array([[2, 1, 1], [5, 5, 1.0], [1, 0, 1]])
    assert [s.tolist() for s in strokes_from_offsets(offsets)] == [[[0, 0], [2, 1]], [[7, 6]], [[8, 6]]]


def test_columns():
    strokes = strokes_from_columns([1, 2, 3], [4, 5, 6], [1, 2])
    assert equal(strokes, [np.array([[1.0, 4]]), np.array([[2.0, 5], [3, 6]])])
    with pytest.raises(InputError, match="adds up to 2, but there are 3 points"):
        strokes_from_columns([1, 2, 3], [4, 5, 6], [2])


@given(drawings, st.integers(1, 5))
def test_smoothing_keeps_every_recorded_point(strokes, pieces):
    for before, after in zip(strokes, smooth_strokes(strokes, pieces), strict=True):
        np.testing.assert_allclose(after[::pieces] if len(before) > 2 else after, before, atol=1e-9)


def test_a_straight_line_smooths_to_itself():
    line = np.stack([np.arange(5.0), 2 * np.arange(5.0)], axis=1)
    (smooth,) = smooth_strokes([line], 4)
    np.testing.assert_allclose(smooth[:, 0], np.arange(17) / 4, atol=1e-12)
    np.testing.assert_allclose(smooth[:, 1], 2 * smooth[:, 0], atol=1e-12)


def test_resampling_follows_time_where_it_is_known():
    stroke = np.array([[0.0, 0], [10, 0], [20, 0]])
    (by_path,) = resample(Ink([stroke]), 5)
    np.testing.assert_allclose(by_path[:, 0], [0, 5, 10, 15, 20])
    (by_time,) = resample(Ink([stroke], [np.array([0.0, 3, 4])]), 5)
    np.testing.assert_allclose(by_time[:, 0], [0, 10 / 3, 20 / 3, 10, 20])


def test_resampling_forgives_a_clock_that_runs_back_here_and_there():
    stroke = np.stack([np.arange(10.0) ** 2, np.arange(10.0)], axis=1)
    dot, other = np.array([[5.0, 5]]), np.array([[0.0, 0], [40, 0]])
    times = np.arange(10) * 0.5
    whole = resample(Ink([stroke, dot, other], [times, np.array([7.0]), np.array([8.0, 9])]), 22)
    assert [len(part) for part in whole] == [18, 1, 4]
    for place, wrong in [(4, -0.5), (4, 1e6), (5, -1e6)]:
        broken = times.copy()
        broken[place] = wrong
        again = resample(Ink([stroke, dot, other], [broken, np.array([7.0]), np.array([8.0, 9])]), 22)
        for part, right in zip(again, whole, strict=True):
            np.testing.assert_allclose(part, right, atol=1e-9)


@pytest.mark.parametrize("times", [np.arange(10.0)[::-1], np.zeros(10), np.tile(np.arange(5.0), 2)])
def test_resampling_where_a_clock_is_none(times):
    stroke = np.stack([np.arange(10.0) ** 2, np.arange(10.0)], axis=1)
    other = np.array([[0.0, 0], [0, 81], [0, 90]])
    # the other stroke's clock gives the rate of the pen
    timed = resample(Ink([stroke, other], [times, np.array([0.0, 2, 4])]), 22)
    right = resample(Ink([stroke, other], [2 * np.arange(10.0), np.array([0.0, 2, 4])]), 22)
    assert [len(part) for part in timed] == [18, 4]
    for ours, theirs in zip(timed, right, strict=True):
        np.testing.assert_allclose(ours, theirs)
    # no clock at all: the path
    still = resample(Ink([stroke, other], [np.ones(10), np.ones(3)]), 30)
    for ours, theirs in zip(still, resample(Ink([stroke, other]), 30), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_resampling_keeps_the_first_point_where_times_begin_equal():
    stroke = np.array([[0.0, 0], [10, 0], [20, 0], [30, 5]])
    (result,) = resample(Ink([stroke], [np.array([0.0, 0, 1, 1])]), 6)
    assert result[0].tolist() == [0, 0] and result[-1].tolist() == [30, 5] and len(result) == 6


def test_resampling_keeps_dots_and_both_ends():
    dot, bar = np.array([[1.0, 1], [1, 1]]), np.array([[0.0, 0], [0, 9]])
    first, second = resample(Ink([dot, bar]), 4)
    assert first.tolist() == [[1, 1]]
    assert second[0].tolist() == [0, 0] and second[-1].tolist() == [0, 9] and len(second) == 4


def test_bounds():
    assert bounds([np.array([[1.0, 5]]), np.array([[-2.0, 7], [0, 6]])]) == (-2, 5, 1, 7)


def test_times_must_fit_the_points():
    with pytest.raises(ValueError, match="one entry for every point"):
        Ink([np.zeros((2, 2))], [np.zeros(3)])
